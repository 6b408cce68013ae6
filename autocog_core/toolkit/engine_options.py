"""Options of a completion that only some engines support."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from autocog_core.errors import CapabilityError, did_you_mean
from autocog_core.types.completion import CompletionRequest

#: Arguments of `complete` that core knows; those of a constraint replace it.
REQUEST_ARGUMENTS = {field.name for field in fields(CompletionRequest)} - {
    *("prompt", "extra", "constraint")
} | {"regex", "grammar", "json_schema"}


def reject_unknown_options(extra: Mapping[str, Any], allowed: Collection[str], where: str) -> None:
    """Raise if `extra` has options that the engine does not support.

    :param extra: the options of a `CompletionRequest` beside the standard arguments.
    :param allowed: names of the engine's own options.
    :param where: the backend's name, for the message.
    :raises CapabilityError: naming the unknown options and the nearest valid name.
    """
    unknown = sorted(set(extra) - set(allowed))
    if unknown:
        hint = did_you_mean(unknown[0], {*REQUEST_ARGUMENTS, *allowed})
        raise CapabilityError(
            "complete does not know " + ", ".join(unknown), where=where, hint=hint
        )
