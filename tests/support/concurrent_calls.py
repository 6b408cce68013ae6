"""Mixed calls of several models on one engine, from many threads, compared with calls alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocog_core import Automaton, Choose, Complete, Model, Text
from tests.support.soak import count
from tests.support.trials import Trials

THREADS = 16
WORDS = ("one", "two", "the", "red", "of", "blue", "sun")
CHOICES = ([" a", " b", " the end"], ["1", "10", "100"], [" red", " blue"])


@dataclass(frozen=True)
class Answer:
    """What a call decided, and its numbers.

    :ivar decided: tokens or indices.
    :ivar numbers: log-probabilities.
    """

    decided: Any
    numbers: Sequence[float]


def mixed_call(model: Model, number: int) -> Answer:
    """Make the call of this number: choose, choose_many, complete, greedy or an automaton."""
    drawn = random.Random(number)
    prompts = [
        " ".join(drawn.choice(WORDS) for _ in range(drawn.randrange(1, 9)))
        for _ in range(drawn.randrange(1, 4))
    ]
    choices = drawn.choice(CHOICES)
    match number % 5:
        case 0:
            scores = [model.choose(prompts[0], choices)]
        case 1:
            scores = model.choose_many(prompts, choices)
        case 2:
            done = model.complete(prompts[0], max_tokens=drawn.randrange(1, 6))
            return Answer(done.tokens, done.logprobs or ())
        case 3:
            row = model.greedy(prompts[0])
            return Answer(int(row.argmax()), row.tolist())
        case _:
            tree = make_automaton(prompts[0], choices, drawn.choice([1, 2])).run(model)
            return Answer(
                [node.tokens for node in tree.nodes], [node.path_logprob for node in tree.nodes]
            )
    return Answer(
        [score.index for score in scores],
        [choice.logprob for score in scores for choice in score.scores],
    )


def make_automaton(prompt: str, choices: Sequence[str], width: int) -> Automaton:
    """Return a program with a text, a completion and a choice."""
    return Automaton(
        [
            Text(uid="text", text=prompt, successors="write"),
            Complete(uid="write", length=3, beams=2, width=width, successors="pick"),
            Choose(uid="pick", choices=choices, width=width),
        ]
    )


def try_together(models: Sequence[Model], trials: Trials, tolerance: float) -> None:
    """Make the calls from 16 threads, and compare each answer with that of the call alone.

    :param models: models on one engine; each call takes the next one.
    :param tolerance: allowed difference between two log-probabilities, in nats.
    """
    different = count(normal=30, soak=200)
    alone = [mixed_call(models[0], number) for number in range(different)]
    for model in models:
        assert model.client is not models[0].client or model is models[0]

    def call(trial: int) -> Answer:
        return mixed_call(models[trial % len(models)], trial % different)

    with ThreadPoolExecutor(THREADS) as pool:
        for trial, answer in zip(trials, pool.map(call, trials), strict=True):
            expected = alone[trial % different]
            assert answer.decided == expected.decided, f"trial {trial}"
            np.testing.assert_allclose(
                answer.numbers, expected.numbers, rtol=0, atol=tolerance, err_msg=f"trial {trial}"
            )
            trials.note("equal")
