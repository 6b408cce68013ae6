"""Options of the llama.cpp backend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from autocog_core import BackendOptions, InputError, Resource
from autocog_llamacpp.gguf.quantization_types import resolve_type

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

#: llama.cpp stores sizes in 32 bits, and wraps larger ones.
INT32_LIMIT = 2**31


class Lora(BackendOptions):
    """A LoRA adapter.

    :ivar path: its GGUF file.
    :ivar scale: its weight.
    """

    path: Resource
    scale: float = Field(1.0, allow_inf_nan=False)


class LlamaOptions(BackendOptions):
    """Options of the llama.cpp backend."""

    model_path: Resource = Field(
        description=".gguf file, package:PKG/FILE, or hf:REPO/FILE on the Hugging Face hub"
    )
    weights: str = Field(
        "file",
        description='type of weights: "file", "auto" (the fastest that is as exact), or F16, '
        "F32, Q8_0 ...; the file is converted once",
    )
    n_ctx: int = Field(
        4096,
        ge=0,
        lt=INT32_LIMIT,
        description="tokens in memory, of all sequences; 0: the model's context length",
    )
    n_batch: int = Field(512, ge=1, lt=INT32_LIMIT, description="maximum tokens in one call")
    n_ubatch: int = Field(512, ge=1, lt=INT32_LIMIT, description="maximum tokens computed at once")
    n_seq_max: int = Field(
        0, ge=0, le=256, description="maximum simultaneous branches; 0: logits of 32 MB"
    )
    n_threads: int = Field(
        0, ge=0, le=512, description="number of threads; 0: the physical cores it may use"
    )
    n_threads_batch: int = Field(
        0, ge=0, le=512, description="threads for more than one token; 0: n_threads"
    )
    n_gpu_layers: int = Field(
        -1, ge=-1, lt=INT32_LIMIT, description="layers on an accelerator; -1: all"
    )
    flash_attn: bool | None = Field(None, description="flash attention; none: llama.cpp decides")
    type_k: CacheType | None = Field(None, description="type of cached keys; none: f16")
    type_v: CacheType | None = Field(None, description="type of cached values; none: f16")
    use_mmap: bool = Field(True, description="map the file into memory instead of reading it")
    lora: tuple[Lora, ...] = Field((), description="adapters: {path = FILE, scale = 1.0}, ...")
    seed: int | None = Field(None, ge=0, description="seed of completions that give none")
    exact: bool = Field(False, description="no flash attention, cache in f32: slower, but exact")
    prefix_cache: bool = Field(
        True,
        description="continue from cached prefixes; false: slower, but equal calls have equal "
        "numbers, whatever came before",
    )
    use_extension: bool | None = Field(
        None, description="use the C++ extension; none: if it was built"
    )
    verbose: bool = Field(False, description="print llama.cpp's log on stderr")

    @field_validator("weights")
    @classmethod
    def _resolve_weights(cls, name: str) -> str:
        if name.lower() in ("file", "auto"):
            return name.lower()
        try:
            return resolve_type(name)
        except InputError as error:
            hint = f'{error.hint}; also "file" and "auto"'
            raise ValueError(f"{error.message}; {hint}") from None

    @model_validator(mode="after")
    def _check_exact(self) -> LlamaOptions:
        inexact = [
            name for name in ("type_k", "type_v") if getattr(self, name) not in (None, "f32")
        ]
        if self.flash_attn:
            inexact.append("flash_attn")
        if self.exact and inexact:
            raise ValueError(f"exact = true allows no {inexact[0]} = {getattr(self, inexact[0])!r}")
        return self
