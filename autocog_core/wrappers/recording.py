"""The file of a recording: JSON lines, the first of which describes the model.

Each other line is one call: its key, a summary of its arguments, and its answer. Arrays are in
base64. Each line has a checksum. A file whose name ends in .gz is compressed.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import os
import threading
import weakref
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter

from autocog_core.errors import ContractError, InputError
from autocog_core.files import write_atomically
from autocog_core.types.backend_info import BackendInfo
from autocog_core.version import __version__
from autocog_core.wrappers.jsonl_file import lock_file, resolve_link, unlock_file, unwritable_error
from autocog_core.wrappers.recording_lines import (
    RECORD_AGAIN,
    Line,
    bad_line_error,
    decode_lines,
    encode_line,
    open_recording,
    read_lines,
)
from autocog_core.wrappers.serialization import Packed, pack
from autocog_core.wrappers.summaries import summarize_value

FORMAT = 2
#: Properties of a model, beside its fingerprint, that affect its answers.
_IDENTITY_FIELDS = ("context_length", "vocabulary_size", "bos", "adds_bos", "eos", "capabilities")
_INFO: TypeAdapter[BackendInfo] = TypeAdapter(BackendInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to record.

    :ivar hook: the hook.
    :ivar key: the key of the call.
    :ivar arguments: the arguments, which the file holds as a summary.
    :ivar answer: the answer.
    :ivar is_nondeterministic: whether the call may have another answer the next time.
    """

    hook: str
    key: bytes
    arguments: Any
    answer: Any
    is_nondeterministic: bool = False


@dataclass
class Recording:
    """Contents of a recording.

    :ivar info: description of the recorded model.
    :ivar answers: answers by key, in their order; only nondeterministic calls have several.
    """

    info: BackendInfo
    answers: dict[str, list[Packed]] = field(default_factory=dict)


