"""A small compatible server, and one whose prompt scores are wrong."""

from __future__ import annotations

import numpy as np
import openai
import pytest

from tests.support.openai.servers.clients import MESSAGES, PROMPT, client
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.wrong_echo import WrongEcho


def test_generic_accepts_text_only_and_ignores_unknown_fields() -> None:
    server = Generic()
    with client(server) as api:
        with pytest.raises(openai.BadRequestError):
            api.completions.create(model="random", prompt=PROMPT)
        free = {"temperature": 0, "max_tokens": 4, "model": "random", "prompt": "Hi"}
        asked = api.completions.create(
            **free, logit_bias={"65": 100}, logprobs=3, echo=True, n=2, extra_body={"new": 1}
        )
        assert asked.choices == api.completions.create(**free).choices
        chat = api.chat.completions.create(
            model="random",
            messages=MESSAGES,
            max_tokens=1,
            temperature=0,
            logprobs=True,
            top_logprobs=20,
        )
        with pytest.raises(openai.BadRequestError):
            api.chat.completions.create(
                model="random", messages=MESSAGES, logprobs=True, top_logprobs=21
            )
        with pytest.raises(openai.NotFoundError):
            api.post("/../tokenize", body={"prompt": "Hi"}, cast_to=dict)
    row = server.engine.model.greedy(messages=MESSAGES)
    values = [each.logprob for each in chat.choices[0].logprobs.content[0].top_logprobs]
    assert values == [pytest.approx(value) for value in np.sort(row)[::-1][:20]]


def test_generic_without_log_probabilities() -> None:
    with client(Generic(logprobs=False)) as api:
        chat = api.chat.completions.create(
            model="random", messages=MESSAGES, max_tokens=1, logprobs=True, top_logprobs=5
        )
        chunks = list(
            api.chat.completions.create(
                model="random", messages=MESSAGES, max_tokens=3, temperature=0, stream=True
            )
        )
    assert chat.choices[0].logprobs is None
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("right", [True, False])
def test_echo_is_right_or_shifted_by_one_token(right: bool, bos: bool) -> None:
    server = WrongEcho(Engine(bos=bos), right=right)
    model = server.engine.model
    with client(server) as api:
        found = (
            api.completions.create(
                model="random", prompt="Hello", max_tokens=1, temperature=0, echo=True, logprobs=9
            )
            .choices[0]
            .logprobs
        )
        with pytest.raises(openai.UnprocessableEntityError):
            api.completions.create(model="random", prompt=PROMPT)
    ids = model.encode("Hello")
    assert found.tokens[:5] == list("Hello")
    assert found.token_logprobs[0] is None
    begin = int(bos)
    expected = [model.greedy(ids[: begin + i])[ids[begin + i]] for i in range(1, 5)]
    late = [model.greedy(ids[: begin + i + 1])[ids[begin + i]] for i in range(1, 5)]
    told = found.token_logprobs[1:5]
    assert told == [pytest.approx(value) for value in (expected if right else late)]
    assert max(abs(a - b) for a, b in zip(expected, late, strict=True)) > 0.1
    assert all(len(top) <= 6 for top in found.top_logprobs[1:])
