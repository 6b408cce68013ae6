"""A model that llama.cpp has loaded from a GGUF file, and its metadata."""

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
    """A loaded model; freed with this object.

    :param path: the GGUF file.
    :param interruptible: runs the calls of llama.cpp.
    :param n_gpu_layers: number of layers on an accelerator; -1: all.
    :param use_mmap: whether to map the file into memory.
    :ivar pointer: llama.cpp's model.
    :raises ModelLoadError: if llama.cpp cannot load it, or it is no causal language model.
    """

    def __init__(
        self, path: Path, interruptible: Interruptible, *, n_gpu_layers: int, use_mmap: bool
    ) -> None:
        self._metadata = _read_metadata(path)
        parameters = llama_cpp.llama_model_default_params()
        # llama.cpp gives negative numbers another meaning.
        parameters.n_gpu_layers = n_gpu_layers if n_gpu_layers >= 0 else 2**31 - 1
        mode = "LLAMA_LOAD_MODE_MMAP" if use_mmap else "LLAMA_LOAD_MODE_NONE"
        parameters.load_mode = getattr(llama_cpp, mode)
        # Must live while llama.cpp loads the model, because llama.cpp calls it.
        progress = llama_cpp.llama_progress_callback(lambda share, _: not interruptible.is_stopping)
        parameters.progress_callback = progress
        self.pointer, reason = interruptible.run(partial(_load, path, parameters, progress))
        if not self.pointer:
            raise ModelLoadError(
                f"llama.cpp cannot load {path}" + (f": {reason}" if reason else ""),
                hint="is the file complete, and does this llama.cpp support its architecture?",
            )
        weakref.finalize(self, _free, self.pointer, interruptible)
        self._path = path
        self._check_causal()
        self._adapters: list[Any] = []

    @property
    def recurrent(self) -> bool:
        """Whether the model has a state that cannot be rewound, with or without attention."""
        return bool(
            llama_cpp.llama_model_is_recurrent(self.pointer)
            or llama_cpp.llama_model_is_hybrid(self.pointer)
        )

    @property
    def context_length(self) -> int:
        """The number of tokens that the model was trained on."""
        return int(llama_cpp.llama_model_n_ctx_train(self.pointer))

    @property
    def file_type(self) -> str:
        """The type of most weights: F32, F16, Q8_0, Q4_K_M ..."""
        code = int(llama_cpp.llama_model_ftype(self.pointer))
        prefix = "LLAMA_FTYPE_"
        for name in dir(llama_cpp):
            if name.startswith(prefix) and getattr(llama_cpp, name) == code:
                return name.removeprefix(prefix).removeprefix("ALL_").removeprefix("MOSTLY_")
        return f"type {code}"

    @property
    def description(self) -> str:
        """llama.cpp's description: architecture, size and type."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self.pointer, buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace")

    @property
    def chat_template(self) -> str | None:
        """The file's chat template, if it has one."""
        template = llama_cpp.llama_model_chat_template(self.pointer, None)
        return template.decode("utf-8", errors="replace") if template else None

    def cache_shape(self) -> tuple[int, tuple[int, int]]:
        """Return the number of heads of all layers, and the widths of a key and of a value.

        The number is 0 for a hybrid model whose file does not list the heads of its layers.
        """
        pointer = self.pointer
        width = llama_cpp.llama_model_n_embd(pointer) // max(
            1, llama_cpp.llama_model_n_head(pointer)
        )
        widths = (
            self._number("attention.key_length", width),
            self._number("attention.value_length", width),
        )
        head_counts = self._metadata.get(f"{self._architecture}.attention.head_count_kv")
        if isinstance(head_counts, GgufArray):
            return sum(int(heads) for heads in head_counts.values or ()), widths
        if llama_cpp.llama_model_is_hybrid(pointer):
            return 0, widths
        layers = int(llama_cpp.llama_model_n_layer(pointer))
        return layers * int(llama_cpp.llama_model_n_head_kv(pointer)), widths

    def add_adapter(self, path: Path) -> Any:
        """Load a LoRA adapter. It is freed with the weights.

        :param path: the adapter's GGUF file.
        :raises ModelLoadError: if it is not an adapter for these weights.
        """
        read_header(path, {})
        with logs.Errors() as errors:
            adapter = llama_cpp.llama_adapter_lora_init(self.pointer, os.fsencode(path))
        if not adapter:
            raise ModelLoadError(
                f"{path} is no LoRA adapter for this model: {errors.reason}",
                hint="use an adapter that was trained for this model and converted to GGUF",
            )
        self._adapters.append(adapter)
        return adapter

    def refuse(self, kind: str) -> NoReturn:
        """Raise an error: this is no causal language model.

        :param kind: the reason, as the predicate of a sentence.
        :raises ModelLoadError: always.
        """
        raise ModelLoadError(
            f"the model in {self._path} {kind}: it does not predict the next token",
            hint="use a causal language model",
        )

    def _check_causal(self) -> None:
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
        """Return a number from the metadata of the model's architecture."""
        value = self._metadata.get(f"{self._architecture}.{key}", default)
        return value if isinstance(value, int) else default


def _load(path: Path, parameters: Any, progress: Any) -> tuple[Any, str]:
    """Return the model and the logged error. `progress` must live: `parameters` point to it."""
    with logs.Errors() as errors:
        pointer = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    return pointer, errors.reason


def _free(pointer: Any, interruptible: Interruptible) -> None:
    # A forked process must not free it.
    if interruptible.is_owner_process:
        interruptible.stop_running_call()
        llama_cpp.llama_model_free(pointer)


def _read_metadata(path: Path) -> Mapping[str, Any]:
    """Return the metadata of a file.

    :raises ModelLoadError: if the file is damaged, or has values with which llama.cpp aborts.
    """
    metadata = read_header(path, {}).metadata
    architecture = metadata.get("general.architecture", "")
    for key in ("block_count", "context_length"):
        value = metadata.get(f"{architecture}.{key}")
        if isinstance(value, int) and not 1 <= value < 2**31:
            raise ModelLoadError(
                f"{path} has {architecture}.{key} = {value}", hint="convert the model again"
            )
    return metadata
