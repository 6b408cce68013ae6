"""`autocog serve` behind autocog-openai: the same results as the model in the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    EOS,
    Automaton,
    CapabilityError,
    Choose,
    Complete,
    ContextOverflowError,
    Model,
    Text,
)
from autocog_openai import OpenAI
from autocog_openai.servers import autocog_trees
from tests.support.served import ROWS, server_in_thread
from tests.support.small_backends import Plain, random_model, table_model

MESSAGES = [{"role": "user", "content": "Who <|eos|> are you?"}]
PROMPTS = ["It is", "Ein Ä ", "a"]
CHOICES = [" a", " the end", "n", "not", "ä"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    models = {
        "random": lambda: random_model(seed=3, context_length=300),
        "known": lambda: table_model(ROWS),
        "plain": lambda: Model(Plain()),
    }
    with server_in_thread(models) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def remote(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        model = OpenAI(model="random", base_url=url).as_model()
        assert model.info.details["server"] == "autocog"
        yield model
        model.close()


@pytest.fixture(scope="module")
def local() -> Model:
    return random_model(seed=3, context_length=300)


def test_the_description_is_that_of_the_model(remote: Model, local: Model) -> None:
    info, expected = remote.info, local.info
    for name in (
        *("vocabulary_size", "context_length", "bos", "adds_bos", "eos", "special_tokens"),
        *("tolerance", "splits_at_word_boundaries", "restarts_after_special_tokens"),
    ):
        assert getattr(info, name) == getattr(expected, name), name
    assert remote.client.vocabulary() == local.client.vocabulary()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "per_byte"},
        {"suffix": "."},
        {"suffix": EOS},
        {"boundary": "strict"},
        {"norm": "pmi", "unconditional_prompt": "?"},
    ],
)
def test_choices_are_equal_to_the_last_bit(
    remote: Model, local: Model, options: dict[str, Any]
) -> None:
    here, there = (
        [model.choose(prompt, CHOICES, **options).to_dict() for prompt in PROMPTS]
        for model in (local, remote)
    )
    for result in (*here, *there):
        # It counts requests, and not what the engine evaluated.
        result.pop("tokens_evaluated")
    assert there == here


def test_the_best_choices_are_equal(remote: Model, local: Model) -> None:
    here, there = (model.choose("It is", CHOICES, top=2) for model in (local, remote))
    # What the others may still have differs: a server is asked for more nodes at one time.
    assert [(choice.choice, choice.token_logprobs) for choice in there.top] == [
        (choice.choice, choice.token_logprobs) for choice in here.top
    ]


def test_chats_rows_and_scores_are_equal(remote: Model, local: Model) -> None:
    assert remote.chat_prompt(MESSAGES) == local.chat_prompt(MESSAGES)
    assert np.array_equal(remote.greedy("It is"), local.greedy("It is"))
    assert remote.next_tokens("It is", 5) == local.next_tokens("It is", 5)
    assert [token.logprob for token in remote.score("It is ä").tokens] == [
        token.logprob for token in local.score("It is ä").tokens
    ]
    here, there = (model.choose(messages=MESSAGES, choices=CHOICES) for model in (local, remote))
    assert there.scores == here.scores


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"temperature": 0.8, "top_p": 0.9, "seed": 7, "n": 3},
        {"stop": ["e", "g"], "temperature": 1.0, "seed": 1},
        {"regex": "[ab]{4}"},
        {"json_schema": {"enum": ["yes", "no"]}, "temperature": 1.0, "seed": 1},
    ],
)
def test_texts_are_equal(remote: Model, local: Model, arguments: dict[str, Any]) -> None:
    here, there = (model.complete("It is", max_tokens=12, **arguments) for model in (local, remote))
    for first, second in zip((here, *here.alternatives), (there, *there.alternatives), strict=True):
        assert second.text == first.text
        assert second.tokens == first.tokens
        assert second.logprobs == pytest.approx(first.logprobs, abs=1e-12)
        assert second.stop_string == first.stop_string
        assert not second.reason


def test_streams_are_equal(remote: Model, local: Model) -> None:
    arguments: dict[str, Any] = {"max_tokens": 12, "temperature": 1.0, "seed": 2}
    assert "".join(remote.stream("It is", **arguments)) == "".join(
        local.stream("It is", **arguments)
    )


def test_programs_are_equal(remote: Model, local: Model) -> None:
    automaton = Automaton(
        [
            Text(uid="begin", text="It is", successors="kind"),
            Choose(uid="kind", choices=tuple(CHOICES), width=2, successors="text"),
            Complete(uid="text", length=4, beams=2),
        ]
    )
    here, there = (automaton.run(model) for model in (local, remote))
    assert [(path.text, path.logprob) for path in there.complete] == [
        (path.text, pytest.approx(path.logprob)) for path in here.complete
    ]


def test_what_does_not_fit_is_refused_before_it_is_sent(remote: Model) -> None:
    with pytest.raises(ContextOverflowError):
        remote.complete("It is", max_tokens=298)
    assert remote.complete("It is", max_tokens=294, temperature=1.0, seed=1).tokens


def test_many_trees_are_several_requests(
    remote: Model, local: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autocog_trees, "MAX_TREES", 3)
    prompts = [f"prompt {number}" for number in range(10)]
    here, there = (model.choose_many(prompts, choices=CHOICES) for model in (local, remote))
    assert [result.scores for result in there] == [result.scores for result in here]


def test_models_of_one_server_are_kept_apart(url: str) -> None:
    with OpenAI(model="known", base_url=url).as_model() as known:
        scores = known.choose("It is ", ["a", "b"])
    assert scores.best.prob == pytest.approx(0.6 / 0.9)


def test_a_model_without_a_template_says_so(url: str) -> None:
    with OpenAI(model="plain", base_url=url).as_model() as plain:
        with pytest.raises(CapabilityError, match="chat template"):
            plain.chat_prompt(MESSAGES)
        assert plain.choose("a", ["b", "cd"]).exact
