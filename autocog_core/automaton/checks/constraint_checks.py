"""Checks of the constraints on a completion's text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from autocog_core.automaton.actions import Complete
from autocog_core.automaton.checks.text_checks import check_text
from autocog_core.constraints.language import check_constraint
from autocog_core.errors import InputError
from autocog_core.types.constraint import Constraint

#: Characters of all constraints of an automaton together, because compiling takes time and memory
#: in proportion. Each different constraint counts `_COST_PER_CONSTRAINT` extra.
MAX_CONSTRAINTS_SIZE = 1_000_000
_COST_PER_CONSTRAINT = 2_000
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


class ConstraintChecks:
    """The checks of one automaton's constraints. Each constraint is checked only once."""

    def __init__(self) -> None:
        self._size_left = MAX_CONSTRAINTS_SIZE
        self._checked: dict[tuple[Constraint, str | None], list[str]] = {}

    def errors(self, action: Complete) -> Iterator[str]:
        """Yield a message for each error in an action's constraint, if its keys are right."""
        if any(True for _ in check_constraint_keys(action)):
            return
        try:
            constraint = action.constraint
        except InputError as error:
            yield error.message
            return
        if constraint is None:
            return
        key = constraint, action.followed_by
        if key not in self._checked:
            if self._size_left < 0:
                return
            self._checked[key] = list(self._check(*key))
        yield from self._checked[key]

    def _check(self, constraint: Constraint, followed_by: str | None) -> Iterator[str]:
        self._size_left -= len(constraint.source) + len(followed_by or "") + _COST_PER_CONSTRAINT
        if self._size_left < 0:
            yield (
                "the constraints up to here are too large: together they have more than "
                f"{MAX_CONSTRAINTS_SIZE:,} characters, each counted with {_COST_PER_CONSTRAINT:,} "
                "extra"
            )
        elif reason := constraint_error(constraint):
            yield reason
        elif followed_by is not None and (
            reason := constraint_error(Constraint(kind="regex", source=followed_by))
            or constraint_error(constraint, followed_by)
        ):
            yield f"followed_by: {reason}"


@lru_cache(maxsize=512)
def constraint_error(constraint: Constraint, followed_by: str | None = None) -> str:
    """Return why a constraint cannot be used; empty if it can. Many rows ask for the same one."""
    return check_constraint(constraint, followed_by)


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
