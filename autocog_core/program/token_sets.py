"""Sets of tokens out of a program file: names are resolved, and may not go in circles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from autocog_core.automaton.token_sets import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)
from autocog_core.errors import InputError, cut
from autocog_core.program import token_set_schema as shape
from autocog_core.program.document import MOST_VALUES, Path_
from autocog_core.program.faults import Fault

#: Levels of operations that are written out; files have fewer.
_DEEPEST = 150


def read_vocabs(shapes: Mapping[str, shape.AnyVocab], faults: list[Fault]) -> dict[str, Vocabulary]:
    """The named sets; what is wrong goes to `faults`."""
    for name, one in shapes.items():
        faults += check_names(one, shapes, ("vocabs", name))
    graph = {
        name: {other for other in _names(one) if other in shapes} for name, one in shapes.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = error.args[1]
        shown = " > ".join(map(cut, circle[:6])) + (" > ..." if len(circle) > 6 else "")
        faults.append(Fault(("vocabs", circle[0]), f"is made of itself: {shown}"))
        # Others are known by their names all the same.
        order = list(shapes)
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


def check_names(one: Any, known: Mapping[str, Any], path: Path_) -> Iterator[Fault]:
    """Names in a set that are not there."""
    for name in sorted({name for name in _names(one) if name not in known}):
        what = f'unknown set of tokens "{cut(name)}"'
        yield Fault(path, what if known else f'{what}: there are no "vocabs"', name, known)


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


class TokenSetWriter:
    """Sets as plain data, in which the automaton's own ones stand as their names.

    :param vocabs: the automaton's sets.
    """

    def __init__(self, vocabs: Mapping[str, Vocabulary]) -> None:
        self._vocabs = vocabs
        self._names = {one.digest: name for name, one in vocabs.items()}
        self._left = MOST_VALUES

    def named(self) -> dict[str, Any]:
        """The automaton's sets."""
        return {name: self.data(one) for name, one in self._vocabs.items()}

    def data(self, vocabulary: Vocabulary, depth: int = 1) -> dict[str, Any]:
        """A set, written out.

        :raises InputError: for one that is nested deeply, or shares much: it would grow huge.
        """
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise InputError(
                f"it is nested more than {_DEEPEST} levels deep, or has more than {MOST_VALUES} "
                "parts, and cannot be written",
                where="vocab",
                hint="give its parts names, among the automaton's vocabs",
            )
        match vocabulary:
            case Tokens(strings):
                return {"tokens": list(strings)}
            case Strings(strings):
                return {"strings": list(strings)}
            case Regex(pattern):
                return {"regex": pattern}
            case Union(operands):
                return {"union": [self._operand(each, depth) for each in operands]}
            case Intersect(operands):
                return {"intersect": [self._operand(each, depth) for each in operands]}
            case Difference(first, second):
                return {"difference": [self._operand(first, depth), self._operand(second, depth)]}
            case Complement(operand):
                return {"complement": self._operand(operand, depth)}
        raise TypeError(f"no set of tokens: {vocabulary!r}")

    def _operand(self, vocabulary: Vocabulary, depth: int) -> Any:
        name = self._names.get(vocabulary.digest)
        return self.data(vocabulary, depth + 1) if name is None else name
