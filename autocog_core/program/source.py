"""The text of a program file for a YAML parser: limited in size, with JSON rewritten as YAML."""

from __future__ import annotations

import re
from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.files import decode_text

#: Size of a file.
MAX_FILE_BYTES = 16 * 2**20
#: Directives that declare tags: the parser compares each with all others.
MAX_TAG_DIRECTIVES = 20

_TAG_DIRECTIVE = re.compile(r"(?:^|(?<=[\n\r\x85\u2028\u2029]))%TAG")
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JSON_STRINGS_AND_TABS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\t', re.DOTALL)
#: In JSON strings: an escaped backslash, which starts no escape; a surrogate pair as JSON escapes
#: it; a character that JSON allows, but that YAML forbids or reads as a line break.
_REWRITTEN_IN_STRINGS = re.compile(
    r"\\\\"
    r"|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    "|[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]"
)


def read_source(path: Path) -> str:
    """Return a file's text.

    :raises InputError: for a file that is missing, too large or not text.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            # Do not look at the size first: devices and pipes have none.
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    if len(content) > MAX_FILE_BYTES:
        raise InputError(
            f"the file has more than {MAX_FILE_BYTES // 2**20} MiB",
            where=where,
            hint="move long data into the inputs",
        )
    return decode_text(content, where)


def to_yaml(text: str, where: str) -> str:
    """Return YAML with the same meaning and the same lines, also for JSON.

    :param text: YAML or JSON.
    :param where: the file, for messages.
    :raises InputError: for characters that YAML forbids, or directives that would take long.
    """
    if text.lstrip()[:1] in ("{", "["):
        text = _JSON_STRINGS_AND_TABS.sub(_rewrite_json, text)
    if match := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise InputError(
            f"contains the character U+{ord(match[0]):04X}, which YAML does not allow",
            where=f"{where}:{line}",
            hint="remove it, or write it as an escape in double quotes",
        )
    if sum(1 for _ in _TAG_DIRECTIVE.finditer(text)) > MAX_TAG_DIRECTIVES:
        raise InputError(
            f"has more than {MAX_TAG_DIRECTIVES} %TAG directives",
            where=where,
            hint="remove them: programs have no tags",
        )
    return text


def _rewrite_json(match: re.Match[str]) -> str:
    # JSON allows tabs between all its parts, but YAML does not.
    return " " if match[0] == "\t" else _REWRITTEN_IN_STRINGS.sub(_rewrite_in_string, match[0])


def _rewrite_in_string(match: re.Match[str]) -> str:
    if match[0] == "\\\\":
        return match[0]
    if match[1] is None:
        return f"\\u{ord(match[0]):04x}"
    high, low = int(match[1], 16), int(match[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
