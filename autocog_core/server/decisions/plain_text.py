"""Texts of requests that are no Unicode: JSON may have one half of a surrogate pair."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic_core import PydanticCustomError

Data = TypeVar("Data")


def check_unicode(value: Data) -> Data:
    """Return a text, or data of JSON, as it is.

    :param value: the text or the data.
    :raises PydanticCustomError: if one of its texts is not Unicode.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise PydanticCustomError(
            "unicode",
            "has one half of a surrogate pair, which is not Unicode: {code}",
            {"code": f"U+{code:04X}"},
        ) from None
    return value
