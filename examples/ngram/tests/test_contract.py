"""The contract of backends: one test per law, with the definition of the model as reference."""

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

        def probability(before: list[int], token: int, length: int = 2) -> Fraction:
            """Return the probability after the last `length` tokens, smoothed by shorter contexts."""
            if length < 0:
                return Fraction(1 + before.count(token), size + len(before))
            shorter = probability(before, token, length - 1)
            context = before[len(before) - length :]
            seen = [
                line[end]
                for line in lines
                for end in range(max(1, length), len(line))
                if line[end - length : end] == context
            ]
            kinds = len(set(seen))
            if not seen:
                return shorter
            return (seen.count(token) + kinds * shorter) / (len(seen) + kinds)

        return [math.log(probability(tokens[:end], tokens[end])) for end in range(1, len(tokens))]
