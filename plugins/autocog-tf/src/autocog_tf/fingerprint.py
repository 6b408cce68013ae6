"""What identifies a model: equal fingerprints mean equal numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock

from autocog_tf.cache_folder import cache_folder

_SUFFIXES = (".safetensors", ".bin", ".gguf")


def of(model: Any, tokenizer: str, source: str) -> str:
    """Hash of weights, config, tokenizer, dtype and engine versions."""
    digest = hashlib.sha256()
    parts = [
        _weights(model, source),
        model.config.to_json_string(use_diff=False),
        hashlib.sha256(tokenizer.encode()).hexdigest(),
        str(model.dtype),
        str(model.config._attn_implementation),
        transformers.__version__,
        torch.__version__,
    ]
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _weights(model: Any, source: str) -> str:
    commit = getattr(model.config, "_commit_hash", None)
    if source and commit:
        return f"hub:{source}@{commit}"
    files = sorted(Path(source).glob("*")) if source else []
    files = [file for file in files if file.suffix in _SUFFIXES]
    if files:
        return " ".join(file_hash(file) for file in files)
    # A model that was given as an object may differ from the files it came from: what it holds.
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file, remembered by path, size and modification time."""
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    index = cache_folder() / "hashes.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{index}.lock"):
        known: dict[str, str] = json.loads(index.read_text()) if index.exists() else {}
        if key not in known:
            with path.open("rb") as stream:
                known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            temporary = index.with_suffix(".new")
            temporary.write_text(json.dumps(known))
            temporary.replace(index)
        return known[key]
