"""Files with weights of another type, converted once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
from filelock import FileLock

from autocog_core import AutocogError, ConfigError, ModelLoadError
from autocog_core.toolkit import cache_folder, file_hash, warn_not_cached
from autocog_llamacpp.gguf.info import read_gguf_info
from autocog_llamacpp.gguf.locate import find_parts
from autocog_llamacpp.gguf.quantize import quantize

log = logging.getLogger(__name__)

_HINT = 'weights = "file" converts nothing; AUTOCOG_CACHE names another folder'
#: Folders of files that cannot be kept, by the names of the files; removed with the process.
_temporary_folders: dict[str, tempfile.TemporaryDirectory[str]] = {}


def converted_file(path: Path, type_name: str) -> Path:
    """Return the file with the weights of `path` as another type; convert them if needed.

    If several processes need it, one of them converts and the others wait. A file in the cache
    folder that is not complete is written again.

    :param path: the .gguf file; of a model in several files, the first.
    :param type_name: one of `quantization_types.TYPES`.
    :raises ModelLoadError: if the source is damaged, llama.cpp cannot convert it, or the disk is
        full.
    """
    target = _converted_path(path, type_name)
    if target is not None and _is_complete(target, type_name):
        return target
    with locked(target) as is_locked:
        if target is None or not is_locked:
            return _convert_for_this_process(path, type_name)
        if not _is_complete(target, type_name):
            _convert(path, target, type_name)
    return target


def has_converted(path: Path, type_name: str) -> bool:
    """Whether the cache folder has the complete converted file."""
    target = _converted_path(path, type_name)
    return target is not None and _is_complete(target, type_name)


def remove_converted(path: Path, type_name: str) -> None:
    """Remove a converted file that is not needed; without effect if there is none."""
    target = _converted_path(path, type_name)
    if target is not None:
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            log.info("%s cannot be removed: %s", target, error)
    folder = _temporary_folders.pop(_name(path, type_name), None)
    if folder is not None:
        folder.cleanup()


def content_key(path: Path) -> str:
    """Return a hash of a model's files."""
    hashes = [file_hash(part) for part in find_parts(path)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


@contextmanager
def locked(path: Path | None) -> Iterator[bool]:
    """Hold the lock of a file in the cache folder, across processes.

    :param path: the file; None if there is no cache folder.
    :returns: whether the lock is held. If not, a warning was logged.
    """
    lock = None
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{path}.lock")
            lock.acquire()
        # Some file systems have no locks.
        except (OSError, NotImplementedError) as error:
            warn_not_cached(error)
            lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _name(path: Path, type_name: str) -> str:
    # Another version of llama.cpp may convert differently.
    key = f"{content_key(path)} {llama_cpp.__version__}"
    return f"{path.stem}-{type_name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.gguf"


def _converted_path(path: Path, type_name: str) -> Path | None:
    try:
        return cache_folder("llamacpp") / "weights" / _name(path, type_name)
    except ConfigError as error:
        warn_not_cached(error)
        return None


def _is_complete(target: Path, type_name: str) -> bool:
    """Whether the file is there; its header says how long it must be."""
    if not target.is_file():
        return False
    try:
        return read_gguf_info(target).quantization == type_name
    except AutocogError as error:
        log.warning("%s is damaged and is converted again: %s", target, error.message)
        return False


def _convert_for_this_process(path: Path, type_name: str) -> Path:
    name = _name(path, type_name)
    if name not in _temporary_folders:
        folder = tempfile.TemporaryDirectory(prefix="autocog-")
        _convert(path, Path(folder.name, name), type_name)
        _temporary_folders[name] = folder
    return Path(_temporary_folders[name].name, name)


def _convert(path: Path, target: Path, type_name: str) -> None:
    log.info("converting the weights of %s to %s once", path.name, type_name)
    what = f"cannot convert the weights to {type_name}"
    try:
        quantize(path, target, type_name, requantize=True, force=True)
    except AutocogError as error:
        hint = "; ".join(filter(None, [error.hint, _HINT]))
        raise ModelLoadError(f"{what}: {error.message}", where=error.where, hint=hint) from error
    except OSError as error:
        raise ModelLoadError(f"{what}: {error}", where=str(target.parent), hint=_HINT) from error
    log.info("saved the converted weights in %s", target)