class Recorder:
    """A recording that is open for writing.

    :param path: the file, which may hold calls of an earlier run.
    :param info: description of the recorded model.
    :param capabilities: the hooks that the backend implements.
    :raises InputError: if the file cannot be written, or is not a recording of this model.
    """

    def __init__(self, path: Path, info: BackendInfo, capabilities: tuple[str, ...]) -> None:
        self._path = path
        self._is_compressed = path.suffix == ".gz"
        self._lock = threading.Lock()
        self._file_lock = lock_file(path)
        try:
            self._keys, self._line_count = _prepare_file(path, _make_head(info, capabilities))
            self._stream = open_recording(path, "ab")
            # Closes the file if the program does not: a .gz file would lack its end.
            self._finalize = weakref.finalize(
                self, _close, self._stream, self._file_lock, os.getpid()
            )
        except OSError as error:
            unlock_file(self._file_lock)
            raise unwritable_error(path, error) from error
        except BaseException:
            unlock_file(self._file_lock)
            raise

    def add(self, call: Call) -> None:
        """Record a call. A deterministic call is recorded once.

        :param call: the call.
        :raises ContractError: if the answer is not of the hook's type.
        :raises InputError: if the file cannot be written.
        """
        key = call.key.hex()
        with self._lock:
            if key in self._keys and not call.is_nondeterministic:
                return
            line = encode_line(self._line_count + 1, _make_line(call))
            self._keys.add(key)
            try:
                self._stream.write(line)
                self._line_count += 1
                # Lines that are flushed one by one would compress badly.
                if not self._is_compressed:
                    self._stream.flush()
            except OSError as error:
                raise unwritable_error(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._finalize()


def read_recording(path: Path) -> Recording:
    """Read a recording.

    :param path: the file.
    :raises InputError: if the file cannot be read, or is not a recording.
    """
    lines = decode_lines(path, read_lines(path))
    _, head = next(lines, (1, None))
    if head is None:
        raise bad_line_error(path, 1, "is not a line of a recording")
    recording = Recording(_read_info(path, head))
    for number, line in lines:
        try:
            packed = Packed(line["answer"], base64.b64decode(line.get("raw", ""), validate=True))
            recording.answers.setdefault(line["key"], []).append(packed)
        except (KeyError, TypeError, ValueError) as error:
            raise bad_line_error(path, number, "is not a line of a recording") from error
    return recording


def _prepare_file(path: Path, head: Line) -> tuple[set[str], int]:
    """Create the file, or remove the incomplete last line of an earlier run.

    :returns: the keys of its calls, and the number of its lines.
    """
    lines = read_lines(path) if path.exists() else []
    keys = set()
    for number, line in decode_lines(path, lines):
        if number == 1:
            _require_same_model(path, line, head)
        else:
            keys.add(str(line.get("key")))
    lines = lines or [encode_line(1, head)]
    content = b"".join(lines)
    with write_atomically(resolve_link(path)) as stream:
        # The suffix of a link decides, not that of its target.
        stream.write(gzip.compress(content) if path.suffix == ".gz" else content)
    return keys, len(lines)


def _make_head(info: BackendInfo, capabilities: tuple[str, ...]) -> Line:
    model = {item.name: getattr(info, item.name) for item in dataclasses.fields(info)}
    del model["compute_fingerprint"]
    model["capabilities"] = capabilities
    model["special_tokens"] = [dataclasses.asdict(token) for token in info.special_tokens]
    model["details"] = dict(info.details)
    return {
        "autocog recording": FORMAT,
        "version": __version__,
        "fingerprint": info.fingerprint,
        "model": model,
    }


def _make_line(call: Call) -> Line:
    try:
        head, raw = pack(call.hook, call.answer)
    except (TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"the answer cannot be recorded: {error}", where=call.hook) from error
    line = {
        "hook": call.hook,
        "key": call.key.hex(),
        "arguments": summarize_value(call.arguments),
        "answer": head,
    }
    return {**line, "raw": base64.b64encode(raw).decode()} if raw else line


def _read_info(path: Path, head: Line) -> BackendInfo:
    _require_format(path, head)
    try:
        fingerprint = str(head["fingerprint"])
        return dataclasses.replace(
            _INFO.validate_python(head["model"]), compute_fingerprint=lambda: fingerprint
        )
    except (KeyError, TypeError, ValueError) as error:
        raise bad_line_error(path, 1, "does not describe a model") from error


def _require_format(path: Path, head: Line) -> None:
    file_format = head.get("autocog recording")
    if file_format == 1:
        raise InputError(
            "is a recording of an older format, without checksums",
            where=str(path),
            hint=RECORD_AGAIN,
        )
    if file_format != FORMAT or "checksum" not in head:
        raise InputError(
            "is not a recording that this version of autocog can read",
            where=str(path),
            hint=RECORD_AGAIN,
        )


def _require_same_model(path: Path, before: Line, now: Line) -> None:
    _require_format(path, before)
    hint = "name another file, or remove this one and record again"
    if before.get("fingerprint") != now["fingerprint"]:
        raise InputError("is a recording of another model", where=str(path), hint=hint)
    if not now["fingerprint"]:
        raise InputError(
            "exists already, and the model has no fingerprint to compare with the recording",
            where=str(path),
            hint=hint,
        )
    # Through JSON, where tuples become lists.
    old_model, model = before.get("model"), json.loads(json.dumps(now["model"], default=str))
    for name in _IDENTITY_FIELDS:
        old = old_model.get(name) if isinstance(old_model, dict) else None
        if old != model[name]:
            raise InputError(
                f"was recorded with another {name}: {old}, now {model[name]}",
                where=str(path),
                hint=hint,
            )


def _close(stream: BufferedIOBase, lock: FileLock, process: int) -> None:
    # A forked child inherits the buffer and the lock, but they belong to its parent.
    if process != os.getpid():
        return
    try:
        stream.close()
    finally:
        unlock_file(lock)
