"""A GGUF file's weights in llama.cpp's hands, and what the file says of itself."""

from __future__ import annotations

import ctypes
import logging
import os
import weakref
from pathlib import Path
from typing import Any, NoReturn

import llama_cpp

from autocog_core import ModelLoadError
from autocog_llamacpp import logs
from autocog_llamacpp.interrupt import Interruptible

log = logging.getLogger(__name__)

MAGIC = b"GGUF"


class Weights:
    """A loaded model, freed with this object.

    :raises ModelLoadError: if llama.cpp cannot load it, or it is no decoder of text.
    """

    def __init__(
        self, path: Path, interruptible: Interruptible, *, n_gpu_layers: int, use_mmap: bool
    ) -> None:
        check_magic(path)
        parameters = llama_cpp.llama_model_default_params()
        # -1 is "all" for us; llama.cpp has other negative numbers.
        parameters.n_gpu_layers = n_gpu_layers if n_gpu_layers >= 0 else 2**31 - 1
        mode = "LLAMA_LOAD_MODE_MMAP" if use_mmap else "LLAMA_LOAD_MODE_NONE"
        parameters.load_mode = getattr(llama_cpp, mode)
        # Kept while it loads: llama.cpp calls it.
        progress = llama_cpp.llama_progress_callback(lambda share, _: not interruptible.stopping)
        parameters.progress_callback = progress
        logs.forget_errors()
        self.pointer = interruptible.run(
            lambda: llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        )
        if not self.pointer:
            reason = logs.last_error()
            raise ModelLoadError(
                f"llama.cpp cannot load {path}" + (f": {reason}" if reason else ""),
                hint="is the file complete, and its architecture one that this llama.cpp knows?",
            )
        weakref.finalize(self, llama_cpp.llama_model_free, self.pointer)
        self._path = path
        self._refuse_other_kinds()
        self._adapters: list[Any] = []

    @property
    def recurrent(self) -> bool:
        """Whether it has a state that cannot be rewound, alone or beside attention."""
        return bool(
            llama_cpp.llama_model_is_recurrent(self.pointer)
            or llama_cpp.llama_model_is_hybrid(self.pointer)
        )

    @property
    def context_length(self) -> int:
        """Most tokens that it was trained on."""
        return int(llama_cpp.llama_model_n_ctx_train(self.pointer))

    @property
    def file_type(self) -> str:
        """The type of most weights: F32, F16, Q8_0, Q4_K_M ..."""
        number = int(llama_cpp.llama_model_ftype(self.pointer))
        prefix = "LLAMA_FTYPE_"
        names = [name for name in dir(llama_cpp) if name.startswith(prefix)]
        found = [name for name in names if getattr(llama_cpp, name) == number]
        if not found:
            return f"type {number}"
        return found[0].removeprefix(prefix).removeprefix("ALL_").removeprefix("MOSTLY_")

    @property
    def description(self) -> str:
        """Architecture, size and type, as llama.cpp says it."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self.pointer, buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace")

    @property
    def chat_template(self) -> str | None:
        """The file's chat template, if it has one."""
        found = llama_cpp.llama_model_chat_template(self.pointer, None)
        return found.decode("utf-8", errors="replace") if found else None

    def number(self, key: str, default: int) -> int:
        """A whole number from the metadata of the model's architecture."""
        text = self._meta(f"{self._meta('general.architecture')}.{key}")
        return int(text) if text.isdecimal() else default

    def cache_shape(self) -> tuple[int, int, tuple[int, int]]:
        """Layers, heads, and the widths of a key and a value, of the KV cache."""
        pointer = self.pointer
        width = llama_cpp.llama_model_n_embd(pointer) // max(
            1, llama_cpp.llama_model_n_head(pointer)
        )
        widths = (
            self.number("attention.key_length", width),
            self.number("attention.value_length", width),
        )
        heads = int(llama_cpp.llama_model_n_head_kv(pointer))
        return int(llama_cpp.llama_model_n_layer(pointer)), heads, widths

    def add_adapter(self, path: Path) -> Any:
        """Load a LoRA adapter; it lives as long as the weights.

        :raises ModelLoadError: if it does not fit them.
        """
        check_magic(path)
        logs.forget_errors()
        adapter = llama_cpp.llama_adapter_lora_init(self.pointer, os.fsencode(path))
        if not adapter:
            raise ModelLoadError(
                f"{path} is no LoRA adapter for this model: {logs.last_error()}",
                hint="an adapter has to be converted to GGUF, and made for this very model",
            )
        self._adapters.append(adapter)
        return adapter

    def refuse(self, kind: str) -> NoReturn:
        """Say that this is not a model of the kind that is needed here.

        :param kind: what it does or has instead, as the end of a sentence.
        :raises ModelLoadError: always.
        """
        raise ModelLoadError(
            f"the model in {self._path} {kind}: it does not predict one token after the other",
            hint="use a causal language model",
        )

    def _refuse_other_kinds(self) -> None:
        pointer = self.pointer
        if llama_cpp.llama_model_has_encoder(pointer) or not llama_cpp.llama_model_has_decoder(
            pointer
        ):
            self.refuse("has an encoder")
        if llama_cpp.llama_model_is_diffusion(pointer):
            self.refuse("is a diffusion model")

    def _meta(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_model_meta_val_str(
            self.pointer, key.encode(), ctypes.cast(buffer, ctypes.c_char_p), len(buffer)
        )
        return buffer.value.decode("utf-8", errors="replace") if length >= 0 else ""


def check_magic(path: Path) -> None:
    """Refuse what cannot be a GGUF file.

    :raises ModelLoadError: if it cannot be read, or does not begin as one.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from error
    if magic != MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file", hint="is the download complete?")
