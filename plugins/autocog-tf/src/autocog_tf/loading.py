"""Load an engine, given its options: from a folder, a hub name or a .gguf file."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from autocog_core import ConfigError, ModelLoadError
from autocog_tf.engine import TfEngine
from autocog_tf.evaluators.out_of_memory import is_out_of_memory
from autocog_tf.evaluators.packed_weights import pack_weights
from autocog_tf.gguf import converted_folder, warn_of_tokens
from autocog_tf.options import TfOptions
from autocog_tf.progress import without_progress_bars

#: The file that a folder with a LoRA adapter has.
ADAPTER_FILE = "adapter_config.json"


def load_engine(options: TfOptions) -> TfEngine:
    """Return an engine over the model and tokenizer of the options.

    :param options: validated options.
    :raises ConfigError: for an unknown or missing device.
    :raises ModelLoadError: if Transformers cannot load the model, or the files lack weights.
    """
    device = select_device(options.device)
    source = options.model_path
    tokenizers: Any = AutoTokenizer
    if source.endswith(".gguf"):
        # `AutoTokenizer` would build those of Qwen and others again, with rules of its own.
        tokenizers = PreTrainedTokenizerFast
        folder = converted_folder(Path(source))
        warn_of_tokens(Path(source), folder)
        source = str(folder)
    shared: dict[str, Any] = {
        "local_files_only": options.local_files_only or Path(source).exists(),
        "trust_remote_code": options.trust_remote_code,
    }
    if options.revision is not None:
        shared["revision"] = options.revision
    extra: dict[str, Any] = {}
    if options.attn_implementation is not None:
        extra["attn_implementation"] = options.attn_implementation
    try:
        with without_progress_bars():
            tokenizer = tokenizers.from_pretrained(source, **shared)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=select_dtype(options.dtype, device),
                output_loading_info=True,
                **shared,
                **extra,
            )
            model, report = loaded
            model = model.to(device)
    # Transformers and its libraries may raise anything for a broken file.
    except Exception as error:
        raise _load_error(error, source, device) from error
    _require_all_weights(report["missing_keys"], source)
    if options.packed_weights:
        pack_weights(model)
    # The user's name: that of a folder of converted weights would be unknown.
    path = Path(options.model_path)
    name = path.name if path.exists() else options.model_path
    return TfEngine(
        model,
        tokenizer,
        prefix_cache_bytes=options.prefix_cache_bytes,
        source=source,
        name=name,
        # A folder or a hub name may bring code of its own, which no hash here describes.
        keeps_verdict=not options.trust_remote_code,
        reverify=options.reverify,
    )


def select_device(name: str) -> torch.device:
    """Return the device of that name; "auto" prefers an accelerator.

    :param name: auto, cpu, cuda, cuda:N or mps.
    :raises ConfigError: for an unknown name or a missing device.
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
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, True):
        raise ConfigError(
            f"this machine has no {device.type} device that torch can use",
            where="device",
            hint='use "auto" or "cpu", or install the torch build for it',
        )
    return device


def select_dtype(name: str, device: torch.device) -> torch.dtype | str:
    """Return the dtype to load; "auto" is float32 on a CPU, the checkpoint's dtype elsewhere."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _require_all_weights(missing: Collection[str], source: str) -> None:
    """Refuse a model that lacks weights: Transformers fills these with random numbers."""
    if missing:
        first, *others = sorted(missing)
        more = f" and {len(others)} others" if others else ""
        raise ModelLoadError(
            f"{source} lacks the weights {first}{more}",
            hint="give a model that was saved as a causal language model, with its head",
        )


def _load_error(error: Exception, source: str, device: torch.device) -> ModelLoadError:
    if is_out_of_memory(error):
        return ModelLoadError(
            f"not enough memory on {device} for {source}",
            hint="use a smaller dtype, a smaller model, or another device",
        )
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if (Path(source) / ADAPTER_FILE).exists():
        hint = _adapter_hint()
    elif Path(source).exists():
        hint = "it needs the config.json, weights and tokenizer of a causal language model"
    else:
        hint = "is the name right, and can this machine reach the hub (or is the model cached)?"
    return ModelLoadError(
        f"Transformers cannot load {source}: {type(error).__name__}: {reason}", hint=hint
    )


def _adapter_hint() -> str:
    if find_spec("peft") is None:
        return "the folder has an adapter, which needs the package peft: pip install peft"
    return (
        "the adapter must fit its base model, with the same vocabulary; if it was trained with "
        "more tokens, merge it (merge_and_unload of peft) and give the folder of the result"
    )
