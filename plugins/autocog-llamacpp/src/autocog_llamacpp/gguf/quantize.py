"""Quantizes a .gguf file with llama.cpp, in a worker process."""

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
from autocog_core.toolkit import resolve_new_path
from autocog_llamacpp.gguf.info import GgufInfo, read_gguf_info
from autocog_llamacpp.gguf.quantization_types import resolve_type

#: Receives the number of finished tensors, the number of all tensors, and the current one.
Progress = Callable[[int, int, str], None]

_WORKER = Path(__file__).with_name("quantize_worker.py")
_DISK_FULL_HINT = "is the disk of {folder} full?"
#: Free space on the disk that must remain after the result is written.
_MIN_FREE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantization:
    """The result of a quantization.

    :ivar source: the source file.
    :ivar target: the written file.
    :ivar fallbacks: number of tensors that got a larger type, because their rows do not fit the
        requested type (usually, the row length is not a multiple of 256).
    """

    source: GgufInfo
    target: GgufInfo
    fallbacks: int

    @property
    def tensors(self) -> int:
        """Number of tensors."""
        return sum(kind.count for kind in self.target.tensor_types)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            "fallbacks": self.fallbacks,
        }


def quantize(
    source: str | Path,
    target: str | Path,
    type: str,  # noqa: A002 - llama.cpp's name
    *,
    threads: int | None = None,
    requantize: bool = False,
    force: bool = False,
    on_progress: Progress | None = None,
) -> Quantization:
    """Quantize `source`, and write the result to `target`.

    The target appears only when it is complete. An error or interrupt leaves no partial file.

    :param source: a .gguf file, or `package:PKG/FILE`.
    :param target: the file to write.
    :param type: one of `quantization_types.TYPES`, in any case.
    :param threads: number of threads (None: one for each core).
    :param requantize: accept a source that is already quantized: the losses of both steps add up.
    :param force: replace an existing target.
    :param on_progress: called with the number of finished tensors, the number of all tensors, and
        the name of the current one. An exception of this function stops the quantization.
    :raises ConfigError: if there is no such source.
    :raises ModelLoadError: if the source is damaged.
    :raises InputError: for an unknown type, a target that exists or has no folder, or a source that
        is already quantized.
    :raises EngineError: if the disk has too little space, or llama.cpp fails.
    """
    type = resolve_type(type)  # noqa: A001
    if threads is not None and threads < 1:
        raise InputError(f"{threads} is less than 1", where="threads")
    before = read_gguf_info(source)
    try:
        target = resolve_new_path(target)
    except ValueError as error:
        raise InputError(str(error), where="target") from error
    try:
        _check_target(before.path, target, force)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(target)) from error
    if before.is_quantized and not requantize:
        raise InputError(
            f"is already quantized ({before.quantization or before.tensor_types[0].type})",
            where=str(before.path),
            hint="use an F16, BF16 or F32 file, because losses add up; or allow it with "
            "--requantize (requantize=True)",
        )
    job = _QuantizeJob(before, target, on_progress)
    # In the same folder, for an atomic rename.
    temporary = target.with_name(f".quantizing-{secrets.token_hex(6)}.gguf")
    request = {
        "source": str(before.path),
        "target": str(temporary),
        "ftype": _file_type_code(type),
        "threads": threads or 0,
        "requantize": requantize,
    }
    try:
        _run(request, job)
        after = _read_result(temporary, before)
        _check_not_existing(target, force)
        with temporary.open("rb+") as stream:
            # If the system crashes, the target must not have the right size without its content.
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return Quantization(source=before, target=replace(after, path=target), fallbacks=job.fallbacks)


