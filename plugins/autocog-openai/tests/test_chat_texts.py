"""Texts from the chat and responses routes: refused parameters are omitted or emulated."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from autocog_core.errors import CapabilityError
from autocog_openai.connection.errors import RefusedError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import CHAT, INSTRUCT, REASONING, OpenAIServer
from tests.support.openai.servers.openai_shared import FILTER, REFUSAL_TEXT, REFUSE

MESSAGES = [{"role": "user", "content": "Tell me."}]
ROUTES = {
    "chat": {"model": CHAT, "server": "openai"},
    "responses": {"model": CHAT, "server": "openai", "api": "responses"},
}


@pytest.fixture(params=ROUTES)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options for each of OpenAI's two chat routes."""
    return ROUTES[request.param]


def test_greedy_texts_are_the_models_own(connect_chat: Connect, options: dict[str, Any]) -> None:
    for seed in range(3):
        server = OpenAIServer(Engine(seed=seed))
        model, truth = connect_chat(server, **options), server.engine.model
        for count in (1, 7, 20):
            found = model.complete(messages=MESSAGES, max_tokens=count, temperature=0)
            own = truth.complete(messages=MESSAGES, max_tokens=count, temperature=0)
            assert (found.text, found.finish_reason) == (own.text, own.finish_reason)
            assert found.logprobs is not None
            assert found.logprobs == pytest.approx(own.logprobs[: len(found.logprobs)], abs=1e-5)
            pieces = list(model.stream(messages=MESSAGES, max_tokens=count, temperature=0))
            assert "".join(pieces) == own.text


def test_a_completion_has_at_most_max_tokens_if_the_route_writes_more(
    connect_chat: Connect,
) -> None:
    server = OpenAIServer()
    model = connect_chat(server, **ROUTES["responses"])
    for seed in range(12):
        arguments = {"max_tokens": 3, "temperature": 1.5, "n": 4, "seed": seed}
        found = model.complete(messages=MESSAGES, **arguments)
        for one in (found, *found.alternatives):
            # A text that ends at once has none. Nor has one with a token that is not among the 20
            # most likely, which the server does not score.
            assert one.logprobs is None or 0 < len(one.logprobs) <= 3
            assert one.text or one.logprobs is None
            assert len(one.tokens) <= 3
    asked = server.log.bodies("/v1/responses")[-1]
    assert asked["max_output_tokens"] == 16


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_any_number_of_stops_ends_a_text(
    connect_chat: Connect, options: dict[str, Any], count: int
) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, **options), server.engine.model
    whole = truth.complete(messages=MESSAGES, max_tokens=30, temperature=0).text
    place = next(i for i in range(6, 30) if whole[i].isascii() and whole.index(whole[i]) == i)
    stop = [whole[place], *(f"never {number}" for number in range(count - 1))]
    found = model.complete(messages=MESSAGES, max_tokens=30, temperature=0, stop=stop)
    own = truth.complete(messages=MESSAGES, max_tokens=30, temperature=0, stop=stop)
    assert (found.text, found.finish_reason) == (own.text, "stop")
    assert found.logprobs == pytest.approx(own.logprobs, abs=1e-5)
    for body in [*server.log.bodies("/v1/chat/completions"), *server.log.bodies("/v1/responses")]:
        assert len(body.get("stop") or ()) <= 4
    pieces = list(model.stream(messages=MESSAGES, max_tokens=30, temperature=0, stop=stop))
    assert "".join(pieces) == own.text


def test_a_stop_string_that_the_plugin_searches_for_makes_a_stream(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, **ROUTES["responses"])
    model.complete(messages=MESSAGES, max_tokens=30, temperature=0, stop="~never~")
    assert server.log.bodies("/v1/responses")[-1]["stream"] is True


