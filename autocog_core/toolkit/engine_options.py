"""Options of a completion that only some engines know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from autocog_core.errors import CapabilityError, did_you_mean
from autocog_core.types.completion import CompletionRequest

#: Arguments of `complete` that every backend understands.
REQUEST_ARGUMENTS = {field.name for field in fields(CompletionRequest)} - {"prompt", "extra"}


def reject_unknown_options(extra: Mapping[str, Any], allowed: Collection[str], where: str) -> None:
    """Refuse options that the engine does not know.

    :raises CapabilityError: naming them, and the nearest name that is valid.
    """
    unknown = sorted(set(extra) - set(allowed))
    if unknown:
        hint = did_you_mean(unknown[0], {*REQUEST_ARGUMENTS, *allowed})
        raise CapabilityError(
            "complete does not know " + ", ".join(unknown), where=where, hint=hint
        )
