"""Options of the llama.cpp backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from autocog_core import (
    BackendOptions,
    Resource,
)

if TYPE_CHECKING:
    pass


CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


#: llama.cpp keeps sizes in 32 bits, and wraps what is larger.
LIMIT = 2**31


class Lora(BackendOptions):
    """A LoRA adapter in a GGUF file, and how strongly it applies."""

    path: Resource
    scale: float = Field(1.0, allow_inf_nan=False)


class LlamaOptions(BackendOptions):
    """Options of the llama.cpp backend."""

    model_path: Resource = Field(
        description=".gguf file, package:PKG/FILE, or hf:REPO/FILE on the Hugging Face hub"
    )
    n_ctx: int = Field(
        4096,
        ge=0,
        lt=LIMIT,
        description="tokens in memory, of all sequences; 0: the model's",
    )
    n_batch: int = Field(512, ge=1, lt=LIMIT, description="most tokens in one call")
    n_ubatch: int = Field(512, ge=1, lt=LIMIT, description="most tokens computed at once")
    n_seq_max: int = Field(
        0, ge=0, le=256, description="branches at once; 0: as many as 32 MB of logits hold"
    )
    n_threads: int = Field(0, ge=0, le=512, description="0: the physical cores")
    n_gpu_layers: int = Field(-1, ge=-1, lt=LIMIT, description="layers on an accelerator; -1: all")
    flash_attn: bool | None = Field(None, description="none: where llama.cpp thinks it fits")
    type_k: CacheType | None = Field(None, description="type of cached keys; none: f16")
    type_v: CacheType | None = Field(None, description="type of cached values; none: f16")
    use_mmap: bool = Field(True, description="map the file into memory instead of reading it")
    lora: tuple[Lora, ...] = Field((), description="adapters: {path = FILE, scale = 1.0}, ...")
    seed: int | None = Field(None, ge=0, description="of completions that give none")
    exact: bool = Field(False, description="no flash attention, cache in f32: slower, but exact")
    use_extension: bool | None = Field(
        None, description="evaluate in C++; none: where the extension was built"
    )
    verbose: bool = Field(False, description="print llama.cpp's log on stderr")

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
