"""Folders that must have certain files, as the type of a backend's option."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

#: How many files of a folder a message names, so that it shows what kind of folder it is.
_MAX_SHOWN = 8


@dataclass(frozen=True, init=False)
class RequiredFiles:
    """Marks an option that is a folder with certain files; a folder without them is refused.

    For example `Annotated[Resource, RequiredFiles("config.json", "*.safetensors")]`. The message
    names every file that is missing, before any model is loaded.

    :param names: names of files in the folder, or patterns of names. A tuple of names needs one
        of them.
    """

    names: tuple[tuple[str, ...], ...]

    def __init__(self, *names: str | tuple[str, ...]) -> None:
        alternatives = tuple((name,) if isinstance(name, str) else tuple(name) for name in names)
        object.__setattr__(self, "names", alternatives)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return pydantic's schema of the type, followed by this check."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __str__(self) -> str:
        return ", ".join(self._labels(self.names))

    def check(self, value: Any) -> Any:
        """Return a folder unchanged, if it has the files.

        :param value: the path of the folder; None passes.
        :raises ValueError: if it is no folder, or lacks files.
        """
        if value is None:
            # An option that may be left out.
            return None
        folder = Path(value)
        # Not `folder.is_dir`, which raises for a name that is too long.
        if not os.path.isdir(folder):
            kind = "is a file" if os.path.exists(folder) else "is no folder on this machine"
            raise ValueError(f"{str(value)!r} {kind}; name a folder with {self}")
        try:
            missing = [names for names in self.names if not _has_any(folder, names)]
            found = sorted(entry.name for entry in folder.iterdir()) if missing else []
        except OSError as error:
            raise ValueError(f"{str(value)!r} cannot be read: {error.strerror or error}") from error
        if missing:
            more = " ..." if len(found) > _MAX_SHOWN else ""
            shown = ", ".join(found[:_MAX_SHOWN]) + more if found else "nothing"
            raise ValueError(
                f"{str(value)!r} has no {' and no '.join(self._labels(missing))}; it has {shown}"
            )
        return value

    @staticmethod
    def _labels(required: Any) -> Iterator[str]:
        return (" or ".join(names) for names in required)


def _has_any(folder: Path, names: tuple[str, ...]) -> bool:
    # A name may have brackets, which have a meaning in patterns.
    return any(path.is_file() for name in names for path in (folder / name, *folder.glob(name)))
