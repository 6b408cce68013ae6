"""What bodies of both protocols are made of: texts, and parts with fields."""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

Data = TypeVar("Data")


def check_unicode(value: Data) -> Data:
    """Return a text, or data of JSON, as it is. JSON may have one half of a surrogate pair.

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


#: A text that is Unicode.
Text = Annotated[str, AfterValidator(check_unicode)]


class Part(BaseModel):
    """A part of a request: unknown fields are ignored, values of another type are errors."""

    model_config = ConfigDict(strict=True, frozen=True)
