"""Which type of weights a model is loaded with: that of its file, a given one, or the fastest."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import llama_cpp

from autocog_core import ConfigError, ModelLoadError
from autocog_core.toolkit import cache_folder, read_cached, write_cached
from autocog_llamacpp.gguf.converted import (
    content_key,
    converted_file,
    has_converted,
    locked,
    remove_converted,
)
from autocog_llamacpp.gguf.info import GgufInfo, read_gguf_info
from autocog_llamacpp.gguf.locate import find_parts
from autocog_llamacpp.llama.context import Context
from autocog_llamacpp.llama.memory import available_memory
from autocog_llamacpp.llama.speed import SpeedProbe, compare_speeds, largest_difference
from autocog_llamacpp.options import LlamaOptions
from autocog_llamacpp.tolerance import estimate_tolerance

log = logging.getLogger(__name__)

#: Opens a context of a file, for measurements.
OpenContext = Callable[[Path], Context]

#: A type that is faster by less is not worth its memory.
MIN_SPEEDUP = 1.1
#: The part of the free memory that converted weights may take.
MAX_MEMORY_SHARE = 0.75
_BYTES_PER_WEIGHT = {"F16": 2, "F32": 4}
#: What `F16` needs to be fast, in llama.cpp's list of features: on x86, and on ARM.
_HALF_PRECISION_FEATURES = ("F16C = 1", "FP16_VA = 1")
#: Seconds of 256 tokens relative to F16, as in the README: for advice where nothing was measured.
_USUAL_SPEEDUPS = {"Q4_1": 2.3, "Q4_K_M": 1.7}


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedWeights:
    """The file to load.

    :ivar path: the file, converted or not.
    :ivar converted_to: the type that the weights were converted to; None: the file as it is.
    :ivar note: where the weights come from, and why, for `BackendInfo.details`.
    """

    path: Path
    converted_to: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a measurement found.

    :ivar type: "file", or the faster type.
    :ivar reason: why, as the end of a sentence.
    :ivar speedup: how many times as fast the other type is; 0: it has other numbers.
    """

    type: str
    reason: str
    speedup: float


def select_weights(
    path: Path, options: LlamaOptions, threads: int, open_context: OpenContext
) -> SelectedWeights:
    """Return the file that the option `weights` asks for, converted if needed.

    :param path: the model's file.
    :param threads: the number of threads that compute.
    :param open_context: opens a context, to measure with these options.
    :raises ModelLoadError: if the file is damaged, or a given type cannot be made.
    """
    if options.weights == "file":
        return SelectedWeights(path=path)
    info = read_gguf_info(path)
    source = info.quantization or "the file"
    if options.weights != "auto":
        if info.quantization == options.weights:
            return SelectedWeights(path=path, note="as in the file")
        return _converted(path, options.weights, f"converted from {source}")
    kind = exact_type(info.quantization, exact=options.exact)
    problem = _why_not(path, kind, options)
    if kind is None or problem:
        return _as_it_is(path, problem)
    try:
        if options.exact:
            return _converted(path, kind, f"auto: converted from {source}, for exact = true")
        verdict = _find_verdict(path, info, kind, options, threads, open_context)
        if verdict.type == "file":
            return _as_it_is(path, verdict.reason)
        if verdict.type != kind and (problem := _why_not(path, verdict.type, options)):
            return _as_it_is(path, problem)
        return _converted(path, verdict.type, f"auto: converted from {source}, {verdict.reason}")
    except ModelLoadError as error:
        # `auto` asks for speed: without it, the model still works.
        log.warning('weights = "auto" uses the file as it is: %s', error)
        return _as_it_is(path, error.message)


def suggest_weights(path: Path, file_type: str, options: LlamaOptions, threads: int) -> str:
    """Say what would be faster than the file as it is; "" if nothing is known.

    Measures nothing, and reads only what a measurement has kept.

    :param path: the model's file.
    :param file_type: the type of its weights.
    :param threads: the number of threads that compute.
    """
    if options.exact or _is_offloaded(options):
        return ""
    verdict = _read_verdict(_verdict_name(_place_key(path), options, threads))
    if verdict is not None:
        if verdict.type == "file":
            return ""
        return f'weights = "{verdict.type}" would be about {verdict.reason}'
    if file_type not in _USUAL_SPEEDUPS or not has_fast_half_precision():
        return ""
    return (
        f'weights = "auto" may be faster: elsewhere, F16 was {_USUAL_SPEEDUPS[file_type]:g} times '
        f"as fast as {file_type}"
    )


