"""The backend `ctranslate2`: language models in the format of CTranslate2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import autocog_core as autocog
import numpy as np
from autocog_core.toolkit import RowBatch, RowBatches, TextTokenizer, file_hash, wait_briefly
from numpy.typing import NDArray
from pydantic import Field

#: Up to so many rows, one evaluation of whole rows is faster than a step for each of their tokens.
FEW_ROWS = 8
#: Largest difference between two computations of a log-probability, in nats, by type.
TOLERANCE = {"float32": 1e-4}
#: Of other types. Measured with int8 and SmolLM2-135M: 1.9.
TOLERANCE_IF_ROUNDED = 2.5


class CTranslate2Options(autocog.BackendOptions):
    """Options of `ctranslate2`. The last three are those of `ctranslate2.Generator`."""

    model_path: autocog.Resource = Field(description="folder of the converted model")
    context_length: int = Field(2048, ge=1, description="maximum number of tokens in a sequence")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model computes")
    compute_type: str = Field("default", description="float32, int8 ...; default: as converted")
    intra_threads: int = Field(0, ge=0, description="threads of one call; 0: a number by default")


class Engine:
    """A converted model with its tokenizer."""

    def __init__(self, options: CTranslate2Options) -> None:
        # Before the engine's threads are there.
        wait_briefly()
        import ctranslate2

        if not ctranslate2.contains_model(options.model_path):
            where, hint = options.model_path, "convert it with ct2-transformers-converter"
            raise autocog.ModelLoadError("it has no model of CTranslate2", where=where, hint=hint)
        self.options, self.library = options, ctranslate2
        self.folder = Path(options.model_path)
        self.names: list[str] = json.loads((self.folder / "vocabulary.json").read_text("utf-8"))
        self.tokenizer = TextTokenizer.from_folder(self.folder, size=len(self.names))
        settings = options.model_dump(include={"device", "compute_type", "intra_threads"})
        self.generator = ctranslate2.Generator(options.model_path, **settings)

    def logits(self, batch: RowBatch) -> Iterator[NDArray[Any]]:
        """Yield the logits after each token of each row, (tokens, V)."""
        lengths = batch.lengths().tolist()
        if len(lengths) <= FEW_ROWS and len(batch.prefix) <= max(lengths):
            rows = [[*batch.prefix, *row.tokens] for row in batch.rows]
            for logits in self.to_numpy(self.generator.forward_batch(rows)):
                yield logits[len(batch.prefix) :]
            return
        # "Generates" tokens that are all given, after a prompt that all rows share.
        results = self.generator.generate_batch(
            [self.names_of(row.tokens) for row in batch.rows],
            static_prompt=self.names_of(batch.prefix),
            cache_static_prompt=False,  # CTranslate2 would never release it.
            max_length=max(lengths),
            end_token=[],
            callback=lambda step: step.step + 1 == lengths[step.batch_id],
            return_logits_vocab=True,
        )
        for result in results:
            yield np.stack([self.to_numpy(logits).ravel() for logits in result.logits[0]])

    def names_of(self, tokens: Sequence[int]) -> list[str]:
        """Return the names of tokens, which CTranslate2 generates in place of ids."""
        return [self.names[token] for token in tokens]

    def to_numpy(self, logits: Any) -> NDArray[Any]:
        """Return logits (..., V) as an array, without the columns that fill up a GPU's blocks."""
        float32 = logits.to(self.library.DataType.float32).to_device(self.library.Device.cpu)
        return np.array(float32)[..., : len(self.names)]

    def fingerprint(self) -> str:
        """Return a digest of all that decides the numbers."""
        kind = f"{self.generator.device} {self.generator.compute_type} {self.library.__version__}"
        parts = [file_hash(self.folder / "model.bin"), self.tokenizer.definition, kind]
        return sha256("\0".join(parts).encode()).hexdigest()


class CTranslate2LM(autocog.TokenizerLM[Engine]):
    """A language model that CTranslate2 converted."""

    Options = CTranslate2Options

    @classmethod
    def load_engine(cls, options: CTranslate2Options) -> Engine:
        return Engine(options)

    def describe_impl(self) -> autocog.BackendInfo:
        return autocog.BackendInfo(
            name=self.engine.folder.name,
            **self.engine.tokenizer.describe(),
            context_length=self.engine.options.context_length,
            tolerance=TOLERANCE.get(self.engine.generator.compute_type, TOLERANCE_IF_ROUNDED),
            compute_fingerprint=self.engine.fingerprint,
            details={"compute_type": self.engine.generator.compute_type},
        )

    def greedy_tree_impl(self, queries: Sequence[autocog.TreeQuery]) -> list[autocog.TreeScores]:
        batches = RowBatches(queries, vocabulary_size=len(self.engine.names), keep_prefix=True)
        for batch in batches:
            for row, logits in zip(batch.rows, self.engine.logits(batch), strict=True):
                batches.take(row, logits[row.positions])
        return batches.scores()
