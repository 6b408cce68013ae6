"""Read YAML and JSON as plain data, with the line of each part and in limited time and memory.

The rules for unquoted words are those of YAML 1.2, in which `yes` and `no` are texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autocog_core.errors import InputError, shorten
from autocog_core.program.source import read_source, to_yaml

#: Values and characters in a document. Those behind an alias count each time.
MAX_VALUES = 250_000
MAX_CHARACTERS = 16 * 2**20
#: Levels of nesting.
MAX_DEPTH = 60

#: The keys and indices that lead to a part of a document.
DataPath = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: tuple[tuple[re.Pattern[str], Any], ...] = (
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


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file's data with its lines.

    :ivar data: the data.
    :ivar lines: the line of each part, from 1; parts behind an alias have none.
    """

    data: Any
    lines: Mapping[DataPath, int]

    def line(self, path: DataPath) -> int | None:
        """Return the line of a part, or of the innermost part around it that has a line."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_document(path: Path) -> Document:
    """Read a .yaml, .yml or .json file.

    :raises InputError: for a file that is missing, too large, or not valid.
    """
    return parse(read_source(path), str(path))


def parse(text: str, where: str) -> Document:
    """Parse a document. JSON is parsed as YAML.

    :param text: the document.
    :param where: the file, for messages.
    :raises InputError: for text that is not valid YAML, or exceeds a limit.
    """
    source = to_yaml(text, where)
    try:
        return _DocumentBuilder(yaml.parse(source, Loader=_LOADER), where).build()
    except yaml.MarkedYAMLError as error:
        lines = source.splitlines()
        mark = error.problem_mark
        # The end of the file may have the index of a line behind the last one.
        index = min(mark.line, len(lines) - 1) if mark is not None else 0
        context = error.context
        if context and error.context_mark is not None and error.context_mark.line != index:
            context += f" from line {error.context_mark.line + 1}"
        problem = ": ".join(part for part in (context, error.problem) if part)
        raise InputError(
            f"is not valid YAML: {problem}" if problem else "is not valid YAML",
            where=f"{where}:{index + 1}",
            hint=_yaml_hint(problem, lines[index]),
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"is not valid YAML: {error}", where=where) from error


def _yaml_hint(problem: str, line: str) -> str:
    """Return a hint for a common mistake in YAML, or ""."""
    if re.search(r"\{[{%]", line):
        return 'put texts with "{{" or "{%" in quotes'
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in problem:
        return 'put a text with ": " in quotes'
    if "scanning an alias" in problem or "scanning an anchor" in problem:
        return 'put a text that begins with "*" or "&" in quotes'
    if "parsing a block" in problem:
        return "check the indentation"
    return ""


def copy_plain_data(data: Any, where: str) -> Document:
    """Copy data of mappings and lists into a document without lines, with the limits of a file.

    :param data: the data; other values than mappings and lists are not copied.
    :param where: the name of the data, for messages.
    :raises InputError: for data that exceeds a limit, or has keys that are not text.
    """
    root: list[Any] = []
    values = 0
    # Each entry is a value to copy: target container, key in it, value, depth.
    stack: list[tuple[Any, Any, Any, int]] = [(root, None, data, 0)]
    while stack:
        target, key, value, depth = stack.pop()
        values += 1
        if values > MAX_VALUES or depth > MAX_DEPTH:
            raise InputError(
                f"has more than {MAX_VALUES} values, or is nested more than {MAX_DEPTH} levels "
                "deep",
                where=where,
            )
        copy = value
        if isinstance(value, Mapping):
            copy = {}
            if not all(isinstance(name, str) for name in value):
                raise InputError("a key is not text", where=where)
            entries = reversed(list(value.items()))
            stack += [(copy, name, entry, depth + 1) for name, entry in entries]
        elif isinstance(value, list | tuple):
            copy = [None] * len(value)
            stack += [(copy, index, entry, depth + 1) for index, entry in enumerate(value)]
        if target is root:
            root.append(copy)
        else:
            target[key] = copy
    return Document(data=root[0], lines={})


@dataclass(kw_only=True)
class _OpenContainer:
    """A mapping or list whose end is not read yet.

    :ivar value: the entries so far.
    :ivar path: where it is in the document.
    :ivar values_before: the number of values read up to and including it; 0 for the root.
    :ivar characters_before: the number of characters read before it.
    :ivar anchor: the name by which aliases repeat it.
    :ivar key: in a mapping, the key whose value comes next.
    """

    value: Any
    path: DataPath
    values_before: int
    characters_before: int
    anchor: str | None
    key: str | None = None


class _DocumentBuilder:
    """Builds data from a parser's events, with a stack instead of recursion.

    :param events: the events of a YAML parser.
    :param where: the file, for messages.
    """

    def __init__(self, events: Iterator[Any], where: str) -> None:
        self._events = events
        self._where = where
        self._lines: dict[DataPath, int] = {}
        #: Values by their anchors, with their number of values and characters.
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._values = 0
        self._characters = 0
        self._root: list[Any] = []
        self._stack = [
            _OpenContainer(
                value=self._root, path=(), values_before=0, characters_before=0, anchor=None
            )
        ]

    def build(self) -> Document:
        """Return the only document of the stream."""
        documents = 0
        for event in self._events:
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        hint = "write each program into its own file"
                        raise self._error(event, "a second document begins here", hint)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._open(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case yaml.ScalarEvent():
                    self._add_scalar(event)
                case yaml.AliasEvent():
                    self._add_alias(event)
        if not self._root:
            raise InputError("is empty", where=self._where)
        return Document(data=self._root[0], lines=self._lines)

    def _open(self, event: Any) -> None:
        if event.tag is not None and not event.implicit:
            raise self._tag_error(event)
        if len(self._stack) > MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} levels deep")
        path = self._next_path(event)
        self._count(event, 1, 0)
        container = _OpenContainer(
            value={} if isinstance(event, yaml.MappingStartEvent) else [],
            path=path,
            values_before=self._values,
            characters_before=self._characters,
            anchor=event.anchor,
        )
        self._stack.append(container)

    def _close(self) -> None:
        container = self._stack.pop()
        if container.anchor:
            values = self._values - container.values_before + 1
            characters = self._characters - container.characters_before
            self._anchors[container.anchor] = (container.value, values, characters)
        self._add(container.value)

    def _add_scalar(self, event: Any) -> None:
        self._count(event, 1, len(event.value))
        value = event.value
        if event.implicit[0]:
            value = _resolve_word(value)
        elif event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._tag_error(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, len(event.value))
        top = self._stack[-1]
        if isinstance(top.value, dict) and top.key is None:
            # Keys such as `1` and `yes` are names as they are written.
            key = event.value
            if key in top.value:
                raise self._error(event, f'duplicate key "{shorten(key)}"')
            top.key = key
            self._lines[(*top.path, key)] = event.start_mark.line + 1
            return
        self._next_path(event)
        self._add(value)

    def _add_alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            name = shorten(str(event.anchor))
            hint = f'put a text that begins with "*" in quotes, or define "&{name}" before it'
            raise self._error(event, f'unknown alias "{name}"', hint)
        value, values, characters = self._anchors[event.anchor]
        self._count(event, values, characters)
        self._next_path(event)
        self._add(value)

    def _next_path(self, event: Any) -> DataPath:
        """Return the path of a value that begins, and note its line."""
        top = self._stack[-1]
        if isinstance(top.value, dict):
            if top.key is None:
                # YAML reads `text: {{ name }}` as a mapping with a mapping as its key.
                hint = 'put a text that begins with "{{" in quotes'
                raise self._error(event, "a key is not text", hint)
            return (*top.path, top.key)
        if top.value is self._root:
            return ()
        path = (*top.path, len(top.value))
        self._lines[path] = event.start_mark.line + 1
        return path

    def _add(self, value: Any) -> None:
        top = self._stack[-1]
        if isinstance(top.value, dict):
            assert top.key is not None, "_next_path requires a key"
            top.value[top.key] = value
            top.key = None
        else:
            top.value.append(value)

    def _count(self, event: Any, values: int, characters: int) -> None:
        self._values += values
        self._characters += characters
        if self._values > MAX_VALUES:
            raise self._error(event, f"has more than {MAX_VALUES} values")
        if self._characters > MAX_CHARACTERS:
            raise self._error(event, f"has more than {MAX_CHARACTERS} characters")

    def _tag_error(self, event: Any) -> InputError:
        hint = 'put a text that begins with "!" in quotes; programs have no tags'
        return self._error(event, f'unknown tag "{shorten(event.tag)}"', hint)

    def _error(self, event: Any, message: str, hint: str = "") -> InputError:
        line = event.start_mark.line + 1
        return InputError(message, where=f"{self._where}:{line}", hint=hint)


def _resolve_word(text: str) -> Any:
    """Return the value of a word without quotes, by the core schema of YAML 1.2."""
    for pattern, convert in _WORDS:
        if pattern.fullmatch(text):
            return convert(text)
    return text
