"""YAML and JSON into plain data, in bounded time and memory, and the lines that its parts stand on.

YAML is read by the rules of YAML 1.2, under which `yes` and `no` are words and not truth values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autocog_core.errors import InputError, cut
from autocog_core.program.source import as_yaml, read_source

#: Values and characters in a document, those that aliases repeat counted again; levels of nesting.
MOST_VALUES = 250_000
MOST_CHARACTERS = 16 * 2**20
DEEPEST = 60

#: Keys and indices that lead to a part of a document.
Path_ = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,1000}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,1000}"), lambda text: int(text, 16)),
    (re.compile(r"0o[0-7]{1,1000}"), lambda text: int(text[2:], 8)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)


@dataclass(frozen=True)
class Document:
    """A file's data, and the line that each of its parts stands on, from 1.

    :ivar lines: for the parts that have one; not for those inside of an alias.
    """

    data: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int | None:
        """The line of a part, or of the nearest that it is in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_document(path: Path) -> Document:
    """A .yaml, .yml or .json file. JSON is read as YAML, of which it is a part.

    :raises InputError: for a file that is missing, too large, or neither.
    """
    return parse(read_source(path), str(path))


def parse(text: str, where: str) -> Document:
    """A document's text.

    :raises InputError: for text that is no YAML, or bounded nowhere.
    """
    source = as_yaml(text, where)
    try:
        return _Builder(yaml.parse(source, Loader=_LOADER), where).document()
    except yaml.MarkedYAMLError as error:
        lines = source.splitlines()
        mark = error.problem_mark
        # The end of a file may be told as a line behind it.
        number = min(mark.line, len(lines) - 1) if mark is not None else 0
        problem = ": ".join(part for part in (error.context, error.problem) if part)
        in_braces = re.search(r"\{[{%]", lines[number])
        raise InputError(
            problem or "is no YAML",
            where=f"{where}:{number + 1}",
            hint='put what has "{{" or "{%" in it in quotes' if in_braces else "",
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"is no YAML: {error}", where=where) from error


def plain(data: Any, where: str) -> Document:
    """Data that is there already, copied: it is bounded in the same way, and has no lines.

    :raises InputError: for what JSON could not say.
    """
    root: list[Any] = []
    values = 0
    # What is still to be copied: where to, under which key, and how deep it lies.
    stack: list[tuple[Any, Any, Any, int]] = [(root, None, data, 0)]
    while stack:
        into, key, value, depth = stack.pop()
        values += 1
        if values > MOST_VALUES or depth > DEEPEST:
            raise InputError(
                f"has more than {MOST_VALUES} values, or is nested more than {DEEPEST} levels deep",
                where=where,
            )
        copy = value
        if isinstance(value, Mapping):
            copy = {}
            if not all(isinstance(each, str) for each in value):
                raise InputError("a key must be text", where=where)
            entries = reversed(list(value.items()))
            stack += [(copy, name, inner, depth + 1) for name, inner in entries]
        elif isinstance(value, list | tuple):
            copy = [None] * len(value)
            stack += [(copy, index, inner, depth + 1) for index, inner in enumerate(value)]
        if into is root:
            root.append(copy)
        else:
            into[key] = copy
    return Document(root[0], {})


class _Builder:
    """Data out of the parser's events: a stack of what is open, so that depth costs no recursion.

    :param where: the file, for messages.
    """

    def __init__(self, events: Iterator[Any], where: str) -> None:
        self._events = events
        self._where = where
        self._lines: dict[Path_, int] = {}
        #: Values by their anchors, with how many values and characters they have.
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._values = 0
        self._characters = 0

    def document(self) -> Document:
        """The one document of the stream."""
        root: list[Any] = []
        outside = _Open(root, (), 0, 0, None)
        stack = [outside]
        documents = 0
        for event in self._events:
            top = stack[-1]
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise self._error("a second document begins here", event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    if event.tag is not None and not event.implicit:
                        raise self._error(f'the tag "{cut(event.tag)}" is not known', event)
                    value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                    if len(stack) > DEEPEST:
                        raise self._error(f"it is nested more than {DEEPEST} levels deep", event)
                    path = self._place(top, event)
                    self._count(1, 0, event)
                    stack.append(_Open(value, path, self._values, self._characters, event.anchor))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    done = stack.pop()
                    if done.anchor:
                        values = self._values - done.before + 1
                        characters = self._characters - done.characters
                        self._anchors[done.anchor] = (done.value, values, characters)
                    self._put(stack[-1], done.value)
                case yaml.ScalarEvent():
                    self._count(1, len(event.value), event)
                    self._scalar(top, event)
                case yaml.AliasEvent():
                    if event.anchor not in self._anchors:
                        name = cut(str(event.anchor))
                        raise self._error(f'the alias "{name}" names nothing yet', event)
                    value, values, characters = self._anchors[event.anchor]
                    self._count(values, characters, event)
                    self._place(top, event)
                    self._put(top, value)
        if not root:
            raise InputError("is empty", where=self._where)
        return Document(root[0], self._lines)

    def _scalar(self, top: _Open, event: Any) -> None:
        value = event.value
        if event.implicit[0]:
            value = _plain(value)
        elif event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._error(f'the tag "{cut(event.tag)}" is not known', event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, len(event.value))
        if isinstance(top.value, dict) and top.key is None:
            # `1: ...` and `yes: ...` name things as they are written.
            name = event.value
            if name in top.value:
                raise self._error(f'"{cut(name)}" is given twice', event)
            top.key = name
            self._lines[(*top.path, name)] = event.start_mark.line + 1
            return
        self._place(top, event)
        self._put(top, value)

    def _place(self, top: _Open, event: Any) -> Path_:
        """Where a value that begins goes to."""
        if isinstance(top.value, dict):
            if top.key is None:
                # What `text: {{ name }}` comes to.
                raise self._error(
                    "a key must be text", event, 'a text that begins with "{{" goes in quotes'
                )
            return (*top.path, top.key)
        if top.before == 0:
            # Outside of everything: the document itself.
            return ()
        path = (*top.path, len(top.value))
        self._lines[path] = event.start_mark.line + 1
        return path

    def _put(self, top: _Open, value: Any) -> None:
        if isinstance(top.value, dict):
            assert top.key is not None, "its place was looked for"
            top.value[top.key] = value
            top.key = None
        else:
            top.value.append(value)

    def _count(self, values: int, characters: int, event: Any) -> None:
        self._values += values
        self._characters += characters
        if self._values > MOST_VALUES:
            raise self._error(f"it has more than {MOST_VALUES} values", event)
        if self._characters > MOST_CHARACTERS:
            raise self._error(f"it has more than {MOST_CHARACTERS} characters", event)

    def _error(self, what: str, event: Any, hint: str = "") -> InputError:
        return InputError(what, where=f"{self._where}:{event.start_mark.line + 1}", hint=hint)


class _Open:
    """A list or mapping that is being read.

    :ivar before: how many values were read, itself included; 0 outside of the document.
    :ivar characters: how many characters were read before it.
    :ivar key: whose value is awaited.
    """

    def __init__(
        self, value: Any, path: Path_, before: int, characters: int, anchor: str | None
    ) -> None:
        self.value = value
        self.path = path
        self.before = before
        self.characters = characters
        self.anchor = anchor
        self.key: str | None = None


def _plain(text: str) -> Any:
    """What a word without quotes means, by YAML 1.2's core schema."""
    for pattern, meaning in _PLAIN:
        if pattern.fullmatch(text):
            return meaning(text)
    return text
