"""Hypothesis strategies for automata without errors, with all features of program files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from autocog_core import EOS, Ask, Automaton, Choose, Complete, Each, ForEach, Input, Template, Text
from autocog_core.automaton import Action, Regex, Strings, Tokens, Vocabulary
from autocog_core.types.choice import NORMS
from autocog_core.types.prompt import Prompt, TextPiece

Draw = Callable[[st.SearchStrategy[Any]], Any]

INPUTS = {
    "topic": Input(default="cats"),
    "count": Input("integer", default=3, description="how many"),
    "options": Input("list", default=["red", "green"]),
    "maybe": Input("any", default=None),
    "share": Input("number", default=0.5),
}
TEMPLATES = (
    "about {{ topic }}: ",
    "{% if count > 2 %}many{% else %}few{% endif %} {{ topic|upper }}",
    "{% for one in options %}- {{ one }}\n{% endfor %}",
    "<|end|>{{ topic }}",
)
STRANGE = (
    "",
    "{{ no }} template",
    "{% raw",
    "yes",
    "null",
    "1",
    " \t",
    "é日😀",
    'a "b" \\ c',
    "#: -",
)
names = st.sampled_from([None, None, "answer", "end", "yes"])
plain = st.text(st.sampled_from("ab 1.:\n"), min_size=1, max_size=6)
parts = st.builds(TextPiece, plain, st.booleans())
fixed: st.SearchStrategy[Any] = st.one_of(plain, st.sampled_from(STRANGE))
sets = st.recursive(
    st.one_of(
        st.builds(Tokens, st.lists(plain, max_size=2)),
        st.builds(Strings, st.lists(plain, max_size=3)),
        st.sampled_from([Regex("[a-z ]+"), Regex("[ab1.]")]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)
pruning = {
    "width": st.sampled_from([1, 2, None]),
    "threshold": st.sampled_from([0.0, 0.25, 1.0]),
    "threshold_on": st.sampled_from(["prob", "mean"]),
}
common = {
    "name": names,
    "context": st.sampled_from(["continue", "continue", "fresh"]),
    "metadata": st.sampled_from([{}, {}, {"by": "me", "more": [1, None, {"a": True}]}]),
}


@st.composite
def texts(draw: Draw, uid: str, special: bool) -> Action:
    template = st.builds(Template, st.sampled_from(TEMPLATES), st.just(special))
    prompt = st.builds(Prompt, st.lists(parts, max_size=3).map(tuple))
    return Text(
        uid=uid,
        text=draw(st.one_of(fixed, template, prompt)),
        evaluate=draw(st.booleans()),
        **draw(st.fixed_dictionaries(common)),
    )


@st.composite
def chooses(draw: Draw, uid: str) -> Action:
    some = draw(st.lists(fixed.filter(bool), min_size=1, max_size=3, unique=True))
    choices: list[Any] = list(some)
    if draw(st.booleans()):
        # A text that no other choice has.
        choices.append(Template("<{{ topic }}>"))
    if draw(st.booleans()):
        choices.append(
            draw(st.sampled_from([Each("options"), Each("options|sort", "({{ item }})")]))
        )
    norm = draw(st.sampled_from(NORMS))
    return Choose(
        uid=uid,
        choices=tuple(draw(st.permutations(choices))),
        norm=norm,
        suffix=draw(st.sampled_from([None, EOS, "\n"])),
        unconditional_prompt="x" if norm == "pmi" else None,
        **draw(st.fixed_dictionaries(common | pruning)),
    )


CONSTRAINTS: tuple[dict[str, Any], ...] = (
    {"regex": "[a-z]+( [a-z]+)?"},
    {"regex": r"\{\{|é日😀", "followed_by": "\n|$"},
    {"grammar": 'start: "a" | "{{ b }}"'},
    {"json_schema": True},
    {"json_schema": {"type": "object", "properties": {"b": {"enum": ["é", 1, None]}, "a": {}}}},
)


@st.composite
def completes(draw: Draw, uid: str, vocab: Any, *, constrained: bool = False) -> Action:
    search: dict[str, Any] = {"beams": draw(st.integers(1, 3)), "length_penalty": 0.5}
    if draw(st.booleans()):
        search = {"samples": draw(st.integers(1, 2)), "temperature": 0.7, "top_p": 0.9, "seed": 7}
    constraint = draw(st.sampled_from([{}, *CONSTRAINTS])) if constrained else {}
    if constraint and "samples" in search and draw(st.booleans()):
        search |= {"temperature": 1.0, "top_p": 1.0, "importance_weights": True}
    return Complete(
        uid=uid,
        length=draw(st.integers(1, 4)),
        stop=tuple(draw(st.lists(plain, max_size=2))),
        vocab=vocab,
        eos=draw(st.booleans()),
        **search,
        **constraint,
        **draw(st.fixed_dictionaries(common | pruning)),
    )


@st.composite
def groups(draw: Draw, uid: str, vocab: Any, *, constrained: bool = False) -> Action:
    """A group of questions, maybe for each item of the input `options`."""
    for_each = draw(
        st.sampled_from([None, ForEach("options", "one"), ForEach("options|sort", "one")])
    )
    questions = []
    for number in range(draw(st.integers(1, 2))):
        steps: list[Action] = []
        for index in range(draw(st.integers(1, 3))):
            step_uid = f"{uid}.{number}.{index}"
            complete = completes(step_uid, vocab, constrained=constrained)
            kinds = [texts(step_uid, False), chooses(step_uid), complete]
            step = draw(st.one_of(kinds))
            width = {} if isinstance(step, Text) else {"width": 1}
            steps.append(replace(step, name=None, **width))
        uids = [step.uid for step in steps]
        questions.append(
            tuple(
                replace(step, successors=tuple(uids[index : index + 1]))
                for index, step in enumerate(steps, start=1)
            )
        )
    if for_each is not None:
        questions[0] = (replace(questions[0][0], name="said"), *questions[0][1:])
    name = None if for_each is None else f"about {uid}"
    return Ask(uid=uid, questions=tuple(questions), for_each=for_each, name=name)


@st.composite
def programs(draw: Draw, *, runs: bool = False) -> Automaton:
    """An automaton without errors.

    :param runs: whether a small model will run it, so that sets must not be empty.
    """
    vocabs: dict[str, Vocabulary] = {"named": Regex("[a-z .]")}
    if not runs and draw(st.booleans()):
        vocabs["of sets"] = draw(sets)
    vocab: st.SearchStrategy[Any] = st.sampled_from([None, *vocabs, Regex("[ab]"), vocabs["named"]])
    if not runs:
        vocab = st.one_of(vocab, sets)
    actions: list[Action] = []
    for number in range(draw(st.integers(1, 6))):
        uid = f"n{number}"
        kinds = [texts(uid, draw(st.booleans())), texts(uid, False), chooses(uid)]
        for strategy in (completes, groups):
            one = draw(vocab)
            # In runs, a set of tokens may leave nothing of a constraint; and constraints take time.
            constrained = (one is None and draw(st.integers(0, 3)) == 0) if runs else True
            kinds.append(strategy(uid, one, constrained=constrained))
        actions.append(draw(st.one_of(kinds)))
    actions = draw(connected(actions))
    metadata = draw(st.sampled_from([{}, {"for": ["tests"]}]))
    return Automaton(actions, vocabs, INPUTS, description="é: drawn", metadata=metadata)


@st.composite
def connected(draw: Draw, actions: list[Action]) -> list[Action]:
    """Connect the actions: forwards, and sometimes backwards to an action with `max_visits`."""
    count = len(actions)
    incoming = set()
    for number, action in enumerate(actions):
        targets = [number + 1] if number + 1 < count else []
        if draw(st.integers(0, 4)) == 0:
            targets = [draw(st.integers(0, count - 1))]
        if isinstance(action, Choose) and len(action.choices) > 1 and draw(st.booleans()):
            near = st.integers(max(0, number - 1), count - 1)
            targets = [draw(near) for _ in action.choices]
        incoming |= {target for target in targets if target <= number}
        actions[number] = replace(action, successors=tuple(f"n{target}" for target in targets))
    actions = [
        replace(action, max_visits=2) if number in incoming else action
        for number, action in enumerate(actions)
    ]
    reached = {"n0"}
    for _ in actions:
        reached |= {uid for action in actions if action.uid in reached for uid in action.successors}
    return [action for action in actions if action.uid in reached]
