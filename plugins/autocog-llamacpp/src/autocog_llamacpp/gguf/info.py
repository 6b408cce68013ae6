"""Describes a .gguf file: its model, quantization and tokenizer. Loads no engine."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gguf.constants import LlamaFileType

from autocog_core import ConfigError
from autocog_core.toolkit import PACKAGE_PREFIX, missing_hint, package_file, resolve_path
from autocog_llamacpp.gguf.header import GgufArray, GgufHeader, GgufTensor, read_header

TOKENS = "tokenizer.ggml.tokens"
BOS = "tokenizer.ggml.bos_token_id"
EOS = "tokenizer.ggml.eos_token_id"
CHAT_TEMPLATE = "tokenizer.chat_template"
#: Types that are not quantized.
PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16", "I8", "I16", "I32", "I64"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorTypeInfo:
    """All tensors of one type.

    :ivar type: the type: "F32", "Q4_K", ...
    :ivar count: number of tensors.
    :ivar parameters: number of their elements.
    :ivar size: their size in bytes.
    """

    type: str
    count: int
    parameters: int
    size: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerInfo:
    """The tokenizer in a file. Fields that the file lacks are None.

    :ivar model: "llama" (SentencePiece), "gpt2" (byte-level BPE), ...
    :ivar pre: name of the method that splits texts before tokenization.
    :ivar vocabulary_size: number of tokens.
    :ivar bos: id of BOS.
    :ivar bos_text: text of BOS.
    :ivar eos: id of EOS.
    :ivar eos_text: text of EOS.
    :ivar adds_bos: whether sequences start with BOS; None: llama.cpp decides.
    """

    model: str | None
    pre: str | None
    vocabulary_size: int | None
    bos: int | None
    bos_text: str | None
    eos: int | None
    eos_text: str | None
    adds_bos: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufInfo:
    """The description of a .gguf file. Fields that the file lacks are None.

    :ivar path: the file.
    :ivar size: size of the file in bytes.
    :ivar header_size: number of bytes before the weights.
    :ivar version: version of the format.
    :ivar part: index of this file among the files of a split model, from 1, and their number.
    :ivar architecture: the architecture: "llama", ...
    :ivar name: the name of the model.
    :ivar parameters: number of elements of all tensors of this file.
    :ivar quantization: the file's type, "Q4_K_M"; its tensors have several types.
    :ivar tensor_types: the types of the tensors, the type with most bytes first.
    :ivar context_length: number of tokens that the model was trained on.
    :ivar layers: number of layers.
    :ivar embedding_width: width of the embeddings.
    :ivar tokenizer: the tokenizer.
    :ivar chat_template: text of the chat template.
    :ivar metadata: all metadata; long arrays without their values.
    """

    path: Path
    size: int
    header_size: int
    version: int
    part: tuple[int, int] | None
    architecture: str | None
    name: str | None
    parameters: int
    quantization: str | None
    tensor_types: tuple[TensorTypeInfo, ...]
    context_length: int | None
    layers: int | None
    embedding_width: int | None
    tokenizer: TokenizerInfo | None
    chat_template: str | None
    metadata: Mapping[str, Any] = field(repr=False, hash=False)

    @property
    def bits_per_weight(self) -> float | None:
        """Average number of bits of a tensor element."""
        size = sum(kind.size for kind in self.tensor_types)
        return 8 * size / self.parameters if self.parameters else None

    @property
    def is_quantized(self) -> bool:
        """Whether some tensors are quantized."""
        return any(kind.type not in PLAIN_TYPES for kind in self.tensor_types)

    def to_dict(self, metadata: bool = False) -> dict[str, Any]:
        """Return plain data for JSON.

        :param metadata: whether to include all metadata.
        """
        data: dict[str, Any] = {
            "path": str(self.path),
            "size": self.size,
            "version": self.version,
            "part": None if self.part is None else list(self.part),
            "architecture": self.architecture,
            "name": self.name,
            "parameters": self.parameters,
            "quantization": self.quantization,
            "bits_per_weight": self.bits_per_weight,
            "tensor_types": [kind.to_dict() for kind in self.tensor_types],
            "context_length": self.context_length,
            "layers": self.layers,
            "embedding_width": self.embedding_width,
            "tokenizer": None if self.tokenizer is None else self.tokenizer.to_dict(),
            "chat_template": self.chat_template,
        }
        if metadata:
            data["metadata"] = {key: _to_json_value(v) for key, v in self.metadata.items()}
        return data


def read_gguf_info(file: str | Path) -> GgufInfo:
    """Describe a .gguf file. Reads only the header, in milliseconds for files of any size.

    :param file: a path, or `package:PKG/FILE`.
    :raises ConfigError: if there is no such file.
    :raises ModelLoadError: if the file is no GGUF file, has an unknown version, or is damaged.
    """
    path = gguf_path(file)
    header = read_header(path, {BOS: TOKENS, EOS: TOKENS})
    metadata = _Metadata(header.metadata)
    architecture = metadata.text("general.architecture")
    return GgufInfo(
        path=path,
        size=path.stat().st_size,
        header_size=header.size,
        version=header.version,
        part=_part(metadata),
        architecture=architecture,
        name=metadata.text("general.name"),
        parameters=sum(tensor.elements for tensor in header.tensors),
        quantization=_file_type(metadata.number("general.file_type")),
        tensor_types=_tensor_types(header.tensors),
        context_length=metadata.number(f"{architecture}.context_length"),
        layers=metadata.number(f"{architecture}.block_count"),
        embedding_width=metadata.number(f"{architecture}.embedding_length"),
        tokenizer=_tokenizer(metadata, header, architecture),
        chat_template=metadata.text(CHAT_TEMPLATE),
        metadata=header.metadata,
    )


def gguf_path(file: str | Path) -> Path:
    """Return the path of an existing file.

    :param file: a path, or `package:PKG/FILE`.
    :raises ConfigError: if there is no such file, or the path is a folder.
    """
    try:
        if isinstance(file, str) and file.startswith(PACKAGE_PREFIX):
            path = package_file(file)
        else:
            path = resolve_path(file)
    except ValueError as error:
        raise ConfigError(str(error), where="file") from error
    if os.path.isfile(path):
        return path
    if not os.path.exists(path):
        hint = missing_hint(file, path)
        raise ConfigError("there is no such file", where=str(path), hint=hint)
    if not os.path.isdir(path):
        raise ConfigError("is not a file", where=str(path))
    try:
        files = sorted(entry.name for entry in path.iterdir() if entry.suffix == ".gguf")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    hint = f"in it: {', '.join(files[:8])}" if files else "give a .gguf file"
    raise ConfigError("is a folder", where=str(path), hint=hint)


class _Metadata:
    """Typed access to metadata. Values of another type count as missing."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        return value if isinstance(value, bool) else None

    def length(self, key: str) -> int | None:
        value = self.values.get(key)
        return value.length if isinstance(value, GgufArray) else None


