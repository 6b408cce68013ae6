"""Small backends, and plugins that look installed, for several tests."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import Model, hookimpl
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.types.backend_info import BackendInfo, SpecialToken

Row = NDArray[np.float32]


def random_model(**options: Any) -> Model:
    return Model(RandomLM(**options))


def table_model(rows: Mapping[str, Mapping[str, float]], **options: Any) -> Model:
    return Model(TableLM(rows=rows, **options))


def uniform(size: int) -> Row:
    return np.full(size, -np.log(size), dtype=np.float32)


class Plain:
    """A backend without a base class: bytes are tokens, rows are uniform, calls are logged."""

    size = 256

    def __init__(self, answer: Callable[[Sequence[int]], Any] | None = None) -> None:
        self.answer = answer or (lambda tokens: uniform(self.size))
        self.calls: list[tuple[int, ...]] = []
        self.closed = 0

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(name="plain", vocabulary_size=self.size)

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return [list(text.encode("utf-8")) for text in texts]

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return bytes(tokens)

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        self.calls.append(tuple(tokens))
        return self.answer(tokens)

    @hookimpl
    def close(self) -> None:
        self.closed += 1


class CharTokenizer:
    """A backend with a configurable tokenizer and description.

    Every character is a token, unless `words` has a longer match; the longest one wins.
    """

    def __init__(
        self,
        words: Sequence[str] = (),
        specials: Sequence[str] = ("<|bos|>", "<|end|>"),
        *,
        adds_bos: bool = True,
        context_length: int | None = None,
        normalise: Callable[[str], str] = lambda text: text,
        start_mark: str = "",
        stripping: Sequence[str] = (),
    ) -> None:
        self.words = sorted(words, key=len, reverse=True)
        self.pieces = [chr(i) for i in range(128)] + list(words)
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        first = len(self.pieces)
        self.specials = tuple(
            SpecialToken(text, first + i, text in stripping, text in stripping)
            for i, text in enumerate(specials)
        )
        self.adds_bos = adds_bos
        self.context_length = context_length
        self.normalise = normalise
        self.start_mark = start_mark
        self.parsed: list[str] = []

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="characters",
            vocabulary_size=len(self.pieces) + len(self.specials),
            context_length=self.context_length,
            bos=self.specials[0].id if self.specials else None,
            adds_bos=self.adds_bos,
            special_tokens=self.specials,
        )

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        if parse_special:
            self.parsed.extend(texts)
        mark = self.start_mark if at_start else ""
        return [self._tokenize(mark + self.normalise(text)) for text in texts]

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return "".join(self.pieces[t] for t in tokens if t < len(self.pieces)).encode()

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> Row:
        return uniform(len(self.pieces) + len(self.specials))

    def _tokenize(self, text: str) -> list[int]:
        tokens = []
        while text:
            piece = next((word for word in self.words if text.startswith(word)), text[0])
            tokens.append(self.ids[piece])
            text = text[len(piece) :]
        return tokens


def install(
    site: Path,
    distribution: str,
    entry_points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    version: str = "1.0",
) -> None:
    """Write the metadata and modules of an installed distribution into the folder `site`."""
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, source in modules.items():
        (site / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")


def forget(*modules: str) -> None:
    """Remove modules from the import cache, so that the next import loads them again."""
    for name in modules:
        sys.modules.pop(name, None)
