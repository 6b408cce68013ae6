"""Random automata for both implementations, from Hypothesis, and a comparison of their trees."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from autocog_core import (
    EOS,
    AutocogError,
    Automaton,
    Budget,
    Choose,
    Complete,
    Model,
    Text,
    ThoughtNode,
    ThoughtTree,
)
from autocog_core.automaton import Action, Regex, Strings
from autocog_llamacpp import LLaMa
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import LARGE, graphs, seldom
from tests.support.llamacpp.gguf_models import MERGES, byte_values

Draw = Callable[[st.SearchStrategy[Any]], Any]
Result = ThoughtTree | AutocogError

BYTES = byte_values()
#: Unusual tokens, in which stop strings begin and characters end.
ODD = ((BYTES[0xA9], "."), (BYTES[0xA5], "a"), ("b", "."), ("a", "."), ("1", BYTES[0x0A]))
MORE_MERGES = (*MERGES, ("a", "b"), (BYTES[0xC3], BYTES[0xA9]), *ODD)
#: The mark is a special token of the tiny files that does not end a text.
WORLD = replace(
    LARGE,
    mark="<|start|>",
    # Most of them begin or end inside a token.
    stops=(".", ".", ".", "a", "a", "\n", "0", "n", "b", "ab", "é", "a.", "1\n"),
    sets=(
        *LARGE.sets,
        Strings(("10", " the", "in", " Paris", "a.", "on", "ab")),
        ~Regex(r"[A-Za-z0-9]+"),
        ~Strings(("a", "b")),
    ),
    free=st.booleans(),
)
#: Automata with cycles have thousands.
MAX_PATHS = 40
#: Maximum difference of log-probabilities per token.
TOLERANCE = 1e-5
NUMBERS = ("logprobs", "path_logprob", "prob", "prob_bounds")
COUNTS = ("model_calls", "tokens_evaluated", "unique_tokens")
#: A path of it can be longer than the context.
LONG = "a.b 1" * 20


def favour(writer: Any) -> None:
    """Make tokens of the generated automata likelier than other bytes."""
    weights = writer.tensors[0]["output.weight"].tensor
    likelier = [*sorted(set("".join(WORLD.parts).encode())), *range(256, len(weights))]
    weights[np.array(likelier)] *= 1.5
    first_odd = 256 + len(MERGES) + 2
    ends = [*range(first_odd, first_odd + len(ODD)), first_odd + len(ODD) + 1]
    weights[[*ends, *"é日".encode()]] *= 1.5


@dataclass(frozen=True)
class Case:
    """An automaton and its run options, as printable data."""

    actions: tuple[Action, ...]
    budget: Budget
    top: int | None

    @property
    def automaton(self) -> Automaton:
        return Automaton(self.actions, {"named": WORLD.sets[0]})

    def runs(self) -> list[dict[str, Any]]:
        """Return the arguments of the compared runs. The second one finds cached tokens."""
        best = {"order": "best_first", "top": self.top, "budget": self.budget}
        return [{"budget": self.budget}, {"budget": Budget(paths=MAX_PATHS)}, best]


@st.composite
def cases(draw: Draw, bos: bool) -> Case:
    actions = [_on_one_model(draw, action, bos) for action in draw(graphs(WORLD, bos))]
    first = actions[0]
    if isinstance(first, Text) and isinstance(first.text, str) and draw(seldom):
        actions[0] = replace(first, text=LONG[: draw(st.integers(60, 100))] + first.text)
    budget = Budget(
        tokens=draw(st.sampled_from([None, None, None, 3, 12, 40])),
        paths=draw(st.sampled_from([MAX_PATHS, MAX_PATHS, MAX_PATHS, 1, 2, 5])),
    )
    return Case(tuple(actions), budget, draw(st.sampled_from([None, 1, 2])))


def _on_one_model(draw: Draw, action: Action, bos: bool) -> Action:
    if isinstance(action, Choose):
        alone = bos and action.norm == "pmi" and draw(st.booleans())
        return replace(
            _best_only(draw, action),
            model=None,
            unconditional_prompt=None if alone else action.unconditional_prompt,
            suffix=EOS if draw(seldom) else action.suffix,
        )
    return action if isinstance(action, Text) else replace(action, model=None)


def _best_only(draw: Draw, action: Choose) -> Choose:
    """Return the action, often with only its best choices."""
    top = draw(st.sampled_from([None, None, 1, 2, 3]))
    if top is None:
        return replace(action, top=None)
    width = top if action.width is None else min(top, action.width)
    return replace(action, top=top, width=width, threshold=0.0)


def result_of(automaton: Automaton, model: Model, **options: Any) -> Result:
    """Return the tree of a run, or its error."""
    try:
        return automaton.run(model, **options)
    except AutocogError as error:
        return error


def check_equal(found: Result, expected: Result, counts: Sequence[str] = COUNTS) -> None:
    """Check that the extension's tree or error equals that of core's evaluator.

    :param counts: the statistics that must be equal.
    """
    if isinstance(found, AutocogError) or isinstance(expected, AutocogError):
        assert type(found) is type(expected), f"{found!r} is not {expected!r}"
        assert str(found) == str(expected), f"{found} is not: {expected}"
        return
    assert found.provenance == {**expected.provenance, "evaluator": "engine"}
    assert found.stopped_by == expected.stopped_by
    assert [node.text for node in found.nodes] == [node.text for node in expected.nodes]
    for index, (node, expected_node) in enumerate(zip(found.nodes, expected.nodes, strict=True)):
        for field in fields(ThoughtNode):
            if field.name not in NUMBERS:
                message = f"node {index}: {field.name}"
                assert getattr(node, field.name) == getattr(expected_node, field.name), message
        for logprob, expected_logprob in zip(node.logprobs, expected_node.logprobs, strict=True):
            _check_near(logprob, expected_logprob, TOLERANCE)
        tolerance = TOLERANCE * max(1, node.length)
        _check_near(node.path_logprob, expected_node.path_logprob, tolerance)
        # The error of a share includes the errors of the siblings.
        tolerance = 2 * TOLERANCE * max(1, len(node.tokens))
        for share, expected_share in zip(_shares(node), _shares(expected_node), strict=True):
            _check_near(share, expected_share, tolerance)
    for name in counts:
        assert found.stats[name] == expected.stats[name], name


def _shares(node: ThoughtNode) -> tuple[float, ...]:
    """Return the node's probability, or if it is unknown, its bounds."""
    return (node.prob_bounds or ()) if node.prob is None else (node.prob,)


