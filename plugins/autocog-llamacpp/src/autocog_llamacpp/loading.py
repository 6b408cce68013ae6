"""From options to a loaded engine."""

from __future__ import annotations

import ctypes
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import loky

from autocog_core import ConfigError, ModelLoadError
from autocog_core.toolkit import HUB_PREFIX, file_hash
from autocog_llamacpp.engine import LlamaEngine
from autocog_llamacpp.extension.load import native
from autocog_llamacpp.extension.session import NativeSession
from autocog_llamacpp.gguf.weights import Weights
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.attention import TreeEvaluator
from autocog_llamacpp.llama.chat_template import ChatTemplate
from autocog_llamacpp.llama.context import Context
from autocog_llamacpp.llama.interrupt import Interruptible
from autocog_llamacpp.llama.memory import CACHE_TYPES, cache_bytes, check_memory
from autocog_llamacpp.llama.recurrent import StateEvaluator
from autocog_llamacpp.llama.session import Session
from autocog_llamacpp.llama.tokenizer import Tokenizer
from autocog_llamacpp.options import LlamaOptions
from autocog_llamacpp.tolerance import tolerance_of

#: Logits of one call hold at most this many bytes, where `n_seq_max` does not say otherwise.
LOGITS_BYTES = 32 << 20
#: llama.cpp's own limit.
MOST_SEQUENCES = 256
#: States of recurrent models are large.
STATES = 8


def load_engine(options: LlamaOptions) -> LlamaEngine:
    """Load weights and make a context.

    :raises ConfigError: for a file that is not there.
    :raises ModelLoadError: if llama.cpp cannot load it, or memory does not suffice.
    """
    logs.capture()
    if options.verbose:
        logs.show()
    llama_cpp.llama_backend_init()
    path = find_file(options.model_path)
    interruptible = Interruptible()
    weights = Weights(
        path, interruptible, n_gpu_layers=options.n_gpu_layers, use_mmap=options.use_mmap
    )
    extension = _extension(options)
    tokenizer = Tokenizer(weights, weights.pointer, extension)
    template = weights.chat_template
    texts = {
        "bos_token": tokenizer.text_of(tokenizer.bos),
        "eos_token": tokenizer.text_of(tokenizer.eos[0] if tokenizer.eos else None),
    }
    # llama.cpp wants all adapters before the context.
    adapters = [weights.add_adapter(Path(adapter.path)) for adapter in options.lora]
    context = _make_context(options, weights, tokenizer.size, interruptible)
    _apply(context, adapters, [adapter.scale for adapter in options.lora])
    length = options.n_ctx or weights.context_length
    return LlamaEngine(
        context,
        tokenizer,
        _make_session(extension, context, tokenizer, recurrent=weights.recurrent),
        name=path.name,
        context_length=min(length, weights.context_length, context.cells),
        tolerance=tolerance_of(weights.file_type, options),
        chat_template=ChatTemplate(template, texts) if template else None,
        seed=options.seed,
        details=_details(options, weights, context),
        identify=_fingerprint(options, path),
    )


def find_file(given: str) -> Path:
    """The file that `model_path` names; one on the hub is downloaded, or found in its cache.

    :raises ConfigError: if it is not there.
    """
    if not given.startswith(HUB_PREFIX):
        path = Path(given)
        if not path.is_file():
            raise ConfigError(
                f"{given} is no file",
                where="model_path",
                hint="give a .gguf file, package:PKG/FILE or hf:REPO/FILE",
            )
        return path
    owner, _, rest = given.removeprefix(HUB_PREFIX).partition("/")
    name, _, file = rest.partition("/")
    if not file:
        raise ConfigError(
            f"{given} names no file", where="model_path", hint="for example hf:OWNER/NAME/FILE.gguf"
        )
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{given} needs the package huggingface-hub",
            where="model_path",
            hint='pip install "autocog-llamacpp[hub]", or download the file yourself',
        ) from error
    try:
        found, *_ = [hf_hub_download(f"{owner}/{name}", part) for part in _part_names(file)]
        return Path(found)
    # Its errors have no base of their own: network, HTTP, a name that does not exist.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot get {given}: {first}",
            where="model_path",
            hint="is the name right, and is the hub reachable (or the file downloaded before)?",
        ) from error


