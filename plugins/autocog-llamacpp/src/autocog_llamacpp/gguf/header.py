"""The header of a .gguf file: metadata and the list of tensors, read with care.

`gguf.GGUFReader` makes an array of every single token (seconds for a usual vocabulary) and believes
every length that it reads. Here long arrays are stepped over, and nothing is believed: a broken
file is an error at the byte where it breaks. The numbers of the types are the `gguf` package's.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from autocog_core import ModelLoadError
from autocog_core.toolkit import shorten

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
#: Arrays up to this length are read; of longer ones (vocabularies) type and length are kept.
SHORT_ARRAY = 16
#: Of numbers, all that there is one of for each layer.
SHORT_NUMBERS = 256

# llama.cpp refuses more dimensions, and so much text would not be metadata.
_MAX_DIMENSIONS = 4
_MAX_TEXT = 64 * 2**20
_MAX_TEXTS = 2**24
_SCALARS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array in the metadata.

    :ivar type: of its elements: "string", "int32", ...
    :ivar values: the elements, or None if there are too many.
    """

    type: str
    length: int
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as the header tells it.

    :ivar shape: innermost dimension first, as in the file.
    :ivar offset: from the beginning of the file.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    elements: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What stands before the weights.

    :ivar size: of the whole header in bytes; the weights follow.
    :ivar texts: tokens that were asked for, by key and position.
    """

    version: int
    size: int
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]
    texts: Mapping[tuple[str, int], str] = field(repr=False)


def read_header(path: Path, references: Mapping[str, str]) -> GgufHeader:
    """Read the header of the file, and check that all tensors are within the file.

    :param references: metadata keys of positions in an array of texts, and the key of that array:
        these texts are read although the array is long.
    :raises ModelLoadError: for a file that cannot be read, is no GGUF file, or is broken.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            _check_start(start, path)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header(references)
    except OSError as error:
        raise ModelLoadError(
            f"cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def _check_start(start: bytes, path: Path) -> None:
    where, hint = str(path), "is it the right file, and its download complete?"
    if start[:4] != MAGIC:
        what = "is empty" if not start else "is not a GGUF file"
        raise ModelLoadError(what, where=where, hint=hint)
    if len(start) < 8:
        raise ModelLoadError("ends within its header", where=where, hint=hint)
    (version,) = struct.unpack("<I", start[4:])
    if version in VERSIONS:
        return
    if version & 0xFFFF == 0:
        raise ModelLoadError(
            "is a GGUF file in big-endian byte order",
            where=where,
            hint="convert it with gguf-convert-endian, which the gguf package installs",
        )
    old = version < min(VERSIONS)
    raise ModelLoadError(
        f"has version {version} of the format; known are {VERSIONS[0]} and {VERSIONS[1]}",
        where=where,
        hint="convert the model again" if old else "is the file damaged?",
    )


class _Reader:
    """Reads one file from its beginning; `at` is where it is."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.end = len(data)
        self.at = 8
        #: Where the elements of an array of texts begin.
        self.starts: dict[str, int] = {}

    def header(self, references: Mapping[str, str]) -> GgufHeader:
        (version,) = struct.unpack_from("<I", self.data, 4)
        tensor_count, field_count = self.number("Q"), self.number("Q")
        metadata: dict[str, Any] = {}
        for _ in range(field_count):
            key = self.text()
            if key in metadata:
                raise self.broken(f'has the key "{shorten(key)}" twice')
            metadata[key] = self.value(key)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self.broken(f"has an alignment of {alignment!r}")
        tensors, size = self.tensors(tensor_count, alignment)
        texts = {}
        for pointer, key in references.items():
            position, array = metadata.get(pointer), metadata.get(key)
            if not isinstance(position, int) or not isinstance(array, GgufArray):
                continue
            if key in self.starts and 0 <= position < array.length:
                texts[key, position] = self.text_at(self.starts[key], position)
        return GgufHeader(version, size, metadata, tensors, texts)

    def tensors(self, count: int, alignment: int) -> tuple[tuple[GgufTensor, ...], int]:
        """The tensors, and where their data begin."""
        found: dict[str, tuple[str, tuple[int, ...], int, int, int]] = {}
        for _ in range(count):
            name = self.text()
            if name in found:
                raise self.broken(f'has the tensor "{shorten(name)}" twice')
            dimensions = self.number("I")
            if dimensions > _MAX_DIMENSIONS:
                raise self.broken(f'has a tensor "{shorten(name)}" of {dimensions} dimensions')
            shape = tuple(self.number("Q") for _ in range(dimensions))
            type_name, block, block_size = self.tensor_type(name)
            elements = prod(shape)
            if elements % block or (shape and shape[0] % block):
                raise self.broken(f'has a tensor "{shorten(name)}" of no whole {type_name} blocks')
            size = elements // block * block_size
            found[name] = (type_name, shape, elements, size, self.number("Q"))
        start = -(-self.at // alignment) * alignment
        tensors = tuple(
            GgufTensor(name, kind, shape, elements, size, start + offset)
            for name, (kind, shape, elements, size, offset) in found.items()
        )
        needed = max((tensor.offset + tensor.size for tensor in tensors), default=0)
        if needed > self.end:
            raise ModelLoadError(
                f"is cut short or damaged: its tensors need {needed} bytes, it has {self.end}",
                where=str(self.path),
                hint="is its download complete?",
            )
        return tensors, start

    def tensor_type(self, tensor: str) -> tuple[str, int, int]:
        """A tensor's type, the elements of a block of it, and their bytes."""
        number = self.number("I")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError as error:
            raise ModelLoadError(
                f'has a tensor "{shorten(tensor)}" of type {number}, which is not known',
                where=str(self.path),
                hint="is the file damaged? If it is only new: pip install --upgrade gguf",
            ) from error
        return (kind.name, *GGML_QUANT_SIZES[kind])

    def value(self, key: str) -> Any:
        kind = self.value_type(key)
        if kind is GGUFValueType.STRING:
            return self.text()
        if kind is not GGUFValueType.ARRAY:
            return self.number(_SCALARS[kind])
        kind, length = self.value_type(key), self.number("Q")
        if kind is GGUFValueType.ARRAY:
            raise self.broken(f'has arrays of arrays in "{shorten(key)}"')
        name = kind.name.lower()
        if kind is GGUFValueType.STRING:
            return GgufArray(name, length, self.texts(key, length))
        code = _SCALARS[kind]
        start = self.take(struct.calcsize(f"<{code}") * length)
        if length > SHORT_NUMBERS:
            return GgufArray(name, length)
        return GgufArray(name, length, struct.unpack_from(f"<{length}{code}", self.data, start))

    def value_type(self, key: str) -> GGUFValueType:
        number = self.number("I")
        try:
            return GGUFValueType(number)
        except ValueError as error:
            raise self.broken(f'has a value of type {number} in "{shorten(key)}"') from error

    def texts(self, key: str, length: int) -> tuple[str, ...] | None:
        self.starts[key] = self.at
        if length <= SHORT_ARRAY:
            return tuple(self.text() for _ in range(length))
        if length > min(_MAX_TEXTS, (self.end - self.at) // 8):
            raise self.broken(f'has {length} texts in "{shorten(key)}"')
        for _ in range(length):
            self.skip_text()
        return None

    def text_at(self, start: int, position: int) -> str:
        """Element `position` of the array of texts that begins at `start`."""
        self.at = start
        for _ in range(position):
            self.skip_text()
        return self.text()

    def text(self) -> str:
        length = self.number("Q")
        start = self.take(length)
        if length > _MAX_TEXT:
            raise self.broken(f"has a text of {length} bytes")
        return self.data[start : start + length].decode("utf-8", errors="replace")

    def skip_text(self) -> None:
        # As `take(number("Q"))`, for a hundred thousand tokens.
        at = self.at
        if at + 8 > self.end:
            raise self.broken("ends")
        self.at = at + 8 + _LENGTH.unpack_from(self.data, at)[0]

    def number(self, code: str) -> Any:
        start = self.take(struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{code}", self.data, start)[0]

    def take(self, size: int) -> int:
        """Step over `size` bytes; where they begin."""
        start = self.at
        if start + size > self.end:
            raise self.broken("ends")
        self.at = start + size
        return start

    def broken(self, what: str) -> ModelLoadError:
        return ModelLoadError(
            f"is cut short or damaged: its header {what}, at byte {self.at}",
            where=str(self.path),
            hint="is its download complete?",
        )


_LENGTH = struct.Struct("<Q")
