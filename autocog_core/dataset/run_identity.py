"""The file beside an output that says how its rows arose: `OUTPUT.run.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autocog_core.dataset.file_writing import write_file
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.errors import InputError, shorten

FORMAT = 1
#: What to do about an output file that a run cannot continue.
OVERWRITE_HINT = "name another output file, or replace this one with --overwrite"
#: The shard, in the identity of the input.
SHARD_KEY = "shard"
#: How many rows the output has at the end of its last run; it is no part of the identity.
ROWS_KEY = "rows"
_DIGEST_LENGTH = 64

#: Everything that determines a run's rows, as JSON values by name.
Identity = Mapping[str, Any]


def identity_path(output: Path) -> Path:
    """Return the path of the file with the identity of an output file."""
    return output.with_name(f"{output.name}.run.json")


def write_identity(
    output: Path, identity: Identity, table: Mapping[str, Any] | None = None
) -> None:
    """Write the identity of the run that makes an output file.

    :param output: the output file.
    :param identity: the identity.
    :param table: what a table of its rows needs to know; it follows from the identity.
    :raises InputError: if it cannot be written.
    """
    text = json.dumps({"format": FORMAT, **identity, "table": table}, indent=2) + "\n"
    write_file(identity_path(output), text)


def add_to_identity_file(output: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to the file with the identity of an output file. They are no part of it.

    :param output: the output file.
    :param entries: the entries by name; they replace those with the same name.
    :raises InputError: if the file cannot be read or written.
    """
    text = json.dumps({"format": FORMAT, **read_identity(output), **entries}, indent=2) + "\n"
    write_file(identity_path(output), text)


def read_identity(output: Path, hint: str = OVERWRITE_HINT) -> dict[str, Any]:
    """Return the identity of the run that made an output file.

    :param output: the output file.
    :param hint: what to do if there is none.
    :raises InputError: if there is none, or it is damaged.
    """
    path = identity_path(output)
    try:
        identity = json.loads(path.read_bytes())
    except FileNotFoundError:
        message = f"exists already, and {path.name}, which says how it was made, does not"
        raise InputError(message, where=str(output), hint=hint) from None
    except RecursionError:
        raise InputError("is nested too deeply", where=str(path), hint=hint) from None
    except (OSError, ValueError) as error:
        message = f"cannot be read: {shorten(str(error), 200)}"
        raise InputError(message, where=str(path), hint=hint) from error
    if not isinstance(identity, dict) or identity.pop("format", None) != FORMAT:
        raise InputError("has another format", where=str(path), hint=hint)
    return identity


def read_shard(output: Path, identity: Identity) -> Shard:
    """Return the rows of the data set that an output file has.

    :param output: the output file.
    :param identity: its identity.
    :raises InputError: if the identity is damaged.
    """
    source = identity.get("input")
    text = source.get(SHARD_KEY) if isinstance(source, Mapping) else None
    try:
        return WHOLE if text is None else Shard.parse(str(text))
    except InputError as error:
        raise InputError(str(error.message), where=str(identity_path(output))) from error


def require_same(output: Path, before: Identity, now: Identity) -> None:
    """Check that a run may continue an output file.

    :param output: the output file.
    :param before: the identity of the run that made it.
    :param now: the identity of the run.
    :raises InputError: naming all differences.
    """
    differences = describe_differences(before, now)
    if differences:
        raise InputError(
            "its rows were made with " + " and ".join(differences),
            where=str(output),
            hint=OVERWRITE_HINT,
        )


def describe_differences(before: Identity, now: Identity) -> list[str]:
    """Return what differs between a run and another one; empty for two parts of one run."""
    return [
        f"another {name} ({_describe_change(before.get(name), now[name])})"
        for name in now
        if before.get(name) != now[name]
    ]


def _describe_change(before: Any, now: Any) -> str:
    """Show both values; of mappings, only the entries that differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        changes = [f"{name} {_describe_change(before.get(name), now.get(name))}" for name in names]
        return ", ".join(changes)
    return f"was {_to_text(before)}, is {_to_text(now)}"


def _to_text(value: Any) -> str:
    try:
        if isinstance(value, Mapping):
            return shorten(" ".join(map(str, value.values())))
        text = "none" if value is None else str(value)
    except (RecursionError, ValueError):
        # Nested deeply, or an integer with some thousand digits.
        return "damaged"
    # The first characters of a digest are enough.
    return f"{text[:12]}..." if len(text) == _DIGEST_LENGTH else shorten(text)