def _make_context(
    options: LlamaOptions, weights: Weights, width: int, interruptible: Interruptible
) -> Context:
    types = (options.type_k or "f16", options.type_v or "f16")
    flash = options.flash_attn
    if options.exact:
        types, flash = ("f32", "f32"), False
    cells = options.n_ctx or weights.context_length
    offloaded = bool(options.n_gpu_layers) and llama_cpp.llama_supports_gpu_offload()
    _check_cache(cells, weights, types, offloaded=offloaded)
    sequences = options.n_seq_max or _fitting_sequences(weights, width, options.n_batch)
    # llama.cpp may be given a token of each sequence at once; and never more than all cells.
    batch = min(max(options.n_batch, sequences), cells)
    threads = options.n_threads or loky.cpu_count(only_physical_cores=True)

    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = cells
    parameters.n_batch = batch
    parameters.n_ubatch = min(options.n_ubatch, batch)
    parameters.n_seq_max = sequences
    # Rows of logits in one call: llama.cpp has room for as many as there are sequences anyway.
    parameters.n_outputs_max = sequences
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.kv_unified = True
    parameters.swa_full = True
    parameters.type_k, parameters.type_v = (CACHE_TYPES[name].number for name in types)
    if flash is not None:
        parameters.flash_attn_type = int(flash)
    parameters.abort_callback = interruptible.callback
    parameters.abort_callback_data = ctypes.addressof(interruptible.flag)
    parameters.no_perf = True
    with logs.Errors() as errors:
        pointer = llama_cpp.llama_init_from_model(weights.pointer, parameters)
    if not pointer:
        raise ModelLoadError(
            "llama.cpp cannot make a context" + (f": {errors.reason}" if errors.reason else ""),
            hint="do n_ctx, type_k, type_v and flash_attn go together, and fit into memory?",
        )
    context = Context(pointer, weights, interruptible, width, sequences)
    # Encoders (BERT, embedding models) keep nothing, or let tokens see those after them.
    if not llama_cpp.llama_get_memory(pointer) or not llama_cpp.llama_get_causal_attn(pointer):
        weights.refuse("looks at the whole text at once")
    return context


def _extension(options: LlamaOptions) -> Any:
    found = native()
    if options.use_extension and found.module is None:
        raise ModelLoadError(
            f"the extension in C++ is not in use: {found.reason}",
            where="use_extension",
            hint="leave use_extension out, and Python does its work",
        )
    return None if options.use_extension is False else found.module


def _make_session(
    extension: Any, context: Context, tokenizer: Tokenizer, *, recurrent: bool
) -> Session:
    if extension is not None:
        return NativeSession(extension, context, tokenizer, recurrent=recurrent)
    return StateEvaluator(context) if recurrent else TreeEvaluator(context)


def _fitting_sequences(weights: Weights, width: int, batch: int) -> int:
    if weights.recurrent:
        return min(STATES, batch)
    return min(batch, max(16, min(MOST_SEQUENCES, LOGITS_BYTES // (4 * width))))


def _check_cache(cells: int, weights: Weights, types: tuple[str, str], *, offloaded: bool) -> None:
    heads, widths = weights.cache_shape()
    for option, width, kind in zip(("type_k", "type_v"), widths, types, strict=True):
        # llama.cpp looks at this with flash attention only; without it the numbers are wrong.
        if width % CACHE_TYPES[kind].block:
            raise ModelLoadError(
                f"{kind} quantizes {CACHE_TYPES[kind].block} values together, "
                f"and this model's heads have {width}",
                where=option,
                hint='give "f16", "bf16" or "f32"',
            )
    if offloaded:
        # It is the device's memory then, which llama.cpp asks for first.
        return
    needed = cache_bytes(cells, heads, widths, types)
    check_memory(
        needed, f"a KV cache of n_ctx = {cells} tokens", "give a smaller n_ctx, type_k or type_v"
    )


def _apply(context: Context, adapters: Sequence[Any], scales: Sequence[float]) -> None:
    count = len(adapters)
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*adapters)
    factors = (ctypes.c_float * count)(*scales)
    if llama_cpp.llama_set_adapters_lora(context.pointer, pointers, count, factors) != 0:
        raise ModelLoadError("llama.cpp refuses the LoRA adapter", where="lora")


def _details(options: LlamaOptions, weights: Weights, context: Context) -> dict[str, Any]:
    flash = {None: "auto", True: "on", False: "off"}[options.flash_attn]
    types = (options.type_k or "f16", options.type_v or "f16")
    return {
        "architecture": weights.description,
        "weights": weights.file_type,
        "context": f"{context.cells} cells, {context.sequences} sequences",
        "cache": "f32" if options.exact else "/".join(dict.fromkeys(types)),
        "flash_attention": "off" if options.exact else flash,
        "threads": options.n_threads or loky.cpu_count(only_physical_cores=True),
        "extension": _told(options),
        "exact": options.exact,
        "llama_cpp": llama_cpp.__version__,
    }


def _told(options: LlamaOptions) -> str:
    reason = "use_extension = false" if options.use_extension is False else native().reason
    return f"no: {reason}" if reason else "yes"


def _fingerprint(options: LlamaOptions, path: Path) -> Callable[[], str]:
    """What tells models apart: weights, adapters, and whatever else changes numbers."""

    def identify() -> str:
        digest = hashlib.sha256()
        kinds = {"flash_attn", "type_k", "type_v", "exact", "n_gpu_layers"}
        # What is evaluated together is rounded together; how many threads share it is not told.
        kinds |= {"n_batch", "n_ubatch", "n_seq_max"}
        parts = [file_hash(part) for part in parts_of(path)]
        parts += [f"{file_hash(Path(lora.path))} {lora.scale}" for lora in options.lora]
        parts += [options.model_dump_json(include=kinds), llama_cpp.__version__]
        for part in parts:
            digest.update(part.encode() + b"\0")
        return digest.hexdigest()

    return identify


def parts_of(path: Path) -> list[Path]:
    """All files of a model that was split (`NAME-00001-of-00003.gguf`); else the one."""
    return [path.with_name(name) for name in _part_names(path.name)]


def _part_names(name: str) -> list[str]:
    found = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", name)
    if found is None:
        return [name]
    count = int(found[2])
    return [f"{found[1]}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