def _check_near(value: float, expected: float, tolerance: float) -> None:
    # Both may be -inf.
    assert value == expected or abs(value - expected) <= tolerance, f"{value} is not {expected}"


def compare(case: Case, models: Sequence[LLaMa]) -> set[str]:
    """Compare the runs of a case. Return the features that occurred.

    :param models: in C++ and in Python.
    """
    seen: set[str] = set()
    for model in models:
        model.engine.clear_caches()
    for options in case.runs():
        found, expected = (
            result_of(case.automaton, model.as_model(), **options) for model in models
        )
        check_equal(found, expected)
        seen |= features(case, found)
    return seen


def compare_sessions(models: Sequence[LLaMa], number: int, examples: int) -> Counter[str]:
    """Compare random cases. Return the number of cases in which each feature occurred."""
    strategy = cases(models[0].as_model().info.adds_bos)

    def check(case: Case) -> Iterator[str]:
        yield "compared"
        yield from compare(case, models)

    # Shrinking a failing case takes longer than finding it.
    return compare_drawn(strategy, check, number, examples, make_small=False)


def features(case: Case, found: Result) -> set[str]:
    """Return the features of automata that occur in a result."""
    if isinstance(found, AutocogError):
        return {type(found).__name__}
    seen = {f"stopped: {found.stopped_by}"}
    by_uid = case.automaton.by_uid
    for node in found.nodes:
        action = by_uid[node.uid]
        seen |= {f"pruned: {node.pruned_by}", f"finish: {node.finish_reason}"}
        if node.retokenized:
            seen.add("retokenized")
        if math.isinf(node.path_logprob):
            seen.add("impossible")
        if isinstance(action, Text):
            seen |= {f"a text, {'scored' if node.logprobs else 'given'}"}
            if not node.text:
                seen.add("an empty text")
        elif isinstance(action, Choose):
            end = "EOS" if action.suffix is EOS else "text" if action.suffix else "none"
            alone = action.norm == "pmi" and action.unconditional_prompt is None
            seen |= {f"norm: {action.norm}", f"end: {end}"}
            if action.top is not None:
                seen.add("a part of the choices" if node.prob is None else "the best of all")
                if len(action.successors) > 1:
                    seen.add("the best, successors of their own")
            if alone:
                seen.add("pmi after BOS")
            if len(action.successors) > 1:
                seen.add("successors of their own")
        elif isinstance(action, Complete):
            seen |= {f"beams: {action.beams}", f"length_penalty: {action.length_penalty}"}
            if action.vocab is not None:
                seen.add("a set of tokens")
            if not node.text.isascii():
                seen.add("more than ASCII")
                if node.retokenized and not node.text[-1].isascii():
                    seen.add("back to a character's first token")
    return seen
