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

from autocog_core.errors import InputError

#: Bytes of a file; values in it, those that aliases repeat counted again; levels of nesting.
MOST_BYTES = 16 * 2**20
MOST_VALUES = 500_000
DEEPEST = 60

#: Keys and indices that lead to a part of a document.
Path_ = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: A character beyond 16 bits as JSON escapes it, and escaped backslashes, which are none.
_SURROGATES = re.compile(r"\\\\|\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)")
_PLAIN: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,30}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,30}"), lambda text: int(text, 16)),
    (re.compile(r"0o[0-7]{1,30}"), lambda text: int(text[2:], 8)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)


@dataclass(frozen=True)
class Document:
    """A file's data, and the line that each of its parts stands on, from 1.

    :ivar lines: for the parts that have one; aliases have the lines of what they name.
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
    where = str(path)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(
                f"the file has {size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20} MiB",
                where=where,
                hint="put what is long into the inputs",
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is no UTF-8 text (byte {error.start})", where=where) from error
    return parse(text, where)


def parse(text: str, where: str) -> Document:
    """A document's text.

    :raises InputError: for text that is no YAML, or bounded nowhere.
    """
    # JSON allows tabs between its parts, YAML not everywhere; within texts both escape them.
    is_json = text.lstrip()[:1] in ("{", "[")
    source = _SURROGATES.sub(_character, text.replace("\t", " ")) if is_json else text
    try:
        events = yaml.parse(source, Loader=_LOADER)
        return _Builder(events, where).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}" if mark is not None else where
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise InputError(problem or "is no YAML", where=place) from error
    except yaml.YAMLError as error:
        raise InputError(f"is no YAML: {error}", where=where) from error


class _Builder:
    """Data out of the parser's events: a stack of what is open, so that depth costs no recursion.

    :param where: the file, for messages.
    """

    def __init__(self, events: Iterator[Any], where: str) -> None:
        self._events = events
        self._where = where
        self._lines: dict[Path_, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0

    def document(self) -> Document:
        """The one document of the stream."""
        root: list[Any] = []
        outside = _Open(root, (), 0, None)
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
                        raise self._error(f'the tag "{event.tag}" is not known', event)
                    value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                    if len(stack) > DEEPEST:
                        raise self._error(f"it is nested more than {DEEPEST} levels deep", event)
                    path = self._place(top, event)
                    self._count(1, event)
                    stack.append(_Open(value, path, self._values, event.anchor))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    done = stack.pop()
                    if done.key is not None:
                        raise self._error("a key has no value", event)
                    if done.anchor:
                        self._anchors[done.anchor] = (done.value, self._values - done.before + 1)
                    self._put(stack[-1], done.value, event)
                case yaml.ScalarEvent():
                    self._count(1, event)
                    self._scalar(top, event)
                case yaml.AliasEvent():
                    if event.anchor not in self._anchors:
                        raise self._error(f'the alias "{event.anchor}" names nothing yet', event)
                    value, size = self._anchors[event.anchor]
                    self._count(size, event)
                    self._place(top, event)
                    self._put(top, value, event)
        if not root:
            raise InputError("is empty", where=self._where)
        return Document(root[0], self._lines)

    def _scalar(self, top: _Open, event: Any) -> None:
        value = event.value
        if event.implicit[0]:
            value = _plain(value)
        elif event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._error(f'the tag "{event.tag}" is not known', event)
        if isinstance(top.value, dict) and top.key is None:
            if not isinstance(value, str):
                # `1: ...` and `yes: ...` name things as they are written.
                value = event.value
            if value in top.value:
                raise self._error(f'"{value}" is given twice', event)
            top.key = value
            self._lines[(*top.path, value)] = event.start_mark.line + 1
            return
        self._place(top, event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(top, value, event)

    def _place(self, top: _Open, event: Any) -> Path_:
        """Where a value that begins goes to."""
        if isinstance(top.value, dict):
            if top.key is None:
                raise self._error("a key must be text", event)
            return (*top.path, top.key)
        if top.before == 0:
            # Outside of everything: the document itself.
            return ()
        path = (*top.path, len(top.value))
        self._lines[path] = event.start_mark.line + 1
        return path

    def _put(self, top: _Open, value: Any, event: Any) -> None:
        if isinstance(top.value, dict):
            if top.key is None:
                raise self._error("a key must be text", event)
            top.value[top.key] = value
            top.key = None
        else:
            top.value.append(value)

    def _count(self, size: int, event: Any) -> None:
        self._values += size
        if self._values > MOST_VALUES:
            raise self._error(f"it has more than {MOST_VALUES} values", event)

    def _error(self, what: str, event: Any) -> InputError:
        return InputError(what, where=f"{self._where}:{event.start_mark.line + 1}")


class _Open:
    """A list or mapping that is being read.

    :ivar before: how many values were read, itself included; 0 outside of the document.
    :ivar key: whose value is awaited.
    """

    def __init__(self, value: Any, path: Path_, before: int, anchor: str | None) -> None:
        self.value = value
        self.path = path
        self.before = before
        self.anchor = anchor
        self.key: str | None = None


def _character(found: re.Match[str]) -> str:
    """YAML escapes such a character as one."""
    if found[1] is None:
        return found[0]
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _plain(text: str) -> Any:
    """What a word without quotes means, by YAML 1.2's core schema."""
    for pattern, meaning in _PLAIN:
        if pattern.fullmatch(text):
            return meaning(text)
    return text
