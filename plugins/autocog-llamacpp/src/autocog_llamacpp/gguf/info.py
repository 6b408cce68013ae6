"""What a .gguf file is: its model, its quantization, its tokenizer; no engine is loaded for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gguf.constants import LlamaFileType

from autocog_core import ConfigError
from autocog_core.toolkit import PACKAGE_PREFIX, package_file
from autocog_llamacpp.gguf.header import GgufArray, GgufHeader, GgufTensor, read_header

TOKENS = "tokenizer.ggml.tokens"
BOS = "tokenizer.ggml.bos_token_id"
EOS = "tokenizer.ggml.eos_token_id"
CHAT_TEMPLATE = "tokenizer.chat_template"
#: Tensors of these types hold the numbers of a checkpoint as they are.
PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16", "I8", "I16", "I32", "I64"})


@dataclass(frozen=True, slots=True)
class TensorTypeInfo:
    """All tensors of one type.

    :ivar parameters: how many numbers they hold. `size`: in bytes.
    """

    type: str
    count: int
    parameters: int
    size: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """The tokenizer in the file; what the file does not tell is None.

    :ivar model: "llama" (SentencePiece), "gpt2" (byte-level merges), ...
    :ivar pre: how text is split before that.
    :ivar bos: id of the token before a text, `bos_text` its surface. `eos`: of the one after it.
    :ivar adds_bos: whether BOS is put before a text; None leaves that to llama.cpp.
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
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class GgufInfo:
    """What a .gguf file tells of itself; what it does not tell is None.

    :ivar size: of the file in bytes, `header_size` of them before the weights.
    :ivar part: which part of a model in several files this is, and of how many, from 1.
    :ivar parameters: how many numbers the tensors of this file hold.
    :ivar quantization: the name of the file's type, "Q4_K_M"; its tensors have several types.
    :ivar tensor_types: the one with most bytes first.
    :ivar chat_template: its text.
    :ivar metadata: all that stands in the file; of arrays longer than 16 only type and length.
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
        """Bits of the tensors for each of their numbers."""
        size = sum(kind.size for kind in self.tensor_types)
        return 8 * size / self.parameters if self.parameters else None

    @property
    def is_quantized(self) -> bool:
        """Whether weights were already rounded to blocks of few bits."""
        return any(kind.type not in PLAIN_TYPES for kind in self.tensor_types)

    def to_dict(self, metadata: bool = False) -> dict[str, Any]:
        """Plain data for JSON, with all metadata if asked for."""
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
            data["metadata"] = {key: _plain(value) for key, value in self.metadata.items()}
        return data


def read_gguf_info(file: str | Path) -> GgufInfo:
    """Read what a .gguf file tells of itself, in milliseconds whatever its size.

    :param file: a path, or `package:PKG/FILE`.
    :raises ConfigError: if there is no such file.
    :raises ModelLoadError: if it is no GGUF file, of an unknown version, cut short or damaged.
    """
    path = gguf_path(file)
    header = read_header(path, {BOS: TOKENS, EOS: TOKENS})
    facts = _Facts(header.metadata)
    architecture = facts.text("general.architecture")
    return GgufInfo(
        path=path,
        size=path.stat().st_size,
        header_size=header.size,
        version=header.version,
        part=_part(facts),
        architecture=architecture,
        name=facts.text("general.name"),
        parameters=sum(tensor.elements for tensor in header.tensors),
        quantization=_file_type(facts.number("general.file_type")),
        tensor_types=_types(header.tensors),
        context_length=facts.number(f"{architecture}.context_length"),
        layers=facts.number(f"{architecture}.block_count"),
        embedding_width=facts.number(f"{architecture}.embedding_length"),
        tokenizer=_tokenizer(facts, header, architecture),
        chat_template=facts.text(CHAT_TEMPLATE),
        metadata=header.metadata,
    )


def gguf_path(file: str | Path) -> Path:
    """The existing file that is meant by a path or by `package:PKG/FILE`.

    :raises ConfigError: if there is none, or if it is a folder.
    """
    if isinstance(file, str) and file.startswith(PACKAGE_PREFIX):
        try:
            path = package_file(file)
        except ValueError as error:
            raise ConfigError(str(error), where=file) from error
    else:
        path = Path(file).expanduser()
    try:
        if path.is_file():
            return path
        inside = sorted(entry.name for entry in path.glob("*.gguf")) if path.is_dir() else None
        what = "is no file" if path.exists() else "there is no such file"
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if inside is None:
        raise ConfigError(what, where=str(path))
    hint = f"in it: {', '.join(inside[:8])}" if inside else "give a .gguf file"
    raise ConfigError("is a folder", where=str(path), hint=hint)


class _Facts:
    """Metadata by key, where they have the type that they should have."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, key: str) -> bool | None:
        value = self.metadata.get(key)
        return value if isinstance(value, bool) else None

    def length(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value.length if isinstance(value, GgufArray) else None


def _part(facts: _Facts) -> tuple[int, int] | None:
    index, count = facts.number("split.no"), facts.number("split.count")
    return None if index is None or count is None or count < 2 else (index + 1, count)


def _file_type(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        name = LlamaFileType(number).name
    except ValueError:
        return f"type {number}"
    return name.removeprefix("MOSTLY_").removeprefix("ALL_")


def _types(tensors: tuple[GgufTensor, ...]) -> tuple[TensorTypeInfo, ...]:
    found: dict[str, list[GgufTensor]] = {}
    for tensor in tensors:
        found.setdefault(tensor.type, []).append(tensor)
    types = [
        TensorTypeInfo(
            kind,
            len(group),
            sum(tensor.elements for tensor in group),
            sum(tensor.size for tensor in group),
        )
        for kind, group in found.items()
    ]
    return tuple(sorted(types, key=lambda kind: (-kind.size, kind.type)))


def _tokenizer(facts: _Facts, header: GgufHeader, architecture: str | None) -> TokenizerInfo | None:
    if not any(key.startswith("tokenizer.ggml.") for key in header.metadata):
        return None
    bos, eos = facts.number(BOS), facts.number(EOS)
    size = facts.length(TOKENS)
    return TokenizerInfo(
        model=facts.text("tokenizer.ggml.model"),
        pre=facts.text("tokenizer.ggml.pre"),
        vocabulary_size=facts.number(f"{architecture}.vocab_size") if size is None else size,
        bos=bos,
        bos_text=None if bos is None else header.texts.get((TOKENS, bos)),
        eos=eos,
        eos_text=None if eos is None else header.texts.get((TOKENS, eos)),
        adds_bos=facts.flag("tokenizer.ggml.add_bos_token"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, GgufArray):
        if value.values is None:
            return {"type": value.type, "length": value.length}
        return [_plain(one) for one in value.values]
    # JSON knows no infinity and no NaN.
    return None if isinstance(value, float) and not math.isfinite(value) else value