def _check_target(source: Path, target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise InputError("there is no such folder", where=str(target.parent))
    if target.exists():
        if target.samefile(source):
            raise InputError("is the source itself", where=str(target))
        if not target.is_file():
            raise InputError("is not a file", where=str(target), hint="name the file to write")
        _check_not_existing(target, force)
    if not os.access(target.parent, os.W_OK):
        raise InputError("the folder is not writable", where=str(target.parent))


def _check_not_existing(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise InputError("exists", where=str(target), hint="--force (force=True) replaces it")


def _file_type_code(name: str) -> int:
    import llama_cpp

    prefix = "LLAMA_FTYPE_ALL_" if name == "F32" else "LLAMA_FTYPE_MOSTLY_"
    code: int | None = getattr(llama_cpp, prefix + name, None)
    if code is None:
        raise InputError(
            f"the installed llama.cpp does not support {name}",
            where="type",
            hint="pip install --upgrade llama-cpp-python",
        )
    return code


def _read_result(temporary: Path, before: GgufInfo) -> GgufInfo:
    """Check the written file: llama.cpp may not notice that its last writes failed."""
    try:
        return read_gguf_info(temporary)
    except AutocogError as error:
        raise EngineError(
            f"llama.cpp wrote an incomplete file: {error.message}",
            where=str(before.path),
            hint=_DISK_FULL_HINT.format(folder=temporary.parent),
        ) from error


class _QuantizeJob:
    """The state of a quantization, from the worker's messages."""

    def __init__(self, source: GgufInfo, target: Path, on_progress: Progress | None) -> None:
        self.source = source
        self.target = target
        self.on_progress = on_progress
        self.fallbacks = 0
        self.errors: list[str] = []
        #: Whether llama.cpp succeeded; None until it ends.
        self.succeeded: bool | None = None
        self.tensor_count = 0

    def receive(self, kind: str, *values: Any) -> None:
        """Process a message of the worker; see `quantize_worker`."""
        if kind == "progress":
            position, self.tensor_count, tensor = values
            self.report(position - 1, tensor)
        elif kind == "size":
            self.check_free_space(values[0] + self.source.header_size)
        elif kind == "warning":
            self.fallbacks += "falling back" in values[0]
        elif kind == "error":
            self.errors.append(values[0])
        elif kind == "done":
            self.succeeded = values[0]
            if self.succeeded:
                self.report(self.tensor_count, "")

    def report(self, done: int, tensor: str) -> None:
        if self.on_progress is not None:
            self.on_progress(done, self.tensor_count, tensor)

    def check_free_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if needed + _MIN_FREE_BYTES > free:
            raise EngineError(
                f"the disk has too little space: the result needs {needed} bytes, {free} are free",
                where=str(self.target.parent),
            )

    def to_error(self, code: int, last_lines: list[str]) -> EngineError:
        failed = self.succeeded is False
        problem = "llama.cpp failed" if failed else f"llama.cpp ended with code {code}"
        lines = self.errors if self.errors or failed else last_lines
        lines = [line.partition("failed to quantize: ")[2] or line for line in lines]
        # The message of a failed write in C++.
        hint = _DISK_FULL_HINT if any("iostream error" in line for line in lines) else ""
        return EngineError(
            ": ".join([problem, *(["; ".join(lines[-3:])] if lines else [])]),
            where=str(self.source.path),
            hint=hint.format(folder=self.target.parent),
        )


def _run(request: dict[str, Any], job: _QuantizeJob) -> None:
    """Run the worker. Stop it on any error."""
    with tempfile.TemporaryFile() as stderr:
        with _worker(request, stderr) as process:
            assert process.stdout is not None
            for line in process.stdout:
                job.receive(*json.loads(line))
            code = process.wait()
        if not job.succeeded:
            stderr.seek(0)
            lines = stderr.read().decode("utf-8", errors="replace").splitlines()
            raise job.to_error(code, list(deque((line for line in lines if line.strip()), 3)))


@contextmanager
def _worker(request: dict[str, Any], stderr: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    # Not as a module: importing the package takes longer than quantizing a small model. -P: Python
    # must not import files of the current folder.
    process = subprocess.Popen(  # noqa: S603 - a file of this package, without a shell
        [sys.executable, "-P", str(_WORKER), json.dumps(request)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        # Only the caller handles Ctrl-C and a closed terminal; the worker ends with the caller.
        start_new_session=True,
        # If an assertion fails, llama.cpp would start a debugger for a backtrace.
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