def test_parameters_that_a_model_refuses_are_omitted_and_logged_once(
    connect_chat: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = OpenAIServer()
    model = connect_chat(server, model=REASONING, server="openai")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = model.complete(
                messages=MESSAGES,
                max_tokens=40,
                temperature=0.7,
                top_p=0.9,
                seed=3,
                stop="Z",
                presence_penalty=0.5,
            )
            assert "Z" not in found.text
            assert found.logprobs is None
    named = [record.message for record in caplog.records if "is omitted" in record.message]
    for parameter in ("stop", "top_p", "presence_penalty", "temperature"):
        assert sum(f"not support {parameter}" in message for message in named) == 1, parameter
    last = server.log.bodies("/v1/chat/completions")[-1]
    assert not last.keys() & {"stop", "top_p", "presence_penalty", "temperature", "logprobs"}
    assert last["max_completion_tokens"] == 40


def test_reasoning_may_use_all_tokens(connect_chat: Connect) -> None:
    model = connect_chat(OpenAIServer(), model=REASONING, server="openai")
    found = model.complete(messages=MESSAGES, max_tokens=4)
    assert (found.text, found.finish_reason) == ("", "length")


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_and_content_filters_raise_refused_error(
    connect_chat: Connect, options: dict[str, Any], stream: bool
) -> None:
    model = connect_chat(OpenAIServer(), **options)
    heard: list[str] = []
    more: dict[str, Any] = {"on_text": heard.append} if stream else {}
    for mark, told in [(REFUSE, REFUSAL_TEXT), (FILTER, "content filter")]:
        with pytest.raises(RefusedError, match=told) as caught:
            model.complete(messages=[{"role": "user", "content": mark}], max_tokens=20, **more)
        assert caught.value.retryable is False
    assert model.complete(messages=MESSAGES, max_tokens=2, temperature=0).finish_reason == "length"


@pytest.mark.parametrize("method", ["pick", "top_logprobs", None])
def test_a_refusal_is_an_error_of_a_choice(connect_chat: Connect, method: str | None) -> None:
    model = connect_chat(OpenAIServer(), **ROUTES["chat"])
    refused = [{"role": "user", "content": REFUSE}]
    with pytest.raises(RefusedError):
        model.choose(messages=refused, choices=["yes", "no"], method=method)


def test_alternatives_need_one_request_if_the_route_supports_n(connect_chat: Connect) -> None:
    for make, options, requests in [
        (OpenAIServer, ROUTES["chat"], 1),
        (OpenAIServer, ROUTES["responses"], 3),
        (Generic, {}, 3),
    ]:
        server = make()
        model = connect_chat(server, **options)
        assert model.as_model().info.max_concurrency == 16
        # Now the writer knows whether the model accepts a seed.
        model.complete(messages=MESSAGES, max_tokens=1, seed=5)
        server.log.clear()
        found = model.complete(messages=MESSAGES, max_tokens=6, temperature=1, n=3, seed=5)
        assert len({one.text for one in (found, *found.alternatives)}) == 3
        assert len(server.log.requests) == requests


def test_unknown_options_of_the_engine_are_refused(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, **ROUTES["chat"])
    model.complete(messages=MESSAGES, max_tokens=2, frequency_penalty=0.5, logit_bias={"65": 100})
    body = server.log.bodies("/v1/chat/completions")[-1]
    assert (body["frequency_penalty"], body["logit_bias"]) == (0.5, {"65": 100})
    with pytest.raises(CapabilityError, match="frequency_penalti"):
        model.complete(messages=MESSAGES, max_tokens=2, frequency_penalti=0.5)


def test_defaults_of_the_options_are_used(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, max_tokens=5, temperature=0.25, **ROUTES["chat"])
    model.complete(messages=MESSAGES)
    body = server.log.bodies("/v1/chat/completions")[-1]
    assert (body["max_completion_tokens"], body["temperature"]) == (5, 0.25)
    model.complete(messages=MESSAGES, max_tokens=3, temperature=0)
    body = server.log.bodies("/v1/chat/completions")[-1]
    assert (body["max_completion_tokens"], body["temperature"]) == (3, 0)


def test_instruct_models_continue_the_text(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, model=INSTRUCT, server="openai"), server.engine.model
    stop = [f"never {number}" for number in range(6)]
    found = model.complete("It is", max_tokens=8, temperature=0, stop=stop)
    assert found.text == truth.complete("It is", max_tokens=8, temperature=0).text


def test_usage_is_what_the_server_reports(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, **ROUTES["chat"]).as_model()
    assert model.info.name
    before = model.usage
    assert before is not None
    own = len(server.engine.model.encode(server.engine.model.chat_prompt(MESSAGES)))
    model.complete(messages=MESSAGES, max_tokens=3, temperature=0)
    list(model.stream(messages=MESSAGES, max_tokens=3, temperature=0))
    after = model.usage
    assert after is not None
    assert after.requests - before.requests == 2
    assert after.prompt_tokens - before.prompt_tokens == 2 * own
    assert after.completion_tokens - before.completion_tokens == 6


def test_parameters_that_the_responses_route_refuses_are_logged(
    connect_chat: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    model = connect_chat(OpenAIServer(), **ROUTES["responses"])
    for _ in range(2):
        model.complete(messages=MESSAGES, max_tokens=2, seed=5, top_k=3)
    named = [
        record.getMessage() for record in caplog.records if "is omitted" in record.getMessage()
    ]
    assert len(named) == 2
    assert all(any(name in one for one in named) for name in ("seed", "top_k"))


def test_an_abandoned_stream_counts_its_events(connect_chat: Connect) -> None:
    model = connect_chat(Generic()).as_model()
    assert model.info.name
    before = model.usage
    # Long, for a busy machine may write much before the stream is closed.
    text = model.stream(messages=MESSAGES, max_tokens=2000, temperature=0)
    next(text)
    text.close()
    after = model.usage
    assert before is not None
    assert after is not None
    assert after.requests - before.requests == 1
    assert 1 <= after.completion_tokens - before.completion_tokens < 2000


def test_template_arguments_reach_the_server_that_renders_the_template(
    connect_chat: Connect,
) -> None:
    server = Generic()
    model = connect_chat(server, api="chat")
    kwargs = {"enable_thinking": False}
    server.log.clear()
    model.complete(messages=MESSAGES, max_tokens=2, template_arguments=kwargs)
    model.choose(messages=MESSAGES, choices=["Yes", "No"], template_arguments=kwargs)
    bodies = [
        body for body in server.log.bodies("/v1/chat/completions") if body["messages"] == MESSAGES
    ]
    assert len(bodies) >= 2
    assert all(body["chat_template_kwargs"] == kwargs for body in bodies)


def test_a_route_without_variables_of_templates_refuses_them(
    connect_chat: Connect, options: dict[str, Any]
) -> None:
    model = connect_chat(OpenAIServer(), **options)
    with pytest.raises(CapabilityError, match="no variables of chat templates"):
        model.complete(messages=MESSAGES, template_arguments={"enable_thinking": False})
