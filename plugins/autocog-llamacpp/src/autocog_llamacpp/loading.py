"""Loads an engine from options."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import llama_cpp
import loky

from autocog_core import ModelLoadError
from autocog_core.toolkit import ChatTemplate, file_hash, limit_threads, warn_of_spinning
from autocog_llamacpp.engine import LlamaEngine
from autocog_llamacpp.extension.load import load_extension
from autocog_llamacpp.extension.session import NativeSession
from autocog_llamacpp.gguf.info import CHAT_TEMPLATE
from autocog_llamacpp.gguf.locate import find_file, find_parts
from autocog_llamacpp.gguf.weights import Weights
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.attention import AttentionSession
from autocog_llamacpp.llama.context import Context
from autocog_llamacpp.llama.independent import IndependentSession
from autocog_llamacpp.llama.interrupt import Interruptible
from autocog_llamacpp.llama.memory import CACHE_TYPES, cache_bytes, require_memory
from autocog_llamacpp.llama.recurrent import RecurrentSession
from autocog_llamacpp.llama.session import Session
from autocog_llamacpp.llama.speed import PROBE_CELLS
from autocog_llamacpp.llama.tokenizer import Tokenizer
from autocog_llamacpp.options import LlamaOptions
from autocog_llamacpp.tolerance import estimate_tolerance
from autocog_llamacpp.weights_type import SelectedWeights, select_weights, suggest_weights

#: The logits of one call have at most this size, unless `n_seq_max` is set.
MAX_LOGITS_BYTES = 32 << 20
#: llama.cpp's limit.
MAX_SEQUENCES = 256
#: Nodes that one step of a search for the best choices reads. On a processor, a decode costs as
#: much as one to five tokens, and each token costs alike. A GPU reads its weights once for all.
NODES_PER_STEP, NODES_PER_STEP_ON_GPU = 12, 32
#: States of recurrent models are large.
RECURRENT_SEQUENCES = 8


def load_engine(options: LlamaOptions) -> LlamaEngine:
    """Load weights and create a context.

    :param options: the options of the model.
    :raises ConfigError: if the file does not exist.
    :raises ModelLoadError: if llama.cpp cannot load it, or memory is missing.
    """
    logs.capture()
    if options.verbose:
        logs.show()
    llama_cpp.llama_backend_init()
    path = find_file(options.model_path)
    threads, _ = _thread_counts(options)
    selected = select_weights(path, options, threads, partial(_open_probe, options))
    interruptible = Interruptible()
    weights = _load_weights(options, selected.path, interruptible)
    extension = _select_extension(options)
    tokenizer = Tokenizer(weights, weights.pointer, extension)
    template = weights.chat_template
    special_texts = {
        "bos_token": tokenizer.text_of(tokenizer.bos),
        "eos_token": tokenizer.text_of(tokenizer.eos[0] if tokenizer.eos else None),
    }
    # llama.cpp must load all adapters before it creates the context.
    adapters = [weights.add_adapter(Path(adapter.path)) for adapter in options.lora]
    context = _create_context(options, weights, tokenizer.size, interruptible)
    _apply_lora(context, adapters, [adapter.scale for adapter in options.lora])
    session = _create_session(extension, context, tokenizer, recurrent=weights.recurrent)
    length = options.n_ctx or weights.context_length
    return LlamaEngine(
        context,
        tokenizer,
        session if options.prefix_cache else IndependentSession(session),
        name=path.name,
        context_length=min(length, weights.context_length, context.cells),
        tolerance=estimate_tolerance(weights.file_type, options),
        nodes_per_step=_nodes_per_step(options, context),
        chat_template=ChatTemplate(template, special_texts, {"default": f"{path}: {CHAT_TEMPLATE}"})
        if template
        else None,
        seed=options.seed,
        details={
            **_details(options, weights, context),
            **_weights_details(options, path, selected, weights),
        },
        compute_fingerprint=_fingerprint_function(options, path, selected.converted_to),
    )


def _load_weights(options: LlamaOptions, path: Path, interruptible: Interruptible) -> Weights:
    return Weights(
        path, interruptible, n_gpu_layers=options.n_gpu_layers, use_mmap=options.use_mmap
    )


def _open_probe(options: LlamaOptions, path: Path) -> Context:
    """Open a small context of a file, to measure its speed."""
    interruptible = Interruptible()
    weights = _load_weights(options, path, interruptible)
    vocabulary = llama_cpp.llama_model_get_vocab(weights.pointer)
    width = int(llama_cpp.llama_vocab_n_tokens(vocabulary))
    small = options.model_copy(
        update={"n_ctx": PROBE_CELLS, "n_batch": PROBE_CELLS, "n_seq_max": 1}
    )
    return _create_context(small, weights, width, interruptible)


def _create_context(
    options: LlamaOptions, weights: Weights, width: int, interruptible: Interruptible
) -> Context:
    types = (options.type_k or "f16", options.type_v or "f16")
    flash_attn = options.flash_attn
    if options.exact:
        types, flash_attn = ("f32", "f32"), False
    cells = options.n_ctx or weights.context_length
    _check_cache(cells, weights, types, offloaded=_is_offloaded(options))
    sequences = options.n_seq_max or _default_sequences(weights, width, options.n_batch)
    # At least one token of each sequence must fit into a batch. A batch cannot exceed the cells.
    batch = min(max(options.n_batch, sequences), cells)
    threads = _thread_counts(options)
    if max(threads) > 1:
        warn_of_spinning()

    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = cells
    parameters.n_batch = batch
    parameters.n_ubatch = min(options.n_ubatch, batch)
    parameters.n_seq_max = sequences
    # llama.cpp allocates one row of logits for each sequence in any case.
    parameters.n_outputs_max = sequences
    parameters.n_threads, parameters.n_threads_batch = threads
    parameters.kv_unified = True
    parameters.swa_full = True
    parameters.type_k, parameters.type_v = (CACHE_TYPES[name].ggml_type for name in types)
    if flash_attn is not None:
        parameters.flash_attn_type = int(flash_attn)
    parameters.abort_callback = interruptible.callback
    parameters.abort_callback_data = ctypes.addressof(interruptible.flag)
    parameters.no_perf = True
    with logs.Errors() as errors:
        pointer = llama_cpp.llama_init_from_model(weights.pointer, parameters)
    if not pointer:
        raise ModelLoadError(
            "llama.cpp cannot create a context" + (f": {errors.reason}" if errors.reason else ""),
            hint="check that n_ctx, type_k, type_v and flash_attn are compatible, and fit into "
            "memory",
        )
    context = Context(pointer, weights, interruptible, width, sequences)
    # Encoders (BERT, embedding models) have no memory, or attend to later tokens.
    if not llama_cpp.llama_get_memory(pointer) or not llama_cpp.llama_get_causal_attn(pointer):
        weights.refuse("looks at the whole text at once")
    return context


def _thread_counts(options: LlamaOptions) -> tuple[int, int]:
    """Return the numbers of threads for one token, and for more."""
    single = options.n_threads or limit_threads(loky.cpu_count(only_physical_cores=True))
    return single, options.n_threads_batch or single


def _select_extension(options: LlamaOptions) -> Any:
    """Return the extension module, if it is to be used."""
    extension = load_extension()
    if options.use_extension and extension.module is None:
        raise ModelLoadError(
            f"the C++ extension is not in use: {extension.reason}",
            where="use_extension",
            hint="leave use_extension out to use the Python implementation",
        )
    return None if options.use_extension is False else extension.module


def _create_session(
    extension: Any, context: Context, tokenizer: Tokenizer, *, recurrent: bool
) -> Session:
    if extension is not None:
        return NativeSession(extension, context, tokenizer, recurrent=recurrent)
    return RecurrentSession(context) if recurrent else AttentionSession(context)


def _nodes_per_step(options: LlamaOptions, context: Context) -> int:
    nodes = NODES_PER_STEP_ON_GPU if _is_offloaded(options) else NODES_PER_STEP
    # More branches than sequences would need several decodes.
    return min(nodes, context.sequences)


def _is_offloaded(options: LlamaOptions) -> bool:
    return bool(options.n_gpu_layers) and llama_cpp.llama_supports_gpu_offload()


def _default_sequences(weights: Weights, width: int, batch: int) -> int:
    if weights.recurrent:
        return min(RECURRENT_SEQUENCES, batch)
    return min(batch, max(16, min(MAX_SEQUENCES, MAX_LOGITS_BYTES // (4 * width))))


def _check_cache(cells: int, weights: Weights, types: tuple[str, str], *, offloaded: bool) -> None:
    heads, widths = weights.cache_shape()
    for option, width, kind in zip(("type_k", "type_v"), widths, types, strict=True):
        # llama.cpp checks this only with flash attention; without it, the numbers are wrong.
        if width % CACHE_TYPES[kind].block:
            raise ModelLoadError(
                f"{kind} quantizes {CACHE_TYPES[kind].block} values together, "
                f"and this model's heads have {width}",
                where=option,
                hint='give "f16", "bf16" or "f32"',
            )
    if offloaded:
        # The cache is in the device's memory, which llama.cpp checks.
        return
    require_memory(
        cache_bytes(cells, heads, widths, types),
        f"a KV cache of n_ctx = {cells} tokens",
        "give a smaller n_ctx, type_k or type_v",
    )


def _apply_lora(context: Context, adapters: Sequence[Any], scales: Sequence[float]) -> None:
    count = len(adapters)
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*adapters)
    factors = (ctypes.c_float * count)(*scales)
    if llama_cpp.llama_set_adapters_lora(context.pointer, pointers, count, factors) != 0:
        raise ModelLoadError("llama.cpp refuses the LoRA adapter", where="lora")


def _details(options: LlamaOptions, weights: Weights, context: Context) -> dict[str, Any]:
    flash_attn = {None: "auto", True: "on", False: "off"}[options.flash_attn]
    types = (options.type_k or "f16", options.type_v or "f16")
    single, batch = _thread_counts(options)
    return {
        "architecture": weights.description,
        "weights": weights.file_type,
        "context": f"{context.cells} cells, {context.sequences} sequences",
        "cache": "f32" if options.exact else "/".join(dict.fromkeys(types)),
        "flash_attention": "off" if options.exact else flash_attn,
        "threads": single,
        "threads_batch": batch,
        "extension": _extension_status(options),
        "exact": options.exact,
        "prefix_cache": options.prefix_cache,
        "llama_cpp": llama_cpp.__version__,
    }


def _weights_details(
    options: LlamaOptions, path: Path, selected: SelectedWeights, weights: Weights
) -> dict[str, str]:
    """Return where the weights come from, or what would be faster."""
    if selected.note:
        return {"weights_source": selected.note}
    threads, _ = _thread_counts(options)
    advice = suggest_weights(path, weights.file_type, options, threads)
    return {"faster_weights": advice} if advice else {}


def _extension_status(options: LlamaOptions) -> str:
    disabled = options.use_extension is False
    reason = "use_extension = false" if disabled else load_extension().reason
    return f"no: {reason}" if reason else "yes"


def _fingerprint_function(
    options: LlamaOptions, path: Path, converted_to: str | None
) -> Callable[[], str]:
    """Return a function that hashes the weights, the adapters, and the options for the numbers.

    :param path: the file of the option `model_path`.
    :param converted_to: the type that its weights were converted to.
    """

    def compute_fingerprint() -> str:
        digest = hashlib.sha256()
        names = {"flash_attn", "type_k", "type_v", "exact", "n_gpu_layers"}
        # The size of a batch affects rounding. The number of threads does not.
        names |= {"n_batch", "n_ubatch", "n_seq_max"}
        # So does a cached prefix: what a model without one answers is the same every time.
        names |= set() if options.prefix_cache else {"prefix_cache"}
        facts = [file_hash(part) for part in find_parts(path)]
        facts += [f"{file_hash(Path(lora.path))} {lora.scale}" for lora in options.lora]
        facts += [options.model_dump_json(include=names), llama_cpp.__version__]
        facts += [f"weights {converted_to}"] if converted_to else []
        for fact in facts:
            digest.update(fact.encode() + b"\0")
        return digest.hexdigest()

    return compute_fingerprint