def exact_type(file_type: str | None, *, exact: bool) -> str | None:
    """Return the type that `auto` compares with a file's own; None if there is none.

    Its log-probabilities are at least as close to the exact ones of the file's weights as those
    that llama.cpp computes from the file. F32 loses nothing. F16 rounds weights and activations to
    11 bits; with quantized weights, llama.cpp rounds activations to 8 bits.

    :param file_type: the type of the file.
    :param exact: whether nothing may be lost.
    """
    if file_type == "F32":
        return None
    if exact or file_type == "BF16":
        return "F32"
    if not has_fast_half_precision():
        return "F32"
    return None if file_type == "F16" else "F16"


def has_fast_half_precision() -> bool:
    """Whether this processor converts numbers of 16 bits by its own instructions."""
    return any(feature in _features() for feature in _HALF_PRECISION_FEATURES)


def _features() -> str:
    text: bytes = llama_cpp.llama_print_system_info()
    return text.decode(errors="replace")


def _why_not(path: Path, kind: str | None, options: LlamaOptions) -> str:
    """Return why weights of this type are not used; "" if they may be."""
    if kind is None:
        return "no faster type is as exact"
    if _is_offloaded(options):
        return "the model computes on an accelerator"
    weights = sum(read_gguf_info(part).parameters for part in find_parts(path))
    needed, available = weights * _BYTES_PER_WEIGHT[kind], available_memory()
    if needed > MAX_MEMORY_SHARE * available:
        return f"{kind} needs {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are free"
    return ""


def _is_offloaded(options: LlamaOptions) -> bool:
    return bool(options.n_gpu_layers) and bool(llama_cpp.llama_supports_gpu_offload())


def _as_it_is(path: Path, reason: str) -> SelectedWeights:
    return SelectedWeights(path=path, note=f"auto: as in the file, because {reason}")


def _converted(path: Path, kind: str, note: str) -> SelectedWeights:
    return SelectedWeights(path=converted_file(path, kind), converted_to=kind, note=note)


def _find_verdict(
    path: Path,
    info: GgufInfo,
    kind: str,
    options: LlamaOptions,
    threads: int,
    open_context: OpenContext,
) -> Verdict:
    """Return the kept verdict, or measure; one process at a time."""
    names = [_verdict_name(key, options, threads) for key in (content_key(path), _place_key(path))]
    if (verdict := _read_verdict(names[0])) is None:
        with locked(_cached_path(names[0])):
            verdict = _read_verdict(names[0])
            if verdict is None:
                verdict = _measure(path, info, kind, options, open_context)
                write_cached(names[0], json.dumps(asdict(verdict)).encode())
    if _read_verdict(names[1]) is None:
        write_cached(names[1], json.dumps(asdict(verdict)).encode())
    return verdict


def _measure(
    path: Path, info: GgufInfo, kind: str, options: LlamaOptions, open_context: OpenContext
) -> Verdict:
    log.info("measuring once whether %s is faster as %s", path.name, kind)
    was_converted = has_converted(path, kind)
    verdict = _compare(path, info, kind, options, open_context)
    if verdict.type == "file" and not was_converted:
        remove_converted(path, kind)
    # Weights or activations beyond the range of F16.
    if kind == "F16" and verdict.speedup == 0 and not _why_not(path, "F32", options):
        return _measure(path, info, "F32", options, open_context)
    return verdict


def _compare(
    path: Path, info: GgufInfo, kind: str, options: LlamaOptions, open_context: OpenContext
) -> Verdict:
    probes = [SpeedProbe(open_context(file)) for file in (path, converted_file(path, kind))]
    difference = largest_difference(probes[1], probes[0])
    if not difference <= estimate_tolerance(info.quantization or "", options):
        return Verdict(type="file", reason=f"{kind} has other numbers", speedup=0)
    seconds = compare_speeds(probes)
    speedup = seconds[0] / seconds[1]
    reason = f"{speedup:.1f} times as fast on this machine"
    if speedup < MIN_SPEEDUP:
        return Verdict(type="file", reason=f"{kind} is {reason}", speedup=speedup)
    return Verdict(type=kind, reason=reason, speedup=speedup)


def _place_key(path: Path) -> str:
    """Return a key of the file's place, size and time: unlike its content, they cost nothing."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def _verdict_name(key: str, options: LlamaOptions, threads: int) -> str:
    facts = [key, llama_cpp.__version__, _processor(), _features(), str(threads)]
    facts.append(options.model_dump_json(include={"n_ubatch", "flash_attn", "type_k", "type_v"}))
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]
    return f"llamacpp/weights/{digest}.speed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _cached_path(name: str) -> Path | None:
    try:
        return cache_folder() / name
    except ConfigError:
        return None


def _read_verdict(name: str) -> Verdict | None:
    content = read_cached(name)
    try:
        return None if content is None else Verdict(**json.loads(content))
    except (ValueError, TypeError):
        # Written by another version.
        return None
