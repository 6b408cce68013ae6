"""A GGUF file's weights in llama.cpp's hands, and what the file says of itself."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import llama_cpp

from autocog_core import ModelLoadError
from autocog_llamacpp.gguf.header import GgufArray, read_header
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.interrupt import Interruptible


class Weights:
    """A loaded model, freed with this object.

    :raises ModelLoadError: if llama.cpp cannot load it, or it is no decoder of text.
    """

    def __init__(
        self, path: Path, interruptible: Interruptible, *, n_gpu_layers: int, use_mmap: bool
    ) -> None:
        self._metadata = _checked_metadata(path)
        parameters = llama_cpp.llama_model_default_params()
        # -1 is "all" for us; llama.cpp has other negative numbers.
        parameters.n_gpu_layers = n_gpu_layers if n_gpu_layers >= 0 else 2**31 - 1
        mode = "LLAMA_LOAD_MODE_MMAP" if use_mmap else "LLAMA_LOAD_MODE_NONE"
        parameters.load_mode = getattr(llama_cpp, mode)
        # Kept while it loads: llama.cpp calls it.
        progress = llama_cpp.llama_progress_callback(lambda share, _: not interruptible.stopping)
        parameters.progress_callback = progress
        self.pointer, reason = interruptible.run(partial(_load, path, parameters, progress))
        if not self.pointer:
            raise ModelLoadError(
                f"llama.cpp cannot load {path}" + (f": {reason}" if reason else ""),
                hint="is the file complete, and its architecture one that this llama.cpp knows?",
            )
        weakref.finalize(self, _free, self.pointer, interruptible)
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

    def cache_shape(self) -> tuple[int, tuple[int, int]]:
        """Heads of all layers together, and the widths of a key and a value, of the KV cache.

        Of a hybrid model that does not say which layers have one, none are counted.
        """
        pointer = self.pointer
        width = llama_cpp.llama_model_n_embd(pointer) // max(
            1, llama_cpp.llama_model_n_head(pointer)
        )
        widths = (
            self._number("attention.key_length", width),
            self._number("attention.value_length", width),
        )
        listed = self._metadata.get(f"{self._architecture}.attention.head_count_kv")
        if isinstance(listed, GgufArray):
            return sum(int(heads) for heads in listed.values or ()), widths
        if llama_cpp.llama_model_is_hybrid(pointer):
            return 0, widths
        layers = int(llama_cpp.llama_model_n_layer(pointer))
        return layers * int(llama_cpp.llama_model_n_head_kv(pointer)), widths

    def add_adapter(self, path: Path) -> Any:
        """Load a LoRA adapter; it lives as long as the weights.

        :raises ModelLoadError: if it does not fit them.
        """
        read_header(path, {})
        with logs.Errors() as errors:
            adapter = llama_cpp.llama_adapter_lora_init(self.pointer, os.fsencode(path))
        if not adapter:
            raise ModelLoadError(
                f"{path} is no LoRA adapter for this model: {errors.reason}",
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

    @property
    def _architecture(self) -> str:
        return str(self._metadata.get("general.architecture", ""))

    def _number(self, key: str, default: int) -> int:
        """A whole number from the metadata of the model's architecture."""
        found = self._metadata.get(f"{self._architecture}.{key}", default)
        return found if isinstance(found, int) else default


def _load(path: Path, parameters: Any, progress: Any) -> tuple[Any, str]:
    """The model, and if there is none why; `progress` is what `parameters` point at."""
    with logs.Errors() as errors:
        pointer = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    return pointer, errors.reason


def _free(pointer: Any, interruptible: Interruptible) -> None:
    # In a fork they are not ours to free.
    if interruptible.own:
        interruptible.settle()
        llama_cpp.llama_model_free(pointer)


def _checked_metadata(path: Path) -> Mapping[str, Any]:
    """The metadata of a file, which llama.cpp may load.

    :raises ModelLoadError: if it is broken, or says what llama.cpp does not survive.
    """
    metadata = read_header(path, {}).metadata
    architecture = metadata.get("general.architecture", "")
    for key in ("block_count", "context_length"):
        value = metadata.get(f"{architecture}.{key}")
        if isinstance(value, int) and not 1 <= value < 2**31:
            raise ModelLoadError(
                f"{path} says {architecture}.{key} = {value}", hint="convert the model again"
            )
    return metadata
