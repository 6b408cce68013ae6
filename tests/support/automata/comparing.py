"""Comparison of a tree with the expected steps, and the features of a test case."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from autocog_core import Choose, Complete, Model, Text
from autocog_core.automaton import Action
from autocog_core.types.thought_tree import ThoughtTree
from tests.support.automata.generated import Case
from tests.support.automata.reading import Step

#: Fields of a node that are equal to the step's, and what the step calls them.
EXACT = {name: name for name in ("uid", "text", "tokens", "length", "last", "retokenized")}
EXACT |= {"pruned_by": "pruned", "finish_reason": "finish", "name": "name", "model": "model"}
EXACT["unconditional_prompt"] = "unconditional"
NEAR = 1e-6


def check_tree(
    tree: ThoughtTree, steps: Sequence[Step], fresh: Collection[str] = frozenset()
) -> None:
    """Check that a tree has exactly the expected steps, in order.

    :param fresh: the uids of actions that begin a new text.
    """
    count = sum(1 for _ in walk(steps))
    assert len(tree.nodes) == count, f"{len(tree.nodes)} nodes, not {count}"
    assert tree.stopped_by is None
    _check(tree, tree.children[-1], steps, "", fresh)


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from walk(step.children)


def _check(
    tree: ThoughtTree,
    indices: Sequence[int],
    steps: Sequence[Step],
    where: str,
    fresh: Collection[str],
) -> None:
    assert len(indices) == len(steps), f"{len(indices)} nodes, not {len(steps)}, after {where!r}"
    for index, step in zip(indices, steps, strict=True):
        node = tree.nodes[index]
        place = f"{where}/{step.uid} {step.text!r}"
        for name, called in EXACT.items():
            found, expected = getattr(node, name), getattr(step, called)
            assert found == expected, f"{place}: {name} is {found!r}, not {expected!r}"
        assert node.exact
        assert node.context_parent == (-1 if step.uid in fresh else node.parent), place
        assert len(node.logprobs) == len(step.logprobs), f"{place}: {node.logprobs}"
        _near(place, "logprobs", node.logprobs, step.logprobs)
        _near(place, "logprob", [node.path_logprob], [step.logprob])
        _near(place, "prob", [node.prob], [step.prob])
        _check(tree, tree.children[index], step.children, place, fresh)


def _near(place: str, name: str, found: Sequence[float], expected: Sequence[float]) -> None:
    for one, other in zip(found, expected, strict=True):
        # Equal first: both may be -inf.
        assert one == other or abs(one - other) < NEAR, f"{place}: {name} {one}, not {other}"


def features(case: Case, models: Mapping[str | None, Model], steps: Sequence[Step]) -> set[str]:
    """Return the features of automata that a case covers."""
    found = set()
    by_uid = case.automaton.by_uid
    for step in walk(steps):
        action = by_uid[step.uid]
        found |= set(_of_action(action))
        if step.pruned in ("width", "threshold", "duplicate"):
            found.add(f"pruned: {step.pruned}")
        if step.finish is not None:
            found.add(f"finish: {step.finish}")
        if isinstance(action, Text) and step.logprobs:
            found.add("a text scored")
        if step.retokenized:
            found.add("retokenized")
        if step.model is not None and step.children:
            found.add("a text for another model")
        if not case.options["bos"] and step.tokens:
            found.add("no BOS")
        if not isinstance(action, Text) and _splits_a_character(models[step.model], step):
            found.add("a character split over tokens")
    return found


def _splits_a_character(model: Model, step: Step) -> bool:
    """Whether its tokens split a character, and its text has only whole characters."""
    replaced = "\N{REPLACEMENT CHARACTER}"
    parts = [model.detokenize([token]) for token in step.tokens]
    return not step.text.isascii() and replaced not in step.text and replaced in "".join(parts)


def _of_action(action: Action) -> Iterator[str]:
    if isinstance(action, Choose):
        yield f"norm: {action.norm}"
        yield f"end: {'text' if isinstance(action.suffix, str) else action.suffix}"
        if len(set(action.successors)) > 1:
            yield "successors of their own"
    if isinstance(action, Complete):
        if action.vocab is not None:
            yield "a set of tokens"
        if action.beams > 1:
            yield f"beams, length_penalty {action.length_penalty}"
