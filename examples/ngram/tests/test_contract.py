"""The laws of backends, with the definition of the model as reference."""

import math
from fractions import Fraction
from pathlib import Path

from autocog_core import Model, load
from autocog_core.testing import BackendContractTests

TEXT = Path(__file__).parents[1] / "cities.txt"


class TestContract(BackendContractTests):
    def make(self) -> Model:
        return load(backend="ngram", options={"path": str(TEXT)})

    def reference_logprobs(self, text: str) -> list[float]:
        with self.make() as model:
            tokens, size, ends = model.encode(text), model.info.vocabulary_size, model.info.eos
            lines = [[*model.encode(line), *ends] for line in TEXT.read_text().splitlines()]

        def probability(prefix: list[int], token: int, length: int = 2) -> Fraction:
            """Mix the counts after the last `length` tokens with those of shorter contexts."""
            if length < 0:
                return Fraction(1 + prefix.count(token), size + len(prefix))
            shorter = probability(prefix, token, length - 1)
            context = prefix[len(prefix) - length :]
            seen = [
                line[end]
                for line in lines
                for end in range(max(1, length), len(line))
                if line[end - length : end] == context
            ]
            kinds = len(set(seen))
            return (seen.count(token) + kinds * shorter) / (len(seen) + kinds) if seen else shorter

        return [math.log(probability(tokens[:end], tokens[end])) for end in range(1, len(tokens))]
