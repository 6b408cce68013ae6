"""Token sets of a program file: resolve their names, and write them."""

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
from autocog_core.errors import InputError, shorten
from autocog_core.program import token_set_schema as schema
from autocog_core.program.diagnostics import Diagnostic
from autocog_core.program.document import MAX_VALUES, DataPath

#: Levels of operations that are written. Files cannot have more than `MAX_DEPTH`.
_MAX_WRITTEN_DEPTH = 150
#: Names of a cycle in a message.
_MAX_SHOWN_NAMES = 6


def read_vocabs(
    vocabs: Mapping[str, schema.AnyVocab], errors: list[Diagnostic]
) -> dict[str, Vocabulary]:
    """Return the named sets.

    :param vocabs: the sets in the file, by name.
    :param errors: the list to which errors are added.
    """
    for name, vocab in vocabs.items():
        errors += unknown_names(vocab, vocabs, ("vocabs", name))
    references = {
        name: {operand for operand in _referenced_names(vocab) if operand in vocabs}
        for name, vocab in vocabs.items()
    }
    try:
        order = list(TopologicalSorter(references).static_order())
    except CycleError as error:
        cycle = error.args[1]
        names = [*map(shorten, cycle[:_MAX_SHOWN_NAMES])]
        names += ["..."] if len(cycle) > _MAX_SHOWN_NAMES else []
        message = "contains itself: " + " > ".join(names)
        errors.append(Diagnostic(("vocabs", cycle[0]), message))
        # Any order will do, so that the names are known.
        order = list(vocabs)
    sets: dict[str, Vocabulary] = {}
    for name in order:
        sets[name] = make_vocabulary(vocabs[name], sets)
    return sets


def make_vocabulary(vocab: Any, named_sets: Mapping[str, Vocabulary]) -> Vocabulary:
    """Return the set for a schema. An unknown name gives an empty set, see `unknown_names`."""
    match vocab:
        case str():
            return named_sets.get(vocab, Union(()))
        case schema.TokensSchema():
            return Tokens(tuple(vocab.tokens))
        case schema.StringsSchema():
            return Strings(tuple(vocab.strings))
        case schema.RegexSchema():
            return Regex(vocab.regex)
        case schema.UnionSchema():
            return Union(tuple(make_vocabulary(operand, named_sets) for operand in vocab.union))
        case schema.IntersectSchema():
            operands = tuple(make_vocabulary(operand, named_sets) for operand in vocab.intersect)
            return Intersect(operands)
        case schema.DifferenceSchema():
            first, second = (make_vocabulary(operand, named_sets) for operand in vocab.difference)
            return Difference(first, second)
    assert isinstance(vocab, schema.ComplementSchema)
    return Complement(make_vocabulary(vocab.complement, named_sets))


def unknown_names(vocab: Any, vocabs: Mapping[str, Any], path: DataPath) -> Iterator[Diagnostic]:
    """Yield an error for each unknown name in a set.

    :param vocab: the set's schema, or a name.
    :param vocabs: the known names.
    :param path: where the set is in the program.
    """
    for name in sorted({name for name in _referenced_names(vocab) if name not in vocabs}):
        message = f'unknown vocab "{shorten(name)}"'
        if not vocabs:
            message += "; the program has no vocabs"
        yield Diagnostic(path, message, name=name, valid_names=vocabs)


def _referenced_names(vocab: Any) -> Iterator[str]:
    match vocab:
        case str():
            yield vocab
        case schema.UnionSchema():
            for operand in vocab.union:
                yield from _referenced_names(operand)
        case schema.IntersectSchema():
            for operand in vocab.intersect:
                yield from _referenced_names(operand)
        case schema.DifferenceSchema():
            for operand in vocab.difference:
                yield from _referenced_names(operand)
        case schema.ComplementSchema():
            yield from _referenced_names(vocab.complement)


class TokenSetWriter:
    """Writes sets as plain data, with the names of the automaton's sets as operands.

    :param vocabs: the automaton's sets.
    """

    def __init__(self, vocabs: Mapping[str, Vocabulary]) -> None:
        self._vocabs = vocabs
        self._names = {vocabulary.digest: name for name, vocabulary in vocabs.items()}
        self._values_left = MAX_VALUES

    def write_named(self) -> dict[str, Any]:
        """Return the automaton's sets by name."""
        return {name: self.write(vocabulary) for name, vocabulary in self._vocabs.items()}

    def write(self, vocabulary: Vocabulary, depth: int = 1) -> dict[str, Any]:
        """Return a set as plain data.

        :param vocabulary: the set.
        :param depth: how many sets it is nested in, and itself.
        :raises InputError: for a set that is nested deeply, or shares operands often: its data
            would be huge.
        """
        self._values_left -= 1
        if depth > _MAX_WRITTEN_DEPTH or self._values_left < 0:
            raise InputError(
                f"cannot write a set that is nested more than {_MAX_WRITTEN_DEPTH} levels deep, "
                f"or has more than {MAX_VALUES} parts",
                where="vocab",
                hint="add its parts to the automaton's vocabs",
            )
        match vocabulary:
            case Tokens(strings):
                return {"tokens": list(strings)}
            case Strings(strings):
                return {"strings": list(strings)}
            case Regex(pattern):
                return {"regex": pattern}
            case Union(operands):
                return {"union": [self._write_operand(operand, depth) for operand in operands]}
            case Intersect(operands):
                return {"intersect": [self._write_operand(operand, depth) for operand in operands]}
            case Difference(first, second):
                operands = (first, second)
                return {"difference": [self._write_operand(operand, depth) for operand in operands]}
            case Complement(operand):
                return {"complement": self._write_operand(operand, depth)}
        raise TypeError(f"not a set of tokens: {vocabulary!r}")

    def _write_operand(self, vocabulary: Vocabulary, depth: int) -> Any:
        name = self._names.get(vocabulary.digest)
        return self.write(vocabulary, depth + 1) if name is None else name
