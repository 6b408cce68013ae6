"""The checks of an automaton before a run: errors, warnings, and the cost of a run."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autocog_core import (
    EOS,
    Automaton,
    Budget,
    Choice,
    Choose,
    Complete,
    Each,
    InputError,
    Model,
    Template,
    Text,
    WarningCode,
    hookimpl,
)
from autocog_core.automaton import Action, Regex, Strings, Tokens
from autocog_core.automaton.checks.token_set_checks import MAX_PATTERN_SIZE, expanded_size
from autocog_core.backends.random import RandomLM
from autocog_core.errors import AutocogError
from autocog_core.evaluation import cost_estimate as estimating
from autocog_core.evaluation.cost_estimate import CostEstimate, estimate_cost
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece
from tests.program.generated_programs import programs
from tests.support.operations import growth
from tests.support.small_backends import CharTokenizer, random_model
from tests.support.soak import count


def findings(actions: Sequence[Action], model: Model | None = None, **more: Any) -> list[str]:
    results = Automaton(actions, **more).check(model)
    return [f"{'warning: ' if one.warning else ''}{one}" for one in results]


T = Text(uid="t", text="x")
G = 'start: "a"'
C = Choose(uid="c", choices=("a", "b"))


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([], ["automaton: has no actions"]),
        ([Text(uid="", text="x")], ["actions[0]: has no uid"]),
        ([T, T], ['action "t": another action has the same uid']),
        (
            [Text(uid="t", text="x", successors="y")],
            ['action "t": unknown successor "y"; valid names: t'],
        ),
        (
            [Text(uid="t", text="x", successors=("t", "t"))],
            ['action "t": has 2 successors: give at most 1'],
        ),
        (
            [Choose(uid="c", choices=("a", "b", "d"), successors=("c", "c"))],
            [
                'action "c": has 2 successors for 3 choices: '
                "give one for all, one per choice, or none"
            ],
        ),
        ([Choose(uid="c", choices=())], ['action "c": has no choices: give at least one']),
        ([Choose(uid="c", choices=("a", ""))], ['action "c": choices[1] is empty: give text']),
        (
            [Choose(uid="c", choices=("a", "a"))],
            ["action \"c\": choices[1] repeats 'a': remove it"],
        ),
        (
            [T, C],
            [
                'action "c": no path leads to this action: '
                "remove it, or make it the next of another action"
            ],
        ),
        (
            [Text(uid="t", text="x", successors="t")],
            ['action "t": is on an endless cycle: give max_visits to an action of the cycle'],
        ),
        ([Text(uid="t", text="x", max_visits=0)], ['action "t": max_visits is 0: give 1 or more']),
        (
            [Text(uid="t", text=Prompt((TokenPiece((1,)),)))],
            ['action "t": text has pieces of token ids: give text'],
        ),
        ([Text(uid="t", text=3)], ['action "t": text is of type int: give text']),  # type: ignore[arg-type]
        (
            [Choose(uid="c", choices=("a",), width=0, threshold=2, norm="x")],  # type: ignore[arg-type]
            [
                'action "c": width is 0: give 1 or more, or null (None) for all',
                'action "c": threshold is 2: give 0 to 1',
                "action \"c\": norm is 'x': give one of sum, mean, per_byte, pmi",
            ],
        ),
        (
            [Complete(uid="t", length=0, beams=0, samples=-1, top_p=0, stop=("",), vocab="v")],
            [
                'action "t": length is 0: give 1 or more',
                'action "t": beams is 0: give 1 to 10000',
                'action "t": samples is -1: give 1 to 10000, or 0 for beam search',
                'action "t": top_p is 0: give more than 0, and at most 1',
                'action "t": stop[0] is empty: give text',
                'action "t": unknown vocab "v"; the automaton has no vocabs',
            ],
        ),
        (
            [Complete(uid="t", length=1, beams=2, samples=2, temperature=0)],
            [
                'action "t": has both beams and samples: give one of them',
                'action "t": temperature is 0: give more than 0, or omit samples',
            ],
        ),
        (
            [Complete(uid="t", length=1, beams=10**9, samples=10**9, seed=-1)],
            [
                'action "t": beams is 1000000000: give 1 to 10000',
                'action "t": samples is 1000000000: give 1 to 10000, or 0 for beam search',
                'action "t": has both beams and samples: give one of them',
                'action "t": seed is -1: give 0 or more',
            ],
        ),
        (
            [
                Complete(uid="t", length=1, regex="a", grammar="b", json_schema={}),
            ],
            ['action "t": has regex and grammar and json_schema: give one of them'],
        ),
        (
            [Complete(uid="t", length=1, followed_by="a", importance_weights=True, top_p=0.5)],
            [
                'action "t": followed_by needs a constraint: give regex, grammar or json_schema, '
                "or use stop",
                'action "t": importance_weights needs a constraint: '
                "give regex, grammar or json_schema",
                'action "t": importance_weights needs samples: give their number',
                'action "t": top_p is 0.5: importance_weights needs top_p 1, because they weigh '
                "samples of the model itself",
            ],
        ),
        (
            [Complete(uid="t", length=1, regex=regex.compile("a"))],  # type: ignore[arg-type]
            ['action "t": regex is of type Pattern: give text'],
        ),
        (
            [Complete(uid="t", length=1, json_schema=Automaton)],  # type: ignore[arg-type]
            [
                'action "t": json_schema is of type type: give a mapping; of a pydantic model, '
                "model_json_schema()"
            ],
        ),
        (
            [Text(uid="t", text=Template("{{ a }}{{ b }}"))],
            [
                'action "t": unknown input "a" in a template; the program declares no inputs',
                'action "t": unknown input "b" in a template; the program declares no inputs',
            ],
        ),
        (
            [Choose(uid="c", choices=(Each("l"), Template("{{")))],
            [
                'action "c": unknown input "l" in a template; the program declares no inputs',
                'action "c": template: unexpected \'end of template\'; for text that is not a '
                'template: {literal: "..."}',
            ],
        ),
    ],
)  # fmt: skip
def test_errors(actions: list[Action], expected: list[str]) -> None:
    assert findings(actions) == expected
    # With a model, `check` reports the same errors.
    assert [one for one in findings(actions, random_model()) if "warning" not in one] == expected
    with pytest.raises(InputError):
        Automaton(actions).run(random_model())


def test_every_unbounded_cycle_is_reported() -> None:
    def text(uid: str, after: str, **more: Any) -> Text:
        return Text(uid=uid, text="x", successors=after, **more)

    actions = [
        Choose(uid="c", choices=("1", "2", "3", "4"), successors=("a", "d", "f", "h")),
        *(text("a", "b"), text("b", "a")),
        *(text("d", "e"), text("e", "d", max_visits=2)),
        *(text("f", "g"), text("g", "f2"), text("f2", "g")),
        text("h", "a"),
    ]
    errors = [one for one in findings(actions) if not one.startswith("warning")]
    assert [one.split(":")[0] for one in errors] == ['action "a"', 'action "g"']


@pytest.mark.parametrize("shape", ["cycle", "comb", "behind"])
def test_large_graphs_take_linear_work(shape: str) -> None:
    def checking(size: int) -> Callable[[], None]:
        actions: list[Action] = [
            Choose(uid=f"n{n}", choices=("a", "b"), successors=(f"n{n + 1}", f"n{n + 1}"))
            for n in range(size)
        ]
        last = {"cycle": "n0", "comb": f"n{size}", "behind": "n1"}[shape]
        actions.append(Text(uid=f"n{size}", text="x", successors=last))
        if shape == "behind":
            actions.append(actions.pop(0))
            actions.insert(0, Text(uid="first", text="x", successors="n0"))

        def call() -> None:
            assert len(Automaton(actions).errors()) == 1

        return call

    large = count(normal=2_000, soak=20_000)
    assert large > sys.getrecursionlimit()
    # Quadratic work would be 16 times as much.
    assert growth(checking, large // 4, large) < 6


# -- warnings


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (
            [Choose(uid="c", choices=("10", "2", "1"))],
            ["the choice '1' begins '10': its rank excludes the longer choice; "
             "a `suffix` separates them"],
        ),
        ([Choose(uid="c", choices=("10", "1"), suffix="\n")], []),
        ([Choose(uid="c", choices=("10", "1"), suffix=EOS)], []),
        ([Choose(uid="c", choices=("10", "11"))], []),
        (
            [Text(uid="t", text="A: ", successors="w"), Complete(uid="w", length=2)],
            ["the text before the completion ends in a blank: remove it, because most tokens begin "
             "with one"],
        ),
        (
            [Text(uid="t", text="A:\n", successors="w"), Complete(uid="w", length=2)],
            ['the text ends in a newline after "A:": remove the newline; in YAML, begin the block '
             "with |- instead of |"],
        ),
        ([Text(uid="t", text="### A:\n", successors="w"), Complete(uid="w", length=2)], []),
        # A constraint decides how the text begins.
        ([Text(uid="t", text="A: ", successors="w"), Complete(uid="w", length=2, regex="a")], []),
        (
            [Text(uid="t", text="A: ", successors="w"), Complete(uid="w", length=2, grammar=G)],
            [],
        ),
        ([Text(uid="t", text="A:\n", successors="c"), C], []),
        ([Text(uid="t", text="A: ", successors="c"), C], []),
        (
            [Text(uid="t", text="it is", successors="c"), C],
            ["choice 'a' continues the last word of the text before it, \"isa\": begin the choice "
             "with a blank"],
        ),
        (
            [Text(uid="t", text=Prompt((TextPiece("is"), TextPiece(""))), successors="c"), C],
            ["choice 'a' continues the last word of the text before it, \"isa\": begin the choice "
             "with a blank"],
        ),
        ([Text(uid="t", text="it is", successors="c"), Choose(uid="c", choices=(" a", "."))], []),
        ([Text(uid="t", text="it is: ", successors="c"), C], []),
        (
            [Text(uid="t", text="it is:", successors="c"), C],
            ["choice 'a' follows 'it is:' without a blank: begin the choice with one"],
        ),
        ([Text(uid="t", text="12:", successors="c"), C], []),
        (
            [Text(uid="t", text="A:\n", successors="c"), Choose(uid="c", choices=(" a", " b"))],
            ["the text before choice ' a' ends in a newline already: remove the newline; in YAML, "
             "begin the block with |- instead of |"],
        ),
        (
            [Text(uid="t", text=Template("{{ 1 }}: "), successors="c"),
             Choose(uid="c", choices=(Each("[1]", text=" {{ item }}"), "\n\n"))],
            ["the text before choice ' {{ item }}' ends in a blank already: remove one of the two "
             "blanks"],
        ),
        (
            [Choose(uid="c", choices=(Choice(texts=["a", "a\t"]), "b"), suffix="\n")],
            ["choice 'a\\t' ends in a blank, whose probability counts too: remove it"],
        ),
        (
            [Choose(uid="c", choices=("a b c d e f", "no"))],
            ["the choices have 1 to 6 words, and the norm sum favors short ones such as 'no'; "
             "compare the norms mean, per_byte and pmi"],
        ),
        (
            [Choose(uid="c", choices=("a", "b"), norm="mean", width=None)],
            ["the norm mean does not decide: several choices continue, and the best path is the "
             "one with the highest joint log-probability; leave out the width"],
        ),
        ([Choose(uid="c", choices=("a", "b"), norm="mean")], []),
        ([Choose(uid="c", choices=("a", "b"), width=None)], []),
    ],
)  # fmt: skip
def test_warnings(actions: list[Action], expected: list[str]) -> None:
    for model in (None, random_model()):
        results = Automaton(actions).check(model)
        assert [one.message for one in results] == expected
        assert all(one.warning and one.code in set(WarningCode) for one in results)
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        tree = Automaton(actions).run(random_model())
    codes = [str(warning.message).partition(":")[0] for warning in issued]
    # A run does not compare the choices with each other.
    assert codes == [one.code for one in results if one.code != "choice-begins-another"]
    assert tree.nodes, "it runs all the same"


def test_choices_are_compared_by_the_models_tokens() -> None:
    """ "in" does not begin "into" where that is one token."""
    actions = [Choose(uid="c", choices=("in", "into"))]
    assert len(findings(actions)) == 1
    assert len(findings(actions, Model(CharTokenizer()))) == 1
    assert not findings(actions, Model(CharTokenizer(words=["into", "in"])))


def test_special_tokens_in_plain_text_give_a_warning() -> None:
    model = Model(CharTokenizer())
    plain = (
        'action "t": "<|end|>" is plain text here: use messages, or mark the text as trusted '
        "(`special` in programs)"
    )
    assert findings([Text(uid="t", text="a<|end|>")], model) == [f"warning: {plain}"]
    assert findings([Text(uid="t", text="a<|end|>")]) == []
    assert findings([Text(uid="t", text=Template("<|end|>", special=True))], model) == []
    assert findings([Text(uid="t", text=Prompt((TextPiece("<|end|>", True),)))], model) == []


def test_a_stop_longer_than_the_length_gives_a_warning() -> None:
    actions = [Complete(uid="w", length=3, stop=("four", "two"))]
    assert findings(actions) == []
    assert findings(actions, random_model()) == [
        "warning: action \"w\": the stop 'four' takes 4 tokens, and its length is 3"
    ]


def test_empty_masks_are_errors() -> None:
    nothing = Strings(("no token says this",))
    vocabs = {"none": nothing, "some": Regex("[a-z]")}
    actions = [
        Complete(uid="w", length=1, vocab="none", successors="v"),
        Complete(uid="v", length=1, vocab="some", successors="u"),
        Complete(uid="u", length=1, vocab=vocabs["some"] & nothing),
    ]
    assert findings(actions, vocabs=vocabs) == []
    assert findings(actions, random_model(), vocabs=vocabs) == [
        'action "w": its vocab holds none of the model\'s tokens',
        'action "u": its vocab holds none of the model\'s tokens',
    ]


def test_operands_of_sets_are_checked() -> None:
    vocabs = {"a": Regex("[a"), "b": ~(Regex("[a") | Tokens(("\ud800",)))}
    action = Complete(uid="w", length=1, vocab=Regex("(b") & vocabs["b"])
    results = findings([action], random_model(), vocabs=vocabs)
    assert [one.split(":")[0] for one in results] == ['vocab "a"', 'vocab "b"', 'action "w"']
    assert "'[a' is not a valid regular expression" in results[0]
    assert "lone surrogate" in results[1]
    assert "'(b' is not a valid regular expression" in results[2]


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("abc", 3),
        ("a{3}", 3),
        ("a{2,5}b", 6),
        ("(ab){3}c", 10),
        ("((a{10}){10}){10}", 1110),
        (r"[a{9}]\{9\}(?:x|y){2}", 6 + 2 + 1 + 2 + 2 * 6),
        ("a{,4}{3}", 12),
        ("{", 1),
        ("a{x}", 4),
    ],
)
def test_the_size_of_a_pattern_includes_its_repetitions(pattern: str, size: int) -> None:
    assert expanded_size(pattern) == size


@pytest.mark.parametrize("pattern", ["a{1000000000}", "((a{99}){99}){99}", "(" * 5000, "a" * 10**6])
def test_huge_patterns_are_not_compiled(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    compile_pattern = regex.compile

    def compiling(pattern: str, flags: int) -> Any:
        compiled.append(pattern)
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(regex, "compile", compiling)
    (error,) = findings([Complete(uid="w", length=1, vocab=Regex(pattern))])
    assert "too large" in error or "is not a valid regular" in error or "too deeply" in error
    assert len(error) < 300
    assert all(expanded_size(each) <= MAX_PATTERN_SIZE for each in compiled)


def test_actions_on_other_models_are_not_checked_with_this_one() -> None:
    actions = [Complete(uid="w", length=1, stop=("four",), model="other")]
    assert findings(actions, random_model()) == []


@settings(max_examples=count(normal=30, soak=60))
@given(programs())
def test_sound_automata_have_warnings_at_most(automaton: Automaton) -> None:
    model = random_model()
    for results in (automaton.check(), automaton.bind().check()):
        assert all(one.warning for one in results)
    # What a model adds are empty masks.
    assert all(one.warning or "vocab" in one.message for one in automaton.check(model))


# -- estimates


class Listening(RandomLM):
    """Remembers what it was asked."""

    asked: list[tuple[int, ...]]

    @hookimpl(specname="greedy_impl")
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        self.asked.append(tuple(tokens))
        return super().greedy_impl(tokens)


@pytest.mark.slow
@settings(max_examples=count(normal=40, soak=200))
@given(programs(runs=True), st.integers(0, 5), st.booleans())
def test_no_run_costs_more_than_its_estimate(automaton: Automaton, seed: int, bos: bool) -> None:
    """On bytes, where no choice re-spells what comes before it."""
    bound = automaton.bind()
    assume(not bound.errors())
    backend = Listening(seed=seed, bos=bos)
    backend.asked = []
    model = Model(backend)
    cost = estimate_cost(bound, model.client)
    assume(cost.tokens < 5_000)
    try:
        tree = bound.run(model, budget=Budget(paths=500))
    except AutocogError:
        return
    assert tree.stats["model_calls"] <= cost.calls
    assert tree.stats["unique_tokens"] <= cost.tokens
    assert len(tree.complete) <= cost.paths
    # What an engine evaluates that forgets nothing: every beginning once.
    beginnings = {ids[:length] for ids in backend.asked for length in range(1, len(ids) + 1)}
    assert len(beginnings) <= cost.tokens
    assert not cost.is_lower_bound


def test_the_estimate_of_a_fixed_program_is_exact() -> None:
    model = random_model()
    automaton = Automaton(
        [
            Text(uid="t", text="four", successors="c"),
            Choose(uid="c", choices=("ab", "ac"), width=None, successors="w"),
            Complete(uid="w", length=5, vocab=Regex("[a-z]"), eos=False),
        ]
    )
    cost = estimate_cost(automaton, model.client)
    # BOS, the text, a tree of three, and five tokens after each of two choices.
    assert cost == CostEstimate(calls=6, tokens=1 + 4 + 3 + 2 * 5, paths=2)
    tree = automaton.run(model)
    assert tree.stats["model_calls"] == 6
    assert tree.stats["unique_tokens"] == cost.tokens - 1
    assert len(tree.complete) == 2


def test_estimates_count_loops_up_to_max_visits() -> None:
    model = random_model()
    loop = Automaton(
        [
            Choose(uid="c", choices=("a", "b"), width=None, successors=("c", "e"), max_visits=3),
            Text(uid="e", text="!!"),
        ]
    )
    cost = estimate_cost(loop, model.client)
    assert (cost.calls, cost.paths) == (3, 3)
    assert len(loop.run(model).complete) == 3


def test_the_estimate_of_a_huge_automaton_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    doubling = Automaton(
        [
            *(
                Choose(uid=f"c{n}", choices=("a", "b"), width=None, successors=f"c{n + 1}")
                for n in range(200)
            ),
            Text(uid="c200", text="."),
        ]
    )
    assert estimate_cost(doubling, random_model().client).paths == 2**200
    many = [f"n{n}" for n in range(14)]
    tangle = Automaton(
        [
            Choose(uid=uid, choices=tuple(many), successors=tuple(many), width=None, max_visits=3)
            for uid in many
        ]
    )
    most = count(normal=1_000, soak=estimating.MAX_STATES)
    monkeypatch.setattr(estimating, "MAX_STATES", most)
    summed = 0
    add_up = estimating._add

    def counting(*arguments: Any) -> CostEstimate:
        nonlocal summed
        summed += 1
        return add_up(*arguments)

    monkeypatch.setattr(estimating, "_add", counting)
    cost = estimate_cost(tangle, random_model().client)
    assert cost.is_lower_bound
    assert cost.calls > 1
    assert math.isfinite(cost.tokens)
    assert summed < 2 * most


def test_an_automaton_with_errors_has_no_estimate() -> None:
    with pytest.raises(InputError, match="endless cycle"):
        estimate_cost(Automaton([Text(uid="a", text="a", successors="a")]), random_model().client)


@pytest.mark.parametrize(
    ("action", "tokens"),
    [
        (Choose(uid="c", choices=("ab", "ac")), 3),
        (Choose(uid="c", choices=("ab", "ac"), suffix="\n"), 5),
        (Choose(uid="c", choices=("ab", "ac"), suffix=EOS), 5),
        (Choose(uid="c", choices=("ab", "ac"), norm="pmi", unconditional_prompt="xy"), 6 + 2 + 1),
        (Complete(uid="c", length=4, beams=3), 12),
        (Complete(uid="c", length=4, samples=2), 8),
        (Text(uid="c", text="abc", evaluate=True), 3),
        (Text(uid="c", text=Prompt((TextPiece("a"), TextPiece("bc")))), 3),
    ],
)
def test_estimates_count_each_action(action: Action, tokens: int) -> None:
    model = random_model(bos=True)
    assert estimate_cost(Automaton([action]), model.client).tokens == 1 + tokens


def test_an_action_of_an_unknown_kind_is_an_error() -> None:
    class Lookup(Action):
        pass

    (error,) = Automaton([Lookup(uid="a")]).errors()
    assert error.message == "is a Lookup: give a Text, Messages, a Choose, a Complete or an Ask"
