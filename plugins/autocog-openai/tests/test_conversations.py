"""Conversations in programs, on chat routes: the server receives the whole conversation."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Automaton, CapabilityError, Model, TextPiece
from autocog_openai.routes.messages import without_begun_answer
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.scripted import Scripted, refusal

CHOICES = ["Yes", "No"]
MESSAGES = [{"role": "user", "content": "Hi"}]


def conversations(server: Generic) -> list[list[dict[str, str]]]:
    return [body["messages"] for body in server.log.bodies("/v1/chat/completions")]


def test_a_program_sends_the_whole_conversation(connect_chat: Connect) -> None:
    server = Generic()
    model: Model = connect_chat(server, api="chat").as_model()
    assert model.info.name
    server.log.clear()
    arguments = {"enable_thinking": False}
    program: dict[str, Any] = {
        "actions": [
            {"messages": [{"system": "Be brief."}, {"user": "Hi"}]},
            {"name": "a", "choices": CHOICES},
            {"messages": [{"user": "Why {{ fields.a }}?"}], "template_arguments": arguments},
            {"name": "why", "length": 4},
            {"messages": [{"user": "So?"}]},
            {"text": "Well: "},
            {"name": "b", "choices": CHOICES},
        ]
    }
    tree = Automaton.from_dict(program).run(model)
    assert tree.provenance["strategy"] == "text"
    values = {node.name: str(node.value) for node in tree.best().nodes if node.name}
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    second = [
        *first,
        {"role": "assistant", "content": values["a"]},
        {"role": "user", "content": f"Why {values['a']}?"},
    ]
    third = [
        *second,
        {"role": "assistant", "content": values["why"]},
        {"role": "user", "content": "So?"},
    ]
    sent = conversations(server)
    assert first in sent
    assert second in sent
    assert [*third, {"role": "assistant", "content": "Well: "}] in sent
    given = [body.get("chat_template_kwargs") for body in server.log.bodies("/v1/chat/completions")]
    assert given[0] is None
    assert given[sent.index(second) :] == [arguments] * (len(sent) - sent.index(second))
    shown = [node.text for node in tree.best().nodes if node.uid.startswith("messages")]
    assert shown[0] == "system: Be brief.\nuser: Hi\n"
    assert shown[1] == f"assistant: {values['a']}\nuser: Why {values['a']}?\n"


def test_thinking_in_a_program_needs_token_distributions(connect_chat: Connect) -> None:
    model = connect_chat(Generic(), api="chat").as_model()
    actions = [{"messages": [{"user": "Hi"}]}, {"choices": CHOICES, "thinking": {"length": 2}}]
    with pytest.raises(CapabilityError, match=r'action "choose-2": its thinking needs'):
        Automaton.from_dict({"actions": actions}).run(model)


@pytest.mark.parametrize(
    ("text", "tokens", "written"),
    [
        ("I say: yes", [b" yes"], " yes"),
        (" yes", [b" yes"], " yes"),
        ("I say:", [b"<|end|>"], ""),
        ("I say: I", [b"I", b" say", b":", b" I"], "I say: I"),
        # The tokens are unknown.
        ("I say: yes", [], "I say: yes"),
    ],
)
def test_the_beginning_of_an_answer_is_not_repeated(
    text: str, tokens: list[bytes], written: str
) -> None:
    assert without_begun_answer(text, tokens, "I say:") == written
    assert without_begun_answer(text, tokens, "") == text


def test_a_server_that_constrains_no_begun_answer_is_one_clear_error(connect_chat: Connect) -> None:
    server = Scripted(Generic(logprobs=False))
    model = connect_chat(server, api="chat").as_model()
    prompt = [*model.chat_prompt(MESSAGES).pieces, TextPiece("I say: ")]
    model.choose(prompt, CHOICES)
    server.answers.append(refusal(400, "Failed to initialize samplers"))
    with pytest.raises(CapabilityError, match=r"an answer that has begun: .*samplers"):
        model.choose(prompt, CHOICES)
