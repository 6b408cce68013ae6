"""Characters that a terminal or a browser does not print but obeys, and what shows them.

Names, texts and messages come from programs, config files, servers and models. None of them may
move the cursor, hide a line, or turn the digits of a number around.
"""

from __future__ import annotations

import re
import unicodedata

#: C0 and C1 controls without newline and tab; lone surrogates, which no encoding has; characters
#: that reverse the text after them on its line, or the signs beside them. Others that are not
#: printable are harmless: spaces of other widths, private use, joiners (in emoji and in Arabic).
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_OBEYED = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONS}\ud800-\udfff]")
#: Those that JSON does not escape.
_OBEYED_IN_JSON = re.compile(f"[\x7f-\x9f{_DIRECTIONS}]")
#: In a browser also what turns neighbors around, or has no width: a reader must see it.
_UNSEEN = re.compile(f"{_OBEYED.pattern}|[\xad\u200b\u2028\u2029\u2060\ufeff]")
_DELETE = 0x7F
#: All of `_UNSEEN` are below it.
_BASIC_PLANE = 0x10000


def escape_controls(text: str) -> str:
    """Return `text` with escapes in place of characters that send commands to a terminal."""
    return _OBEYED.sub(_python_escape, text)


def escape_json_controls(document: str) -> str:
    """Return a JSON document with the same meaning, without such characters.

    :param document: JSON, in which they can only be inside texts.
    """
    return _OBEYED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def picture_controls(text: str) -> str:
    """Return `text` with a visible sign in place of each character that is not seen.

    A control character has its picture (␛), others have their name or number: ⟨RIGHT-TO-LEFT
    OVERRIDE⟩, ⟨U+009B⟩. Newlines and tabs stay.
    """
    return _UNSEEN.sub(_picture, text)


def control_signs() -> dict[str, str]:
    """Return the signs of `picture_controls` by their characters, for scripts of pages.

    Lone surrogates, which JSON cannot hold as they are, are left out.
    """
    characters = filter(_UNSEEN.match, map(chr, range(_BASIC_PLANE)))
    return {
        character: picture_controls(character)
        for character in characters
        if unicodedata.category(character) != "Cs"
    }


def _python_escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < ord(" "):
        return chr(0x2400 + code)
    if code == _DELETE:
        return "␡"
    return f"⟨{unicodedata.name(match[0], f'U+{code:04X}')}⟩"
