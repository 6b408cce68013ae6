"""The laws of backends, a test each, with the model's definition as reference."""

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
            """After the last `length` tokens, and where these are not told of after fewer."""
            if length < 0:
                return Fraction(1 + before.count(token), size + len(before))
            rest = probability(before, token, length - 1)
            context = before[len(before) - length :]
            seen = [
                line[place]
                for line in lines
                for place in range(max(1, length), len(line))
                if line[place - length : place] == context
            ]
            kinds = len(set(seen))
            return (seen.count(token) + kinds * rest) / (len(seen) + kinds) if seen else rest

        return [
            math.log(probability(tokens[:place], tokens[place])) for place in range(1, len(tokens))
        ]
