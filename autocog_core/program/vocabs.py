"""Sets of tokens out of a program file: names are resolved, and may not go in circles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from autocog_core.errors import did_you_mean
from autocog_core.fta.vocabularies import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)
from autocog_core.program import shape
from autocog_core.program.document import Path_
from autocog_core.program.faults import Fault


def read_vocabs(shapes: Mapping[str, shape.AnyVocab], faults: list[Fault]) -> dict[str, Vocabulary]:
    """The named sets; what is wrong goes to `faults`."""
    names = {name: set(_names(one)) for name, one in shapes.items()}
    for name, used in names.items():
        for other in sorted(used - shapes.keys()):
            faults.append(Fault(("vocabs", name), _unknown(other, shapes)))
    graph = {name: used & shapes.keys() for name, used in names.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = error.args[1]
        shown = " > ".join(circle[:6]) + (" > ..." if len(circle) > 6 else "")
        faults.append(Fault(("vocabs", circle[0]), f"is made of itself: {shown}"))
        return {}
    known: dict[str, Vocabulary] = {}
    for name in order:
        known[name] = vocab_of(shapes[name], known)
    return known


def vocab_of(one: Any, known: Mapping[str, Vocabulary]) -> Vocabulary:
    """The set that a shape stands for; what it names in vain is empty, and a fault elsewhere."""
    match one:
        case str():
            return known.get(one, Union(()))
        case shape.TokensShape():
            return Tokens(tuple(one.tokens))
        case shape.StringsShape():
            return Strings(tuple(one.strings))
        case shape.RegexShape():
            return Regex(one.regex)
        case shape.UnionShape():
            return Union(tuple(vocab_of(each, known) for each in one.union))
        case shape.IntersectShape():
            return Intersect(tuple(vocab_of(each, known) for each in one.intersect))
        case shape.DifferenceShape():
            first, second = (vocab_of(each, known) for each in one.difference)
            return Difference(first, second)
    assert isinstance(one, shape.ComplementShape)
    return Complement(vocab_of(one.complement, known))


def check_names(one: Any, known: Mapping[str, Vocabulary], path: Path_) -> Iterator[Fault]:
    """Names in an action's set that are not there."""
    for name in sorted(set(_names(one)) - known.keys()):
        yield Fault(path, _unknown(name, known))


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    hint = did_you_mean(name, known) or 'there are no "vocabs"'
    return f'unknown set of tokens "{name}": {hint}'


def _names(one: Any) -> Iterator[str]:
    match one:
        case str():
            yield one
        case shape.UnionShape():
            for each in one.union:
                yield from _names(each)
        case shape.IntersectShape():
            for each in one.intersect:
                yield from _names(each)
        case shape.DifferenceShape():
            for each in one.difference:
                yield from _names(each)
        case shape.ComplementShape():
            yield from _names(one.complement)


def vocabs_data(vocabs: Mapping[str, Vocabulary]) -> dict[str, Any]:
    """Named sets as plain data."""
    names = names_of(vocabs)
    return {name: _data(one, names) for name, one in vocabs.items()}


def vocab_data(vocabulary: Vocabulary, names: Mapping[bytes, str]) -> Any:
    """A set as plain data: its name, if it has one. Sets that share much would grow huge without.

    :param names: of the automaton's sets, by their digests.
    """
    name = names.get(vocabulary.digest)
    return _data(vocabulary, names) if name is None else name


def names_of(vocabs: Mapping[str, Vocabulary]) -> dict[bytes, str]:
    """The sets' names by their digests."""
    return {one.digest: name for name, one in vocabs.items()}


def _data(vocabulary: Vocabulary, names: Mapping[bytes, str]) -> dict[str, Any]:
    match vocabulary:
        case Tokens(strings):
            return {"tokens": list(strings)}
        case Strings(strings):
            return {"strings": list(strings)}
        case Regex(pattern):
            return {"regex": pattern}
        case Union(operands):
            return {"union": [vocab_data(each, names) for each in operands]}
        case Intersect(operands):
            return {"intersect": [vocab_data(each, names) for each in operands]}
        case Difference(first, second):
            return {"difference": [vocab_data(first, names), vocab_data(second, names)]}
        case Complement(operand):
            return {"complement": vocab_data(operand, names)}
    raise TypeError(f"no set of tokens: {vocabulary!r}")
