"""The SDK of OpenAI, as it is, against the server: all answer types, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.support.served import server_in_thread
from tests.support.small_backends import random_model

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
KEY = "a-key-of-a-test"


class Decision(BaseModel, extra="forbid"):
    """A type that the SDK turns into a strict schema."""

    team: Literal["a", "b"]
    is_urgent: bool


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server_in_thread(keys=[KEY]) as url:
        yield f"{url}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


def test_completions(client: openai.OpenAI) -> None:
    expected = random_model(seed=3).complete("It is", max_tokens=4)

    answer = client.completions.create(
        model="random", prompt="It is", max_tokens=4, temperature=0, logprobs=2, echo=True
    )

    (choice,) = answer.choices
    assert answer.object == "text_completion"
    assert choice.text == "It is" + expected.text
    assert choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[-len(expected.tokens) :] == list(expected.logprobs or ())
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6 + len(expected.tokens)


def test_chat_completions(client: openai.OpenAI) -> None:
    expected = random_model(seed=3).complete(messages=MESSAGES, max_tokens=4)

    answer = client.chat.completions.create(
        model="random",
        messages=MESSAGES,
        max_completion_tokens=4,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
        user="someone",
    )

    (choice,) = answer.choices
    assert choice.message.content == expected.text
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert [token.logprob for token in choice.logprobs.content] == list(expected.logprobs or ())
    assert len(choice.logprobs.content[0].top_logprobs) == 3


def test_types_are_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="random", messages=MESSAGES, response_format=Decision, seed=1, max_tokens=500
    )

    assert isinstance(answer.choices[0].message.parsed, Decision)


def test_streams(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": "random", "seed": 2, "max_tokens": 9}
    whole = client.completions.create(prompt="It is", **body)
    chat = client.chat.completions.create(messages=MESSAGES, **body)

    events = list(client.completions.create(prompt="It is", stream=True, **body))
    chunks = list(
        client.chat.completions.create(
            messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **body
        )
    )

    assert "".join(event.choices[0].text for event in events) == whole.choices[0].text
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == chat.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == chat.choices[0].finish_reason
    assert chunks[-1].usage == chat.usage


def test_the_stream_helper_collects_an_answer(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="random", messages=MESSAGES, response_format=Decision, seed=1, max_tokens=500
    ) as stream:
        types = {event.type for event in stream}
        final = stream.get_final_completion()

    assert "content.delta" in types
    assert isinstance(final.choices[0].message.parsed, Decision)


def test_async_calls(url: str) -> None:
    body: dict[str, Any] = {"model": "random", "seed": 2, "max_tokens": 9}

    async def call() -> tuple[Any, Any, str, str]:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
            whole, chat = await asyncio.gather(
                client.completions.create(prompt="It is", **body),
                client.chat.completions.create(messages=MESSAGES, **body),
            )
            events = await client.completions.create(prompt="It is", stream=True, **body)
            texts = [event.choices[0].text async for event in events]
            chunks = await client.chat.completions.create(messages=MESSAGES, stream=True, **body)
            deltas = [chunk.choices[0].delta.content or "" async for chunk in chunks]
            return whole, chat, "".join(texts), "".join(deltas)

    whole, chat, text, answer = asyncio.run(call())

    assert text == whole.choices[0].text
    assert answer == chat.choices[0].message.content


def test_errors_have_their_types(client: openai.OpenAI, url: str) -> None:
    body: dict[str, Any] = {"model": "random", "prompt": "It is"}
    with pytest.raises(openai.BadRequestError, match="suffix is not supported") as refused:
        client.completions.create(suffix=".", **body)
    assert refused.value.param == "suffix"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completions.create(temperature=-1, **body)
    with pytest.raises(openai.NotFoundError, match='no model "other"'):
        client.completions.create(**{**body, "model": "other"})
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        client.chat.completions.create(
            model="random",
            messages=MESSAGES,
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.completions.create(**body)


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["random", "known"]
    assert client.models.retrieve("known").owned_by == "autocog"
    assert client.models.retrieve("jev-latest").id == "random"
    with pytest.raises(openai.NotFoundError, match='did you mean "known"'):
        client.models.retrieve("known-2")
