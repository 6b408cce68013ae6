"""Whether texts can be constrained: to a JSON Schema, an expression or a grammar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from autocog_core.constraints.language import check_constraint
from autocog_core.types.constraint import Constraint


def refusal_of(schema: Mapping[str, Any]) -> str:
    """Return why no constraint describes a JSON Schema; "" if one does.

    :param schema: the schema, complete in itself.
    """
    source = json.dumps(schema, ensure_ascii=False)
    return constraint_refusal(Constraint(kind="json_schema", source=source))


@lru_cache(maxsize=1024)
def constraint_refusal(constraint: Constraint) -> str:
    """Return why no text can meet a constraint, or why it cannot be read; "" if all is well."""
    return check_constraint(constraint)
