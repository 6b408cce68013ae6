"""The fingerprint of a model: equal fingerprints mean equal numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
import transformers

from autocog_core.toolkit import file_hash
from autocog_tf.evaluators.packed_weights import has_packed_weights

_SUFFIXES = (".safetensors", ".bin", ".gguf")


def compute_fingerprint(model: Any, tokenizer: str, source: str) -> str:
    """Return a hash of weights, config, tokenizer, dtype, type of device and library versions.

    :param model: the model.
    :param tokenizer: the definition of its tokenizer.
    :param source: folder, file or hub name of the weights; "" if unknown.
    """
    digest = hashlib.sha256()
    parts = [
        _identify_weights(model, source),
        model.config.to_json_string(use_diff=False),
        hashlib.sha256(tokenizer.encode()).hexdigest(),
        str(model.dtype),
        # "cuda" and "cpu" round differently; the index of a device makes no difference.
        model.device.type,
        str(model.config._attn_implementation),
        transformers.__version__,
        torch.__version__,
    ]
    if has_packed_weights(model):
        parts.append("packed weights")
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _identify_weights(model: Any, source: str) -> str:
    commit = getattr(model.config, "_commit_hash", None)
    if source and commit:
        return f"hub:{source}@{commit}"
    files = sorted(Path(source).glob("*")) if source else []
    files = [file for file in files if file.suffix in _SUFFIXES]
    if files:
        return " ".join(file_hash(file) for file in files)
    # A model object may differ from any file: hash the tensors.
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
