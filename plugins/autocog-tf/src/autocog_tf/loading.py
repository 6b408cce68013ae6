"""From options to a loaded engine: folder, hub name or .gguf file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autocog_core import ConfigError, ModelLoadError
from autocog_tf.engine import TfEngine
from autocog_tf.evaluators.out_of_memory import is_out_of_memory
from autocog_tf.gguf import converted_folder
from autocog_tf.options import TfOptions
from autocog_tf.progress import quiet_progress

log = logging.getLogger(__name__)


def load_engine(options: TfOptions) -> TfEngine:
    """Load model and tokenizer.

    :raises ConfigError: for a device that is not there.
    :raises ModelLoadError: if Transformers cannot make a model of what it was given.
    """
    device = pick_device(options.device)
    source = options.model_path
    if source.endswith(".gguf"):
        source = str(converted_folder(Path(source)))
    shared: dict[str, Any] = {
        "revision": options.revision,
        "local_files_only": options.local_files_only or Path(source).exists(),
        "trust_remote_code": options.trust_remote_code,
    }
    shared = {name: value for name, value in shared.items() if value is not None}
    extra: dict[str, Any] = {}
    if options.attn_implementation is not None:
        extra["attn_implementation"] = options.attn_implementation
    try:
        with quiet_progress():
            tokenizer = AutoTokenizer.from_pretrained(source, **shared)
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=pick_dtype(options.dtype, device), **shared, **extra
            )
            model = model.to(device)
    # Transformers and the libraries below it raise whatever a broken file leads them to.
    except Exception as error:
        if is_out_of_memory(error):
            raise ModelLoadError(
                f"not enough memory on {device} for {source}",
                hint="use a smaller dtype, model, or another device",
            ) from error
        raise ModelLoadError(_explain(error, source), hint=_hint(source)) from error
    # The name as people gave it: a folder of converted weights would tell them little.
    given = Path(options.model_path)
    name = given.name if given.exists() else options.model_path
    return TfEngine(
        model, tokenizer, prefix_cache_bytes=options.prefix_cache_bytes, source=source, name=name
    )


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" takes an accelerator where there is one.

    :raises ConfigError: for an unknown name or a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"unknown device {name!r}", where="device", hint="auto, cpu, cuda, cuda:N or mps"
        ) from error
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, True):
        raise ConfigError(
            f"this machine has no {device.type} device that torch can use",
            where="device",
            hint='use "auto" or "cpu", or install the torch build for it',
        )
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype | str:
    """The dtype to load in; "auto" is exact where that is cheap, else the checkpoint's own."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _explain(error: Exception, source: str) -> str:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    return f"Transformers cannot load {source}: {type(error).__name__}: {first}"


def _hint(source: str) -> str:
    if Path(source).exists():
        return "it needs config.json, weights and tokenizer of a causal language model"
    return "is the name right, and is the hub reachable (or the model downloaded before)?"
