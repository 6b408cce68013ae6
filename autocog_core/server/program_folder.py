"""The operator's folder of programs, which clients run by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from autocog_core.errors import AutocogError, ConfigError, did_you_mean, shorten
from autocog_core.model.automaton import Automaton
from autocog_core.server.request_errors import RequestError

logger = logging.getLogger(__name__)
#: Endings of program files.
SUFFIXES = (".yaml", ".yml", ".json")


class ProgramFolder:
    """The operator's folder of programs.

    All programs are read when the server starts, and errors end the start. A file that changes, or
    that is added, counts from the next request on. Names of clients are compared with the names of
    the files, and never become paths.

    :param folder: the folder; None for no programs.
    :raises ConfigError: if the folder cannot be read, or two files have one name.
    :raises InputError: for a program with errors.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        #: By path: size and time of change of the file, and its program.
        self._known: dict[Path, tuple[tuple[int, int], Automaton]] = {}
        for path in self._files().values():
            self._read(path)

    def names(self) -> list[str]:
        """Return the names of all programs, sorted."""
        return sorted(self._files())

    def get(self, name: str) -> Automaton:
        """Return a program.

        :param name: its name, which a client gave.
        :raises RequestError: if there is no such program (404), or its file has errors now (503).
        """
        files = self._files()
        if name not in files:
            hint = did_you_mean(shorten(name), files) or "this server has none"
            raise RequestError(
                f"no program {shorten(repr(name))}; {hint}",
                status=404,
                code="program_not_found",
                parameter="program",
            )
        try:
            return self._read(files[name])
        except AutocogError as error:
            # Its text names the file.
            logger.error("%s", error)
            raise RequestError(
                f'the program "{name}" has errors; the server\'s log says which',
                status=503,
                code="program_unavailable",
                parameter="program",
            ) from error

    def readable(self) -> Iterator[tuple[str, Automaton]]:
        """Yield the names and programs of all files without errors."""
        for name in self.names():
            try:
                yield name, self.get(name)
            except RequestError:
                continue

    def _files(self) -> Mapping[str, Path]:
        """Return the files by their names without endings.

        :raises ConfigError: if the folder cannot be read, or two files have one name.
        """
        if self._folder is None:
            return {}
        files: dict[str, Path] = {}
        try:
            paths = sorted(self._folder.iterdir())
        except OSError as error:
            raise ConfigError(
                f"cannot be read: {error.strerror or error}",
                where=str(self._folder),
                hint="give a folder with programs",
            ) from error
        for path in paths:
            if path.suffix not in SUFFIXES or path.name.startswith(".") or not path.is_file():
                continue
            if path.stem in files:
                raise ConfigError(
                    f"{files[path.stem].name} and {path.name} have one name",
                    where=str(self._folder),
                    hint="rename one of them",
                )
            files[path.stem] = path
        return files

    def _read(self, path: Path) -> Automaton:
        """Return the program of a file, which is read again if it changed."""
        try:
            status = path.stat()
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
        version = (status.st_size, status.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != version:
            automaton = Automaton.from_file(path)
            automaton.require_sound()
            known = self._known[path] = (version, automaton)
        return known[1]
