"""Keep, in the cache folder, which evaluator the test at load has selected.

The file's name is a hash of everything that decides how the numbers are computed. A model whose
code is not only that of Transformers and torch has no such name, and is tested at every load.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
import transformers
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from autocog_core.toolkit import read_cached, write_cached
from autocog_tf.evaluators.packed_weights import PackedLinear, has_packed_weights

log = logging.getLogger(__name__)

#: The others come from other packages, or treat masks in their own ways.
_ATTENTION = ("eager", "sdpa")
#: Modules of these packages do what their code says, and nothing that a user has added.
_MODULES = (
    "torch.nn.modules.",
    "transformers.models.",
    "transformers.activations",
    "transformers.pytorch_utils",
)
_PACKAGES = tuple(str(Path(str(package.__file__)).parent) for package in (torch, transformers))
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a test at load has shown.

    :ivar evaluator: the name of the selected evaluator.
    :ivar difference: its largest difference from plain forwards, in nats per token.
    :ivar rejected: the candidates before it, each with the reason.
    """

    evaluator: str
    difference: float
    rejected: tuple[str, ...]


def verdict_file(model: Any) -> str | None:
    """Return the path of the model's verdict in the cache folder; None if it is not kept.

    :param model: a causal language model.
    """
    reason = reason_not_to_keep(model)
    if reason:
        log.debug("the test at load is repeated each time: %s", reason)
        return None
    parts = [
        model.config.to_json_string(use_diff=False),
        str(sorted({type(module).__qualname__ for module in model.modules()})),
        str(sorted({str(parameter.dtype) for parameter in model.parameters()})),
        model.config._attn_implementation,
        _describe_device(model.device),
        "packed" if has_packed_weights(model) else "",
        *(f"{name} {version(name)}" for name in ("torch", "transformers", "autocog-tf")),
        *_code_hashes(model),
    ]
    digest = hashlib.sha256("\0".join(parts).encode())
    return f"tf/verdicts/{digest.hexdigest()}"


def reason_not_to_keep(model: Any) -> str:
    """Return what a model's config cannot say about how it computes; "" if there is nothing.

    :param model: a causal language model.
    """
    attention = model.config._attn_implementation
    if attention not in _ATTENTION:
        return f"its attention is {attention}"
    if getattr(model, "hf_quantizer", None) is not None:
        return "it is quantized"
    if len({parameter.device for parameter in model.parameters()}) != 1:
        return "it is on several devices"
    function = ALL_ATTENTION_FUNCTIONS.get(attention)
    if isinstance(function, FunctionType) and not _is_known_code(function):
        return f"the attention {attention} was replaced"
    classes: set[type] = set()
    for name, module in model.named_modules():
        label = name or "the model"
        if not isinstance(vars(module).get("forward"), PackedLinear | None):
            return f"forward of {label} was replaced"
        if module._forward_hooks or module._forward_pre_hooks or _has_hooks_of_all_modules():
            return f"{label} has hooks"
        classes.add(type(module))
    for kind in classes:
        if not kind.__module__.startswith(_MODULES):
            return f"it has modules of {kind.__module__}"
        for function in _functions_of(kind):
            if not _is_known_code(function):
                return f"{function.__qualname__} of {kind.__module__} was replaced"
    return ""


def read_verdict(file: str) -> Verdict | None:
    """Return a kept verdict; None if there is none that can be read.

    :param file: see `verdict_file`.
    """
    content = read_cached(file)
    try:
        data = json.loads(content) if content is not None else None
        return None if data is None else Verdict(**{**data, "rejected": tuple(data["rejected"])})
    except (ValueError, TypeError, KeyError):
        return None


def write_verdict(file: str, verdict: Verdict) -> None:
    """Keep a verdict.

    :param file: see `verdict_file`.
    :param verdict: the verdict.
    """
    data = {
        "evaluator": verdict.evaluator,
        "difference": verdict.difference,
        "rejected": verdict.rejected,
    }
    write_cached(file, json.dumps(data).encode())


def _has_hooks_of_all_modules() -> bool:
    modules: Any = torch.nn.modules.module
    return bool(modules._has_any_global_hook())


def _functions_of(kind: type) -> Iterator[FunctionType]:
    """Yield the methods of a class, and the functions that its module's code calls."""
    own = (value for base in kind.__mro__ for value in vars(base).values())
    around = vars(sys.modules[kind.__module__]).values()
    for value in (*own, *around):
        if isinstance(value, FunctionType):
            yield value


def _is_known_code(function: FunctionType) -> bool:
    """Whether a function is in a file of torch, Transformers or Python itself."""
    file = function.__code__.co_filename
    if file.startswith(_PACKAGES):
        return True
    is_installed = "site-packages" in file or "dist-packages" in file
    return file.startswith(_STANDARD_LIBRARY) and not is_installed


def _describe_device(device: torch.device) -> str:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        cuda: Any = torch.backends.cuda
        kernels = (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled())
        name += f" {kernels} {cuda.math_sdp_enabled()} {cuda.matmul.allow_tf32}"
    else:
        name = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return f"{device.type} {name} {torch.get_float32_matmul_precision()}"


def _code_hashes(model: Any) -> Iterator[str]:
    """Yield a hash of the code of the model's modules, and of the evaluators."""
    ours = Path(__file__).parent
    names = {type(module).__module__ for module in model.modules()}
    modeling = (Path(str(sys.modules[name].__file__)) for name in names)
    for path in sorted({*modeling, *ours.glob("*.py"), ours.parent / "engine.py"}):
        yield hashlib.sha256(path.read_bytes()).hexdigest()
