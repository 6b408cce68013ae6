"""Where an error arose in an author's code: the lines of a traceback that are not core's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pluggy

from autocog_core.errors import AutocogError

#: What calls an author's code.
_CALLERS = tuple(
    f"{folder}{os.sep}" for folder in (Path(__file__).parents[1], Path(pluggy.__file__).parent)
)
#: So many lines are shown, the last ones.
_MAX_FRAMES = 5


@dataclass(frozen=True, slots=True)
class AuthorFrames:
    """The lines of a traceback in an author's code, and in what it calls.

    :ivar place: file and line of the last one in the author's own folder; empty without any.
    :ivar lines: the last ones, one line of text each.
    """

    place: str
    lines: Sequence[str]


def author_frames(error: BaseException) -> AuthorFrames:
    """Return the author's part of an error's traceback, or of that of the error it came from."""
    while isinstance(error, AutocogError) and error.__cause__ is not None:
        error = error.__cause__
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_CALLERS)
    ]
    if not frames:
        return AuthorFrames("", ())
    # Where core enters the code is the author's; below may be libraries.
    folder = str(Path(frames[0].filename).parent)
    own = [frame for frame in frames if frame.filename.startswith(folder)]
    return AuthorFrames(_place(own[-1]), [_line(frame) for frame in frames[-_MAX_FRAMES:]])


def _line(frame: traceback.FrameSummary) -> str:
    source = f": {frame.line}" if frame.line else ""
    return f"{_place(frame)}, in {frame.name}{source}"


def _place(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename)
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}:{frame.lineno}"
