"""What identifies a model: equal fingerprints mean equal numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
import transformers

from autocog_core.toolkit import file_hash

_SUFFIXES = (".safetensors", ".bin", ".gguf")


def of(model: Any, tokenizer: str, source: str) -> str:
    """Hash of weights, config, tokenizer, dtype, kind of device and engine versions."""
    digest = hashlib.sha256()
    parts = [
        _weights(model, source),
        model.config.to_json_string(use_diff=False),
        hashlib.sha256(tokenizer.encode()).hexdigest(),
        str(model.dtype),
        # "cuda" and "cpu" add in another order; of which of several devices it is says nothing.
        model.device.type,
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
