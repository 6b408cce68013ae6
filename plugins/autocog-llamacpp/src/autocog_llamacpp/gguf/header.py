"""Reads the header of a .gguf file: the metadata and the list of tensors.

`gguf.GGUFReader` creates an array for every token, which takes seconds for a usual vocabulary, and
trusts every length in the file. This reader skips long arrays and checks every length: for a
damaged file, the error states the position. The numbers of the types are from the `gguf` package.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from autocog_core import ModelLoadError
from autocog_core.toolkit import shorten

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
#: Longer arrays (vocabularies) are skipped: only their types and lengths are read.
MAX_ARRAY_LENGTH = 16
#: The same for arrays of numbers, which often have one number for each layer.
MAX_NUMBER_ARRAY_LENGTH = 256

#: llama.cpp's limit.
_MAX_DIMENSIONS = 4
_MAX_STRING_BYTES = 64 * 2**20
#: The format's limit of keys; names of tensors are shorter.
_MAX_NAME_BYTES = 2**16 - 1
_MAX_STRINGS = 2**24
_DOWNLOAD_HINT = "is its download complete?"
_STRING_LENGTH = struct.Struct("<Q")
_FORMATS = {
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

    :ivar type: the type of its elements: "string", "int32", ...
    :ivar length: number of elements.
    :ivar values: the elements; None if the array is too long.
    """

    type: str
    length: int
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufTensor:
    """A tensor in the header.

    :ivar name: its name.
    :ivar type: its type: "F32", "Q4_K", ...
    :ivar shape: innermost dimension first, as in the file.
    :ivar elements: number of elements.
    :ivar size: its size in bytes.
    :ivar offset: position of its data in the file, in bytes.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    elements: int
    size: int
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufHeader:
    """The header of a file.

    :ivar version: the version of the format.
    :ivar size: size of the header in bytes; the weights follow.
    :ivar metadata: the metadata by key.
    :ivar tensors: the tensors.
    :ivar strings: the requested elements of arrays of strings, by key and index.
    """

    version: int
    size: int
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]
    strings: Mapping[tuple[str, int], str] = field(repr=False)


def read_header(path: Path, references: Mapping[str, str]) -> GgufHeader:
    """Read the header of a file, and check that the file contains all tensors.

    :param path: the file.
    :param references: strings to read from long arrays: the metadata key of the index, and the key
        of the array.
    :raises ModelLoadError: if the file cannot be read, is no GGUF file, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            _check_start(stream.read(8), path)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header(references)
    except OSError as error:
        raise ModelLoadError(
            f"cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def _check_start(start: bytes, path: Path) -> None:
    where, hint = str(path), "is it the right file, and its download complete?"
    if start[:4] != MAGIC:
        problem = "is empty" if not start else "is not a GGUF file"
        raise ModelLoadError(problem, where=where, hint=hint)
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
    is_old = version < min(VERSIONS)
    raise ModelLoadError(
        f"has version {version} of the format; known are {VERSIONS[0]} and {VERSIONS[1]}",
        where=where,
        hint="convert the model again" if is_old else "is the file damaged?",
    )


class _Reader:
    """Reads a file from its beginning.

    :ivar position: the position in the file.
    """

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.end = len(data)
        self.position = 8
        #: Position of the first element of each array of strings, by key.
        self.array_starts: dict[str, int] = {}

    def header(self, references: Mapping[str, str]) -> GgufHeader:
        (version,) = struct.unpack_from("<I", self.data, 4)
        tensor_count, field_count = self.number("Q"), self.number("Q")
        metadata: dict[str, Any] = {}
        for _ in range(field_count):
            key = self.string(_MAX_NAME_BYTES)
            if key in metadata:
                raise self.error(f"has the key {_quote(key)} twice")
            metadata[key] = self.value(key)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self.error(f"has an alignment of {alignment!r}")
        tensors, size = self.tensors(tensor_count, alignment)
        strings = {}
        for index_key, array_key in references.items():
            index, array = metadata.get(index_key), metadata.get(array_key)
            if not isinstance(index, int) or not isinstance(array, GgufArray):
                continue
            if array_key in self.array_starts and 0 <= index < array.length:
                strings[array_key, index] = self.string_at(self.array_starts[array_key], index)
        return GgufHeader(
            version=version, size=size, metadata=metadata, tensors=tensors, strings=strings
        )

    def tensors(self, count: int, alignment: int) -> tuple[tuple[GgufTensor, ...], int]:
        """Read the tensors. Return them, and the position of the first tensor's data."""
        tensors: dict[str, GgufTensor] = {}
        for _ in range(count):
            name = self.string(_MAX_NAME_BYTES)
            if name in tensors:
                raise self.error(f"has the tensor {_quote(name)} twice")
            tensors[name] = self.tensor(name)
        start = -(-self.position // alignment) * alignment
        # The offsets in the header are relative to `start`.
        placed = tuple(replace(tensor, offset=start + tensor.offset) for tensor in tensors.values())
        needed = max((tensor.offset + tensor.size for tensor in placed), default=0)
        if needed > self.end:
            raise ModelLoadError(
                f"is cut short or damaged: its tensors need {needed} bytes, it has {self.end}",
                where=str(self.path),
                hint=_DOWNLOAD_HINT,
            )
        return placed, start

    def tensor(self, name: str) -> GgufTensor:
        """Read a tensor after its name; its offset is relative to the end of the header."""
        dimensions = self.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise self.error(f"has a tensor {_quote(name)} of {dimensions} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        type_name, block, block_bytes = self.tensor_type(name)
        elements = prod(shape)
        if elements % block or (shape and shape[0] % block):
            raise self.error(f"has a tensor {_quote(name)} of no whole {type_name} blocks")
        return GgufTensor(
            name=name,
            type=type_name,
            shape=shape,
            elements=elements,
            size=elements // block * block_bytes,
            offset=self.number("Q"),
        )

    def tensor_type(self, tensor: str) -> tuple[str, int, int]:
        """Read a tensor's type. Return its name, and the elements and bytes of a block."""
        code = self.number("I")
        try:
            kind = GGMLQuantizationType(code)
        except ValueError as error:
            raise ModelLoadError(
                f"has a tensor {_quote(tensor)} of type {code}, which is not known",
                where=str(self.path),
                hint="is the file damaged? For a new type: pip install --upgrade gguf",
            ) from error
        return (kind.name, *GGML_QUANT_SIZES[kind])

    def value(self, key: str) -> Any:
        kind = self.value_type(key)
        if kind is GGUFValueType.STRING:
            return self.string()
        if kind is not GGUFValueType.ARRAY:
            return self.number(_FORMATS[kind])
        kind, length = self.value_type(key), self.number("Q")
        if kind is GGUFValueType.ARRAY:
            raise self.error(f"has arrays of arrays in {_quote(key)}")
        name = kind.name.lower()
        if kind is GGUFValueType.STRING:
            return GgufArray(name, length, self.strings(key, length))
        code = _FORMATS[kind]
        start = self.read(struct.calcsize(f"<{code}") * length)
        if length > MAX_NUMBER_ARRAY_LENGTH:
            return GgufArray(name, length)
        return GgufArray(name, length, struct.unpack_from(f"<{length}{code}", self.data, start))

    def value_type(self, key: str) -> GGUFValueType:
        code = self.number("I")
        try:
            return GGUFValueType(code)
        except ValueError as error:
            raise self.error(f"has a value of type {code} in {_quote(key)}") from error

    def strings(self, key: str, length: int) -> tuple[str, ...] | None:
        """Read an array of strings; skip it if it is long."""
        self.array_starts[key] = self.position
        if length <= MAX_ARRAY_LENGTH:
            return tuple(self.string() for _ in range(length))
        if length > min(_MAX_STRINGS, (self.end - self.position) // 8):
            raise self.error(f"has {length} texts in {_quote(key)}")
        for _ in range(length):
            self.skip_string()
        return None

    def string_at(self, start: int, index: int) -> str:
        """Return element `index` of the array of strings at position `start`."""
        self.position = start
        for _ in range(index):
            self.skip_string()
        return self.string()

    def string(self, max_bytes: int = _MAX_STRING_BYTES) -> str:
        length = self.number("Q")
        start = self.read(length)
        if length > max_bytes:
            raise self.error(f"has a text of {length} bytes")
        return self.data[start : start + length].decode("utf-8", errors="replace")

    def skip_string(self) -> None:
        # A fast version of `read(number("Q"))`: vocabularies have a hundred thousand tokens.
        start = self.position
        if start + 8 > self.end:
            raise self.error("ends")
        self.position = start + 8 + _STRING_LENGTH.unpack_from(self.data, start)[0]

    def number(self, code: str) -> Any:
        """Read a number.

        :param code: its format in the module `struct`.
        """
        start = self.read(struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{code}", self.data, start)[0]

    def read(self, size: int) -> int:
        """Move forward by `size` bytes. Return the position before."""
        start = self.position
        if start + size > self.end:
            raise self.error("ends")
        self.position = start + size
        return start

    def error(self, problem: str) -> ModelLoadError:
        return ModelLoadError(
            f"is cut short or damaged: its header {problem}, at byte {self.position}",
            where=str(self.path),
            hint=_DOWNLOAD_HINT,
        )


def _quote(name: str) -> str:
    # A damaged name may have line ends and control characters.
    return f'"{repr(shorten(name))[1:-1]}"'
