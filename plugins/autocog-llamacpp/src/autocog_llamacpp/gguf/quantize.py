"""Quantizing a .gguf file with llama.cpp, in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from autocog_core import AutocogError, EngineError, InputError
from autocog_llamacpp.gguf.info import GgufInfo, read_gguf_info
from autocog_llamacpp.gguf.quantization_types import type_named

Progress = Callable[[int, int, str], None]

_WORKER = Path(__file__).with_name("quantize_worker.py")
_FULL = "is the disk of {folder} full?"
#: So much must be left on the disk beside the result.
_SPARE = 2**20


@dataclass(frozen=True, slots=True)
class Quantization:
    """What was quantized, and what came of it.

    :ivar fallbacks: how many tensors got another type, because their rows do not suit the one that
        was asked for (mostly: their length is no multiple of 256).
    """

    source: GgufInfo
    target: GgufInfo
    fallbacks: int

    @property
    def tensors(self) -> int:
        """How many there are."""
        return sum(kind.count for kind in self.target.tensor_types)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            "fallbacks": self.fallbacks,
        }


def quantize(
    source: str | Path,
    target: str | Path,
    type: str,  # noqa: A002 - what llama.cpp calls it, and so does everybody
    *,
    threads: int | None = None,
    requantize: bool = False,
    force: bool = False,
    on_progress: Progress | None = None,
) -> Quantization:
    """Write `source` with weights of another type to `target`.

    The target appears when it is complete; nothing is left of one that failed or was interrupted.

    :param source: a .gguf file, or `package:PKG/FILE`.
    :param type: one of `quantization_types.TYPES`, in any case.
    :param threads: how many (None: one for each core).
    :param requantize: allow a source that is quantized already: the losses add up.
    :param force: replace a target that exists.
    :param on_progress: called with how many tensors are done, how many there are, and the name of
        the one at work. What it raises ends the work.
    :raises ConfigError, ModelLoadError: for a source that is missing or broken.
    :raises InputError: for an unknown type, a target that exists or that has no folder, a source
        that is quantized already.
    :raises EngineError: if there is too little room on the disk, or llama.cpp fails.
    """
    type = type_named(type)  # noqa: A001
    if threads is not None and threads < 1:
        raise InputError(f"{threads} is less than 1", where="threads")
    before = read_gguf_info(source)
    target = Path(target).expanduser()
    try:
        _check_target(before.path, target, force)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(target)) from error
    if before.is_quantized and not requantize:
        raise InputError(
            f"is quantized already ({before.quantization or before.tensor_types[0].type})",
            where=str(before.path),
            hint="losses add up: begin with an F16, BF16 or F32 file, or allow it with "
            "--requantize (requantize=True)",
        )
    work = _Work(before, target, on_progress)
    # Beside its place, so that it can be moved there in one step.
    temporary = target.with_name(f".quantizing-{secrets.token_hex(6)}.gguf")
    request = {
        "source": str(before.path),
        "target": str(temporary),
        "ftype": _number(type),
        "threads": threads or 0,
        "requantize": requantize,
    }
    try:
        _run(request, work)
        after = _checked(temporary, before)
        _refuse_existing(target, force)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return Quantization(before, replace(after, path=target), work.fallbacks)


def _check_target(source: Path, target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise InputError("there is no such folder", where=str(target.parent))
    if target.exists():
        if target.samefile(source):
            raise InputError("is the source itself", where=str(target))
        if not target.is_file():
            raise InputError("is no file", where=str(target), hint="name the file to be written")
        _refuse_existing(target, force)
    if not os.access(target.parent, os.W_OK):
        raise InputError("nothing can be written there", where=str(target.parent))


def _refuse_existing(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise InputError("exists", where=str(target), hint="--force (force=True) replaces it")


def _number(name: str) -> int:
    import llama_cpp

    prefix = "LLAMA_FTYPE_ALL_" if name == "F32" else "LLAMA_FTYPE_MOSTLY_"
    number: int | None = getattr(llama_cpp, prefix + name, None)
    if number is None:
        raise InputError(
            f"this llama.cpp does not know {name}",
            where="type",
            hint="pip install --upgrade llama-cpp-python",
        )
    return number


def _checked(temporary: Path, before: GgufInfo) -> GgufInfo:
    """What was written, if it is whole: llama.cpp may not notice that its last writes failed."""
    try:
        return read_gguf_info(temporary)
    except AutocogError as error:
        raise EngineError(
            f"llama.cpp wrote a file that is not whole: {error.message}",
            where=str(before.path),
            hint=_FULL.format(folder=temporary.parent),
        ) from error


class _Work:
    """What the worker says, as it says it."""

    def __init__(self, source: GgufInfo, target: Path, on_progress: Progress | None) -> None:
        self.source = source
        self.target = target
        self.on_progress = on_progress
        self.fallbacks = 0
        self.errors: list[str] = []
        self.done: bool | None = None
        self.count = 0

    def take(self, kind: str, *facts: Any) -> None:
        if kind == "progress":
            number, self.count, tensor = facts
            self.report(number - 1, tensor)
        elif kind == "size":
            self.check_room(facts[0] + self.source.header_size)
        elif kind == "warning":
            self.fallbacks += "falling back" in facts[0]
        elif kind == "error":
            self.errors.append(facts[0])
        elif kind == "done":
            self.done = facts[0]
            if self.done:
                self.report(self.count, "")

    def report(self, done: int, tensor: str) -> None:
        if self.on_progress is not None:
            self.on_progress(done, self.count, tensor)

    def check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if needed + _SPARE > free:
            raise EngineError(
                f"there is too little room: the result needs {needed} bytes, {free} are free",
                where=str(self.target.parent),
            )

    def failure(self, code: int, last_lines: list[str]) -> EngineError:
        ended = "llama.cpp failed" if self.done is False else f"llama.cpp ended with code {code}"
        lines = self.errors if self.errors or self.done is False else last_lines
        said = [line.partition("failed to quantize: ")[2] or line for line in lines]
        # How C++ says that it could not write.
        hint = _FULL if any("iostream error" in line for line in said) else ""
        return EngineError(
            ": ".join([ended, *(["; ".join(said[-3:])] if said else [])]),
            where=str(self.source.path),
            hint=hint.format(folder=self.target.parent),
        )


def _run(request: dict[str, Any], work: _Work) -> None:
    """Let the worker do it, and stop it however this ends."""
    with tempfile.TemporaryFile() as stderr:
        with _worker(request, stderr) as process:
            assert process.stdout is not None
            for line in process.stdout:
                work.take(*json.loads(line))
            code = process.wait()
        if not work.done:
            stderr.seek(0)
            lines = stderr.read().decode("utf-8", errors="replace").splitlines()
            raise work.failure(code, list(deque((line for line in lines if line.strip()), 3)))


@contextmanager
def _worker(request: dict[str, Any], stderr: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    # Not as a module: importing the package takes longer than quantizing a small model. -P, so that
    # no file of the current folder is taken for a library.
    process = subprocess.Popen(  # noqa: S603 - our own file, and no shell
        [sys.executable, "-P", str(_WORKER), json.dumps(request)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        # Ctrl-C and a terminal that closes are for the caller: the worker ends with it, cleanly.
        start_new_session=True,
        # Where an assertion fails, llama.cpp would start a debugger for a backtrace.
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