def _part(metadata: _Metadata) -> tuple[int, int] | None:
    index, count = metadata.number("split.no"), metadata.number("split.count")
    return None if index is None or count is None or count < 2 else (index + 1, count)


def _file_type(code: int | None) -> str | None:
    if code is None:
        return None
    try:
        name = LlamaFileType(code).name
    except ValueError:
        return f"type {code}"
    return name.removeprefix("MOSTLY_").removeprefix("ALL_")


def _tensor_types(tensors: tuple[GgufTensor, ...]) -> tuple[TensorTypeInfo, ...]:
    by_type: dict[str, list[GgufTensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.type, []).append(tensor)
    types = [
        TensorTypeInfo(
            type=name,
            count=len(group),
            parameters=sum(tensor.elements for tensor in group),
            size=sum(tensor.size for tensor in group),
        )
        for name, group in by_type.items()
    ]
    return tuple(sorted(types, key=lambda info: (-info.size, info.type)))


def _tokenizer(
    metadata: _Metadata, header: GgufHeader, architecture: str | None
) -> TokenizerInfo | None:
    if not any(key.startswith("tokenizer.ggml.") for key in header.metadata):
        return None
    bos, eos = metadata.number(BOS), metadata.number(EOS)
    size = metadata.length(TOKENS)
    return TokenizerInfo(
        model=metadata.text("tokenizer.ggml.model"),
        pre=metadata.text("tokenizer.ggml.pre"),
        vocabulary_size=metadata.number(f"{architecture}.vocab_size") if size is None else size,
        bos=bos,
        bos_text=None if bos is None else header.strings.get((TOKENS, bos)),
        eos=eos,
        eos_text=None if eos is None else header.strings.get((TOKENS, eos)),
        adds_bos=metadata.flag("tokenizer.ggml.add_bos_token"),
    )


def _to_json_value(value: Any) -> Any:
    if isinstance(value, GgufArray):
        if value.values is None:
            return {"type": value.type, "length": value.length}
        return [_to_json_value(element) for element in value.values]
    # JSON has no infinity and no NaN.
    return None if isinstance(value, float) and not math.isfinite(value) else value
