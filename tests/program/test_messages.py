"""The action `messages`: in files, in checks, and on models without a tokenizer of templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autocog_core import (
    Ask,
    Automaton,
    CapabilityError,
    ChatMessage,
    Choose,
    Complete,
    InputError,
    Messages,
    Model,
    Text,
)
from autocog_core.automaton.templates.template import Template
from autocog_core.evaluation.cost_estimate import estimate_cost
from autocog_core.viz import graph_mermaid, graph_text
from tests.support.small_backends import Plain, random_model

CHAT: dict[str, Any] = {
    "inputs": {"question": "text"},
    "actions": [
        {"messages": [{"system": "Be brief."}, {"user": "{{ question }}"}]},
        {"name": "answer", "choices": ["Yes", "No"]},
        {
            "messages": [{"user": "Why {{ fields.answer }}?"}, {"role": "tool", "content": "{}"}],
            "template_arguments": {"mode": 1},
        },
        {"name": "why", "length": 4},
    ],
}


def test_messages_are_read_and_written() -> None:
    automaton = Automaton.from_dict(CHAT)
    first, _, second, _ = automaton.actions
    assert isinstance(first, Messages)
    assert first.messages == (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", Template("{{ question }}")),
    )
    assert isinstance(second, Messages)
    assert second.template_arguments == {"mode": 1}
    written = automaton.to_dict()
    assert [action.get("messages") for action in written["actions"]] == [
        action.get("messages") for action in CHAT["actions"]
    ]
    assert Automaton.from_dict(written) == automaton
    literal = Messages(uid="a", messages=[{"role": "user", "content": "{{ a }}"}])
    assert literal.messages == (ChatMessage("user", "{{ a }}"),)
    (data,) = Automaton([literal]).to_dict()["actions"]
    assert data["messages"] == [{"user": {"literal": "{{ a }}"}}]
    assert Automaton.from_dict({"actions": [data]}).actions == (literal,)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("{messages: []}", "at least 1"),
        ("{messages: [{usr: a}]}", '"system", "user", "assistant", or with "role"'),
        ("{messages: [{user: a, system: b}]}", "unknown key"),
        ("{messages: [{role: user}]}", "content"),
        ("{messages: [a]}", '"system", "user"'),
        ("{messages: [{user: 7}]}", "expected text, got 7"),
        ("{messages: [{user: a}], name: x}", "messages are no field"),
        ("{messages: [{user: a}], model: x}", "messages are for all models"),
        ("{messages: [{user: a}], length: 3}", "is a key of complete actions"),
        ("{messages: [{user: a}], template_arguments: {messages: 1}}", "set by autocog"),
        ("{messages: [{user: a}], template_arguments: {x: '{{ y }}'}}", "x is a template"),
        ("{messages: [{role: '', content: a}]}", "has no role"),
        ("{messages: [{user: '{{ nothing }}'}]}", 'unknown input "nothing"'),
    ],
)
def test_errors_of_messages_name_the_line(tmp_path: Path, action: str, error: str) -> None:
    path = tmp_path / "program.yaml"
    path.write_text(f"actions:\n  - {action}\n", encoding="utf-8")
    with pytest.raises(InputError, match=error) as raised:
        Automaton.from_file(path)
    assert "program.yaml:2: action" in str(raised.value)


def chat(uid: str, *successors: str, **options: Any) -> Messages:
    messages = [{"role": "user", "content": "Hi"}]
    return Messages(uid=uid, messages=messages, successors=successors, **options)


@pytest.mark.parametrize(
    ("actions", "is_sound"),
    [
        ([Text(uid="a", text="x", successors="b"), chat("b")], False),
        ([Text(uid="a", text="x", successors="b"), chat("b", context="fresh")], True),
        ([Text(uid="a", text="", successors="b"), chat("b")], True),
        ([chat("a", "b"), Text(uid="b", text="x", successors="c"), chat("c")], True),
        (
            [
                Text(uid="a", text="x", successors="b"),
                Ask(uid="b", questions=[[chat("c", "d"), Complete(uid="d", length=1)]]),
            ],
            False,
        ),
        (
            [
                Choose(uid="a", choices=["x", "y"], successors=["b", "c"]),
                Text(uid="b", text="x", context="fresh", successors="c"),
                chat("c"),
            ],
            False,
        ),
    ],
)
def test_text_outside_of_messages_is_an_error(actions: list[Any], is_sound: bool) -> None:
    errors = [finding for finding in Automaton(actions).check() if not finding.warning]
    assert all("belongs to no message" in error.message for error in errors)
    assert bool(errors) is not is_sound


def test_a_group_and_new_texts_in_a_conversation() -> None:
    model = random_model()
    questions = [{"name": name, "choices": ["a", "b"]} for name in "xy"]
    tree = Automaton.from_dict(
        {
            "inputs": {"words": "list"},
            "actions": [
                {"messages": [{"user": "{{ words | join(' ') }}"}]},
                {
                    "for_each": {"in": "words", "as": "word"},
                    "name": "all",
                    "ask": [[{"messages": [{"user": "And {{ word }}?"}]}, questions[0]]],
                },
                {"ask": [[questions[1]]]},
                {"messages": [{"user": "Next: {{ fields.y }}"}], "context": "fresh"},
                {"name": "last", "choices": ["a", "b"]},
            ],
        }
    ).run(model, {"words": ["one", "two"]})
    reasons = {node.reason for node in tree.nodes if node.retokenized}
    assert "the messages before have no answer" in reasons
    whole = [{"role": "user", "content": "one two"}]
    for word in ("one", "two"):
        asked = [*whole, {"role": "user", "content": f"And {word}?"}]
        probs = [node.prob for node in tree.nodes if node.keys == (word,) and node.name == "all"]
        scores = model.choose(messages=asked, choices=["a", "b"])
        assert probs == pytest.approx([score.prob for score in scores.scores])
    value = tree.best().fields["y"]
    for name, messages in (("y", whole), ("last", [{"role": "user", "content": f"Next: {value}"}])):
        scores = model.choose(messages=messages, choices=["a", "b"])
        probs = [node.prob for node in tree.nodes if node.name == name]
        assert probs == pytest.approx([score.prob for score in scores.scores])


def test_a_model_that_does_not_read_the_messages_needs_no_template() -> None:
    plain = Plain()
    actions = [
        chat("a", "b"),
        Choose(uid="b", choices=["x", "y"], successors="c"),
        Text(uid="c", text="New:", context="fresh", successors="d"),
        Choose(uid="d", choices=["x", "y"], model="other"),
    ]
    tree = Automaton(actions).run(random_model(), models={"other": Model(plain)})
    assert tree.complete
    with pytest.raises(CapabilityError, match='action "a"'):
        Automaton([actions[0], replace(actions[1], successors=())]).run(Model(plain))


def test_messages_are_drawn_and_estimated() -> None:
    automaton = Automaton.from_dict(CHAT)
    assert "system: 'Be brief.'" in graph_mermaid(automaton).replace("#39;", "'")
    assert graph_text(automaton).row_count == 4
    bound = Automaton.from_dict(CHAT | {"actions": CHAT["actions"][:2]}).bind({"question": "?"})
    assert estimate_cost(bound, random_model().client).tokens > len("Be brief.")


def test_the_prompt_of_a_conversation_counts_as_constant_text_for_pmi() -> None:
    model = random_model(bos=False)
    data = {
        "actions": [{"messages": [{"user": "Hi"}]}, {"choices": ["a", "b"], "norm": "pmi"}],
    }
    node = Automaton.from_dict(data).run(model).nodes[-1]
    assert node.unconditional_prompt is not None
    assert node.unconditional_prompt.endswith("assistant:")
