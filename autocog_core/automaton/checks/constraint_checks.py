"""Checks of the constraints on a completion's text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autocog_core.automaton.actions import Complete
from autocog_core.automaton.checks.text_checks import check_text

#: The keys of a completion of which at most one constrains its text.
CONSTRAINT_KEYS = ("regex", "grammar", "json_schema")
_ONE_OF_THEM = "regex, grammar or json_schema"


def check_constraint_keys(action: Complete) -> Iterator[str]:
    """Yield a message for each wrong key of a constraint, without the constraint's own errors."""
    given = [key for key in CONSTRAINT_KEYS if getattr(action, key) is not None]
    if len(given) > 1:
        yield f"has {' and '.join(given)}: give one of them"
    for key in ("regex", "grammar", "followed_by"):
        if (text := getattr(action, key)) is not None:
            yield from check_text(key, text)
    schema: object = action.json_schema
    if schema is not None and not isinstance(schema, Mapping | bool):
        yield (
            f"json_schema is of type {type(schema).__name__}: give a mapping; of a pydantic model, "
            "model_json_schema()"
        )
    if not given and action.followed_by is not None:
        yield f"followed_by needs a constraint: give {_ONE_OF_THEM}, or use stop"
    if action.importance_weights:
        yield from _check_importance_weights(action, is_constrained=bool(given))


def _check_importance_weights(action: Complete, *, is_constrained: bool) -> Iterator[str]:
    if not is_constrained:
        yield f"importance_weights needs a constraint: give {_ONE_OF_THEM}"
    if not action.samples:
        yield "importance_weights needs samples: give their number"
    for key in ("temperature", "top_p"):
        value = getattr(action, key)
        if value != 1:
            yield (
                f"{key} is {value}: importance_weights needs {key} 1, because they weigh samples "
                "of the model itself"
            )
