""".gguf files: dequantized once, and saved as a folder that Transformers loads in a second."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from transformers import AutoModelForCausalLM

from autocog_core import ConfigError, ModelLoadError
from autocog_core.toolkit import cache_folder, file_hash, warn_not_cached
from autocog_tf.progress import without_progress_bars

log = logging.getLogger(__name__)

MAGIC = b"GGUF"
#: Counts the changes of what is converted: folders of earlier versions are not used any more.
VERSION = 2
#: The file, in a converted folder, with what the user must know about it.
NOTICE_FILE = "notice.txt"
_temporary_folders: list[tempfile.TemporaryDirectory[str]] = []


def converted_folder(path: Path) -> Path:
    """Return the folder with the float32 form of a .gguf file; convert the file if needed.

    Files with the same content, such as a package in several environments, share one folder. If
    several processes need it, one of them converts and the others wait.

    :param path: the .gguf file.
    :raises ModelLoadError: if it is not a GGUF file, or Transformers cannot convert it.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise ModelLoadError(
            f"cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    if magic != MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file", hint="is the download complete?")
    digest = _content_digest(path)
    name = f"{path.stem}-{digest}"
    try:
        parent = cache_folder("tf") / "converted"
        if (folder := _find_converted(parent, digest)) is not None:
            return folder
        parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(parent / f"{digest}.lock")
        lock.acquire()
    except (OSError, ConfigError) as error:
        warn_not_cached(error)
        return _convert_for_this_process(path, name)
    try:
        folder = _find_converted(parent, digest)
        if folder is None:
            folder = parent / name
            log.info("converting %s for Transformers once; this takes about a minute", path.name)
            with without_progress_bars():
                _convert(path, folder)
            log.info("saved the converted model in %s", folder)
    finally:
        lock.release()
    return folder


def _content_digest(path: Path) -> str:
    """Return a hash of all that a conversion depends on."""
    try:
        parts = [file_hash(path), transformers.__version__, str(VERSION)]
        # Transformers takes it from the folder of the file.
        beside = path.with_name("generation_config.json")
        if beside.is_file():
            parts.append(file_hash(beside))
    except OSError as error:
        raise ModelLoadError(
            f"cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _find_converted(parent: Path, digest: str) -> Path | None:
    """Return the folder of this digest, which has the name of the file that was converted."""
    return next(iter(sorted(parent.glob(f"*-{digest}"))), None)


def warn_of_tokens(path: Path, folder: Path) -> None:
    """Log a warning if the tokens of a converted model may not be those of its training.

    :param path: the .gguf file.
    :param folder: its converted folder.
    """
    notice = folder / NOTICE_FILE
    if notice.exists():
        log.warning("%s: %s", path.name, notice.read_text(encoding="utf-8"))


def _convert_for_this_process(path: Path, name: str) -> Path:
    """Convert a file into a temporary folder, which is removed when the process ends."""
    parent = tempfile.TemporaryDirectory(prefix="autocog-")
    # Until then, the fingerprint is computed from its files.
    _temporary_folders.append(parent)
    folder = Path(parent.name, name)
    log.info("converting %s for Transformers; this takes about a minute", path.name)
    with without_progress_bars():
        _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    from autocog_tf.gguf_tokenizer import GgufTokenizer

    # Write to a temporary folder and rename it, so that `folder` is always complete.
    temporary = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        source = GgufTokenizer(path)
        tokenizer = source.convert()
        loaded = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32
        )
        model = _copy_without_quantization(loaded)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if source.notice:
            (temporary / NOTICE_FILE).write_text(source.notice, encoding="utf-8")
        # mkdtemp gives access to this user only, but a cache may be shared.
        temporary.chmod(0o755)
        temporary.rename(folder)
    except ModelLoadError:
        raise
    # A truncated file can raise anything inside the reader.
    except Exception as error:
        raise ModelLoadError(
            f"cannot convert {path}: {type(error).__name__}: {error}",
            hint="is the file complete, and does Transformers support its architecture?",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_without_quantization(loaded: Any) -> Any:
    """Return the model without its quantization config, with which it could not be saved."""
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model
