"""Whether texts can be constrained: to a JSON Schema, an expression or a grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from autocog_core.constraints.language import check_constraint
from autocog_core.constraints.llguidance_calls import check_size, warnings_of
from autocog_core.errors import shorten
from autocog_core.types.constraint import Constraint


def refusal_of(schema: Mapping[str, Any]) -> str:
    """Return why no constraint describes a JSON Schema; "" if one does.

    :param schema: the schema, complete in itself.
    """
    text = json.dumps(schema, ensure_ascii=False)
    if reason := check_size(text, "json_schema"):
        return reason
    return _explain(*warnings_of(text))


@lru_cache(maxsize=1024)
def constraint_refusal(constraint: Constraint) -> str:
    """Return why no text can meet a constraint, or why it cannot be read; "" if all is well."""
    return check_constraint(constraint)


def _explain(is_wrong: bool, messages: tuple[str, ...]) -> str:
    if not is_wrong and not messages:
        return ""
    message = " ".join(messages)
    if match := re.search(r"Unimplemented keys: \[(.*?)\]", message):
        return f"{match[1]} is not supported"
    if match := re.search(r"Unsatisfiable schema: (.*)", message):
        return f"no value is valid: {shorten(match[1], 200)}"
    if "oneOf" in message:
        return (
            "oneOf: the alternatives may overlap; use anyOf, or give them a constant that differs"
        )
    return f"is not supported: {shorten(message or 'unknown reason', 200)}"
