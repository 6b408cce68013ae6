"""The strategy "text" compared with "token_tree", on generated automata."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from autocog_core import EOS, Budget, Choose, Complete, InputError, Model, Text
from autocog_core.automaton import Action
from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import Case, cases
from tests.support.automata.with_fields import cases_with_fields
from tests.support.soak import count

BUDGET = Budget(paths=200)
NEAR = 1e-6


def without_sets(action: Action, *, beams: bool, models: bool) -> Action:
    """Return the action without a token set; optionally also without beams and other models."""
    if isinstance(action, Complete):
        action = replace(action, vocab=None, eos=True, beams=action.beams if beams else 1)
    return action if models else replace(action, model=None)


def compare_strategies(
    kind: str,
    vocabulary: str,
    number: int,
    examples: int,
    *,
    beams: bool = False,
    models: bool = False,
    fields: bool = False,
) -> Counter[str]:
    """Compare both strategies on a backend with exact `complete` and `choose`; count the events.

    Rows of "table" know text, those of "random" tokens.
    """

    def check(case: Case) -> Iterator[str]:
        actions = tuple(without_sets(action, beams=beams, models=models) for action in case.actions)
        return compare(replace(case, actions=actions))

    draw = cases_with_fields if fields else cases
    return compare_drawn(draw(kind, vocabulary), check, number, examples)


def compare(case: Case) -> Iterator[str]:
    models = case.models()
    main = models.pop(None)
    named = {name: model for name, model in models.items() if name is not None}
    try:
        exact = case.automaton.run(main, models=named, budget=BUDGET)
    except InputError:
        # A text that cannot be scored is no reason to refuse all: there it says so.
        with suppress(InputError):
            tree = case.automaton.run(main, models=named, budget=BUDGET, strategy="text")
            assert not all(node.exact for node in tree.nodes)
        yield "refused"
        return
    asked = case.automaton.run(main, models=named, budget=BUDGET, strategy="text")
    yield "compared"
    best, found = exact.best(partial=True), asked.best(partial=True)
    if found.text == best.text:
        yield "same"
        if found.exact:
            yield "same and exact"
            assert near(found.logprob, best.logprob)
    check_marks(case, asked, exact, {None: main, **named})
    yield from {node.reason for node in asked.nodes}


def check_marks(
    case: Case, asked: ThoughtTree, exact: ThoughtTree, models: dict[str | None, Model]
) -> None:
    """Nodes marked exact equal those of "token_tree"; on partly exact paths, check their tokens."""
    known = {key(path): path.end for path in paths(exact)}
    for path in paths(asked):
        node = path.end
        assert node.exact == (not node.reason)
        if not node.exact:
            continue
        if path.exact and exact.stopped_by is None and asked.stopped_by is None:
            reference = known.get(key(path))
            # Beside a branch that is not exact, what is pruned may differ.
            if reference is None:
                assert not all(each.exact for each in asked.nodes)
                continue
            assert near(node.path_logprob, reference.path_logprob)
            assert near(node.prob, reference.prob)
            assert all(map(near, node.logprobs, reference.logprobs))
            assert len(node.logprobs) == len(reference.logprobs)
        elif (before := context(case, path, models)) is not None and node.logprobs:
            client = models[node.model].client
            for place, (token, logprob) in enumerate(zip(node.tokens, node.logprobs, strict=True)):
                row = client.greedy([*before, *node.tokens[:place]])
                assert near(logprob, float(row[token])) or token in client.info.eos


def paths(tree: ThoughtTree) -> Iterator[ThoughtPath]:
    return (ThoughtPath(tree, index) for index in range(len(tree.nodes)))


def key(path: ThoughtPath) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    return tuple((node.uid, node.text, node.tokens) for node in path.nodes)


def near(one: float, other: float) -> bool:
    # Equal first: both may be -inf.
    return one == other or abs(one - other) < NEAR


def context(case: Case, path: ThoughtPath, models: dict[str | None, Model]) -> list[int] | None:
    """Return the ids before a path's last node; None if its nodes do not determine them."""
    nodes = path.context_nodes
    if any(node.model is not None or node.retokenized for node in nodes):
        return None
    info = models[None].info
    before = [info.bos] if info.adds_bos and info.bos is not None else []
    for node in nodes[:-1]:
        handed = handed_on(case.automaton.by_uid[node.uid], node, models[None])
        if handed is None:
            return None
        before += handed
    return before or None


def handed_on(action: Action, node: ThoughtNode, model: Model) -> tuple[int, ...] | None:
    if isinstance(action, Text):
        return node.tokens
    kept = len(node.tokens)
    if node.finish_reason == "eos" or (isinstance(action, Choose) and action.suffix is EOS):
        kept -= 1
    elif node.finish_reason == "stop" or (isinstance(action, Choose) and action.suffix is not None):
        return None
    if not math.isfinite(node.path_logprob):
        return None
    return node.tokens[:kept]


def test_best_paths_equal_those_of_the_token_tree_strategy() -> None:
    seen = compare_strategies("table", "merges", number=0, examples=40)
    assert seen["same"] >= 0.99 * seen["compared"] > 30


def test_best_paths_with_fields_and_new_texts_equal_those_of_the_token_tree_strategy() -> None:
    seen = compare_strategies(
        "table", "merges", number=16, examples=count(normal=15, soak=300), fields=True
    )
    assert seen["same"] >= 0.97 * seen["compared"] > 8


@pytest.mark.soak
def test_many_best_paths_equal_those_of_the_token_tree_strategy() -> None:
    """The others: as text, a choice forms one token with the text decided before it. Its score is
    then that of other tokens, and its nodes say so (tests/unit/test_text_strategy.py has a case).
    """
    seen: Counter[str] = Counter()
    for number in range(6):
        seen += compare_strategies("table", ("merges", "bytes")[number % 2], number, examples=60)
    assert seen["compared"] >= 300
    assert seen["same"] >= 0.99 * seen["compared"]
    assert seen["same and exact"] >= 0.75 * seen["compared"]


@pytest.mark.parametrize(
    ("kind", "vocabulary", "least"),
    [
        ("table", "merges", 0.6),
        ("table", "bytes", 0.6),
        ("random", "merges", 0.2),
    ],
)
def test_nodes_marked_exact_have_exact_numbers(kind: str, vocabulary: str, least: float) -> None:
    """Samples may differ from beams, and models may prefer other tokens of the same text."""
    examples = count(normal=12, soak=40)
    seen = compare_strategies(kind, vocabulary, 7, examples, beams=True, models=True)
    assert seen["2 samples in place of beams: a search needs token distributions"]
    assert seen["the text so far has other tokens than those decided on the path"]
    assert seen["same"] >= least * seen["compared"]
