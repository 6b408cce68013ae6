"""A .gguf file through Transformers: dequantized once, kept as a folder that loads in a second."""

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
from transformers import AutoModelForCausalLM, AutoTokenizer

from autocog_core import ModelLoadError
from autocog_core.toolkit import cache_folder
from autocog_tf.progress import quiet_progress

log = logging.getLogger(__name__)

MAGIC = b"GGUF"


def converted_folder(path: Path) -> Path:
    """The folder with the float32 form of a .gguf file, converted now if it was not before.

    Several processes may ask at once: one converts, the others wait for it.

    :raises ModelLoadError: for a file that is no GGUF file, or that Transformers cannot convert.
    """
    with path.open("rb") as stream:
        magic = stream.read(len(MAGIC))
    if magic != MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file", hint="is the download complete?")
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {transformers.__version__}"
    name = f"{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = cache_folder("tf") / "converted" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            log.info("converting %s for Transformers, once: this takes about a minute", path.name)
            with quiet_progress():
                _convert(path, folder)
            log.info("converted, and kept in %s", folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    # Complete or not there at all: written beside its place, then moved.
    temporary = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        loaded = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32
        )
        model = _plain_copy(loaded)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        # mkdtemp makes it for this user alone; a cache may be shared.
        temporary.chmod(0o755)
        temporary.rename(folder)
    # A truncated file can fail anywhere inside the reader.
    except Exception as error:
        raise ModelLoadError(
            f"{path} cannot be converted: {type(error).__name__}: {error}",
            hint="is the file complete, and its architecture one that Transformers knows?",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _plain_copy(loaded: Any) -> Any:
    """The model without the mark of quantization, with which Transformers would not save it."""
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model
