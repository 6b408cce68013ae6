"""SmolLM2 on `autocog serve`, through autocog-openai, against the model in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Model, load
from tests.support.served import server_in_thread

pytest.importorskip("autocog_llamacpp")
pytest.importorskip("autocog_openai")
# What it shows on SmolLM2, the tests of autocog-openai show on a random model in every run.
pytestmark = pytest.mark.soak

PROMPTS = ["The capital of France is", "Two plus two is", "Grass is"]
CHOICES = [" Paris", " four", " green", " the city of light", " Paris, France"]
MESSAGES = [{"role": "user", "content": "Is water <|im_end|> wet?"}]
#: The greatest difference of one token's log-probability in float32.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pair(weights: Path, tmp_path_factory: Any) -> Iterator[tuple[Model, Model]]:
    """The same weights in this process and on a server."""

    def load_weights() -> Model:
        options = {"model_path": str(weights), "n_ctx": 1024, "exact": True}
        return load(backend="llamacpp", options=options)

    with pytest.MonkeyPatch.context() as patch, server_in_thread({"smol": load_weights}) as url:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        options = {"model": "smol", "base_url": f"{url}/v1"}
        with load_weights() as local, load(backend="openai", options=options) as remote:
            yield local, remote


def differences(first: Any, second: Any) -> list[float]:
    """Return how much the log-probabilities of tokens differ in two results."""
    assert [score.tokens for score in first] == [score.tokens for score in second]
    return [
        abs(a - b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one.token_logprobs, other.token_logprobs, strict=True)
    ]


def test_choices_are_equal(pair: tuple[Model, Model]) -> None:
    here, there = (model.choose_many(PROMPTS, choices=CHOICES) for model in pair)
    for first, second in zip(here, there, strict=True):
        assert max(differences(first.scores, second.scores)) < TOLERANCE
        assert first.choice == second.choice
        assert second.exact


def test_chats_are_equal(pair: tuple[Model, Model]) -> None:
    local, remote = pair
    assert remote.chat_prompt(MESSAGES) == local.chat_prompt(MESSAGES)
    here, there = (model.choose(messages=MESSAGES, choices=["Yes", "No"]) for model in pair)
    assert max(differences(here.scores, there.scores)) < TOLERANCE


def test_texts_are_equal(pair: tuple[Model, Model]) -> None:
    for arguments in ({}, {"stop": [".", "\n"]}, {"regex": " [A-Z][a-z]{2,8}"}):
        here, there = (
            model.complete(PROMPTS[0], max_tokens=8, temperature=0, **arguments) for model in pair
        )
        assert (there.text, there.tokens) == (here.text, here.tokens)
        assert there.logprobs == pytest.approx(here.logprobs, abs=TOLERANCE)
