"""A program file's text, such as a YAML parser reads it: bounded, and JSON said in YAML's terms."""

from __future__ import annotations

import re
from pathlib import Path

from autocog_core.errors import InputError

#: Bytes of a file.
MOST_BYTES = 16 * 2**20
#: Directives that name tags: each is compared with all others.
MOST_DIRECTIVES = 20

_DIRECTIVE = re.compile(r"(?:^|(?<=[\n\r\x85\u2028\u2029]))%TAG")
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JSON_PARTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\t', re.DOTALL)
#: Escaped backslashes, which begin nothing; a character beyond 16 bits as JSON escapes it; and
#: characters that JSON says as they are, and YAML forbids or reads as the end of a line.
_IN_STRINGS = re.compile(
    r"\\\\"
    r"|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    "|[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]"
)


def read_source(path: Path) -> str:
    """A file's text.

    :raises InputError: for a file that is missing, too large, or no text.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            # What has no end has no size either: devices, pipes.
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    if len(content) > MOST_BYTES:
        raise InputError(
            f"the file has more than {MOST_BYTES // 2**20} MiB",
            where=where,
            hint="put what is long into the inputs",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError("is no UTF-8 text", where=f"{where}:{line}") from error


def as_yaml(text: str, where: str) -> str:
    """Text that a YAML parser reads as it is meant, with the same lines.

    :raises InputError: for characters that no text has, or what would keep a parser busy.
    """
    if text.lstrip()[:1] in ("{", "["):
        text = _JSON_PARTS.sub(_json_part, text)
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(
            f"holds the character U+{ord(found[0]):04X}, which is no text",
            where=f"{where}:{line}",
            hint="write it as an escape, in double quotes",
        )
    if sum(1 for _ in _DIRECTIVE.finditer(text)) > MOST_DIRECTIVES:
        raise InputError(f"has more than {MOST_DIRECTIVES} %TAG directives", where=where)
    return text


def _json_part(found: re.Match[str]) -> str:
    # JSON allows tabs between its parts, YAML not everywhere.
    return " " if found[0] == "\t" else _IN_STRINGS.sub(_character, found[0])


def _character(found: re.Match[str]) -> str:
    if found[0] == "\\\\":
        return found[0]
    if found[1] is None:
        return f"\\u{ord(found[0]):04x}"
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
