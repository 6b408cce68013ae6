"""Options of the Transformers backend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocog_core import BackendOptions, Resource

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class TfOptions(BackendOptions):
    """Options of the Transformers backend."""

    model_path: Resource = Field(
        "gpt2-medium", description="hub name, folder, .gguf file, or package:PKG/FILE"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Dtype = Field(
        "auto", description="auto: float32 on a CPU, the checkpoint's dtype elsewhere"
    )
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    local_files_only: bool = Field(False, description="never access the hub")
    trust_remote_code: bool = Field(False, description="run code that comes with the model")
    attn_implementation: str | None = Field(
        None, description="sdpa, eager ...; default: the model's"
    )
    n_threads: int = Field(
        0,
        ge=0,
        le=512,
        description="threads of torch in this process; 0: its own number, as a container allows",
    )
    packed_weights: bool = Field(
        False,
        description="a second copy of the weights: few tokens at once are faster (CPU, float32)",
    )
    reverify: bool = Field(
        False, description="test all evaluation methods at load, whatever an earlier load found"
    )
    prefix_cache_bytes: int = Field(
        1 << 30, ge=0, description="largest size of what is cached between calls, in bytes"
    )
