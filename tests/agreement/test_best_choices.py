"""The best choices of SmolLM2, found in a part of the token tree, against the whole tree."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import EOS, ChoiceScores, TopChoices
from autocog_core.types.choice import NORMS, SCORE_FIELD_OF_NORM
from tests.support.engines import Engine
from tests.support.soak import count

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning"),
]

QUESTIONS = Path(__file__).parents[2] / "examples" / "quiz" / "questions.jsonl"
TRIALS = count(normal=10, soak=300)
#: Nats a token: how far two evaluations in float32 may be apart.
FLOAT32 = 1e-4
#: Nats: a margin that the differences of quantized weights rarely reach.
CLEAR = 0.5


def draw(generator: random.Random) -> tuple[str, list[str], int, dict[str, Any]]:
    """Return a prompt, choices of which some begin others, a number of best ones, and options."""
    rows = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    answers = sorted({" " + choice for row in rows for choice in row["choices"]})
    choices = set(generator.sample(answers, generator.randint(5, 80)))
    for choice in generator.sample(sorted(choices), 3):
        # The first word, or the choice with one more.
        choices |= {" " + choice.split()[0], choice + generator.choice([" or so", "s", " too"])}
    shuffled = sorted(choices)
    generator.shuffle(shuffled)
    prompt = f"Question: {generator.choice(rows)['question']}\nAnswer:"
    options: dict[str, Any] = {
        "norm": generator.choice(NORMS),
        "suffix": generator.choice([None, None, "\n", EOS]),
    }
    if options["norm"] == "pmi":
        options["unconditional_prompt"] = "Answer:"
    return prompt, shuffled, generator.choice([1, 1, 3, 5]), options


class Comparison:
    """Two results of one request: each number of a score, in units of one token's tolerance."""

    def __init__(self, part: TopChoices, whole: ChoiceScores) -> None:
        self.part = part
        field = SCORE_FIELD_OF_NORM[whole.norm]
        self.scores = np.array([getattr(score, field) for score in whole.scores])
        self.ranked = sorted(range(len(self.scores)), key=lambda i: (-self.scores[i], i))
        lengths = np.array([len(score.tokens) for score in whole.scores])
        sizes = np.array([len(score.choice.encode()) for score in whole.scores])
        self.units = {"mean": np.ones(len(lengths)), "per_byte": lengths / sizes}.get(
            whole.norm, lengths.astype(np.float64)
        )
        if whole.norm == "sum":
            # The end of a choice that begins others has what they leave: a small difference of
            # large shares.
            rest = [score.exclusive_logprob - score.logprob for score in whole.scores]
            self.units = self.units + lengths.max() * np.exp(-np.array(rest))
        weights = np.exp(self.scores - self.scores.max())
        self.probs = weights / weights.sum()

    def same_order(self, tolerance: float) -> bool:
        """Whether the best ones are those of the whole tree; close ones may change places."""
        for place, found in enumerate(self.part.top):
            expected = self.ranked[place]
            units = self.units[found.index] + self.units[expected]
            if self.scores[expected] - self.scores[found.index] > tolerance * units:
                return False
        return True

    def assert_equal(self, tolerance: float) -> None:
        """Order, scores and bounds are those of the whole tree, within a tolerance a token."""
        part = self.part
        assert part.proven
        assert self.same_order(tolerance)
        for found in part.top:
            allowed = tolerance * self.units[found.index]
            assert abs(found.score - self.scores[found.index]) <= allowed
        allowed = tolerance * self.units
        assert (np.array(part.score_bounds) >= self.scores - allowed).all()
        self.assert_probability_is_within(2 * float(allowed.max()))

    def assert_probability_is_within(self, slack: float) -> None:
        """The true share lies in each interval; `slack` nats are allowed."""
        for found in self.part.top:
            lowest, highest = found.prob_bounds
            prob = self.probs[found.index]
            assert lowest * math.exp(-slack) <= prob <= highest * math.exp(slack)


def compare(engine: Engine, number: int) -> Comparison:
    """Evaluate one drawn request twice: nothing of the first is cached in the second."""
    prompt, choices, top, options = draw(random.Random(f"best choices {number}"))
    engine.clear_caches()
    whole = engine.model.choose(prompt, choices, **options)
    engine.clear_caches()
    part = engine.model.choose(prompt, choices, top=top, **options)
    return Comparison(part, whole)


@pytest.mark.parametrize("name", ["tf_float32", "llamacpp_float32"])
def test_best_choices_in_float32_equal_the_whole_tree(
    name: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(name)
    shares = []
    for number in range(TRIALS):
        comparison = compare(engine, number)
        comparison.assert_equal(FLOAT32)
        shares.append((comparison.part.nodes_read or 0) / (comparison.part.nodes or 1))
    print(f"{TRIALS} trials equal; {np.median(shares):.2f} of the nodes read at the median")


def test_best_choices_of_quantized_weights_are_those_with_a_clear_margin(
    llamacpp_quantized: Engine,
) -> None:
    tolerance = llamacpp_quantized.model.info.tolerance
    same = clear = 0
    for number in range(TRIALS):
        comparison = compare(llamacpp_quantized, number)
        comparison.assert_equal(tolerance)
        first, second = comparison.scores[comparison.ranked[:2]]
        unit = comparison.units[comparison.ranked[0]]
        if first - second > CLEAR * min(unit, 1.0):
            clear += 1
            same += comparison.part.index == comparison.ranked[0]
    print(f"the same best choice in {same} of {clear} trials with a clear one")
    assert same >= 0.95 * clear
