"""Whole numbers in bodies. In JSON, 5.0 is one; "5" and true are none."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

#: Whole numbers beyond it are not the same in all readers of JSON.
MAX_INTEGER = 2**53 - 1


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: Makes a field of whole numbers take 5.0. It stands after the bounds, which the document shows.
WHOLE = BeforeValidator(_as_whole)
#: A whole number from 1.
Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER), WHOLE]
#: The id of a token; the model knows which there are. Lists of them are long: nothing in Python
#: looks at each.
TokenId = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
