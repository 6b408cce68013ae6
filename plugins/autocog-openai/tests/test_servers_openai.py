"""The chat route of api.openai.com: its numbers, limits, refusals and models."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest

from tests.support.openai.servers.clients import MESSAGES, client, refusal
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_api import CHAT, REASONING, OpenAIServer
from tests.support.openai.servers.openai_shared import FILTER, REFUSAL_TEXT, REFUSE


def test_openai_chat_lists_20_tokens_and_hides_the_log_probability_of_others() -> None:
    server = OpenAIServer()
    row = server.engine.model.greedy(messages=MESSAGES)
    order = [int(token) for token in np.argsort(-row)]
    likely, unlikely = order[3], order[100]
    with client(server) as api:

        def forced(token: int) -> Any:
            reply = api.chat.completions.create(
                model=CHAT,
                messages=MESSAGES,
                max_completion_tokens=1,
                logprobs=True,
                top_logprobs=20,
                temperature=0,
                logit_bias={str(token): 100},
            )
            return reply.choices[0].logprobs.content[0]

        told, hidden = forced(likely), forced(unlikely)
    assert told.logprob == pytest.approx(row[likely])
    assert hidden.logprob == -9999.0
    assert [each.logprob for each in told.top_logprobs] == [
        pytest.approx(row[token]) for token in order[:20]
    ]
    surfaces = server.engine.surfaces
    for each, token in zip(told.top_logprobs, order, strict=False):
        if token in surfaces:
            assert (each.token, each.bytes) == (surfaces[token], None)
        elif token < 128:
            assert (each.token, each.bytes) == (chr(token), [token])
        else:
            assert (each.token, each.bytes) == (f"\\x{token:02x}", [token])


@pytest.mark.parametrize(
    ("model", "arguments", "param", "code"),
    [
        (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        (CHAT, {"top_logprobs": 2}, "top_logprobs", None),
        (CHAT, {"stop": list("abcde")}, "stop", "array_above_max_length"),
        (
            CHAT,
            {"logit_bias": {str(token): 1 for token in range(301)}},
            "logit_bias",
            "object_above_max_properties",
        ),
        (CHAT, {"logit_bias": {"1": 101}}, "logit_bias", None),
        (CHAT, {"extra_body": {"echo": True}}, "echo", "unknown_parameter"),
        (CHAT, {"max_completion_tokens": 9999}, "messages", "context_length_exceeded"),
        (REASONING, {"max_tokens": 50}, "max_tokens", "unsupported_parameter"),
        (REASONING, {"temperature": 0}, "temperature", "unsupported_value"),
        (REASONING, {"logprobs": True}, "logprobs", "unsupported_parameter"),
        (REASONING, {"logit_bias": {"1": 1}}, "logit_bias", "unsupported_parameter"),
        (REASONING, {"stop": "a"}, "stop", "unsupported_parameter"),
    ],
)
def test_openai_refuses(
    model: str, arguments: dict[str, Any], param: str, code: str | None
) -> None:
    with client(OpenAIServer()) as api, pytest.raises(openai.BadRequestError) as error:
        api.chat.completions.create(model=model, messages=MESSAGES, **arguments)
    found = refusal(error)
    assert found["type"] == "invalid_request_error"
    assert (found["param"], found["code"]) == (param, code)


def test_openai_accepts_300_biases() -> None:
    with client(OpenAIServer(Engine(vocabulary="merges"))) as api:
        bias = {str(token): -1 for token in range(300)}
        api.chat.completions.create(
            model=CHAT, messages=MESSAGES, max_completion_tokens=1, logit_bias=bias
        )


def test_openai_refuses_a_wrong_key_and_shows_little_of_it() -> None:
    wrong = "sk-wrong-aaaabbbbccccdddd"
    with client(OpenAIServer(), key=wrong) as api:
        with pytest.raises(openai.AuthenticationError) as error:
            api.chat.completions.create(model=CHAT, messages=MESSAGES)
        with pytest.raises(openai.AuthenticationError):
            api.models.retrieve(CHAT)
    assert refusal(error)["code"] == "invalid_api_key"
    assert wrong not in str(error.value)


def test_openai_models_answer_only_on_their_routes() -> None:
    with client(OpenAIServer()) as api:
        assert api.models.retrieve(REASONING).id == REASONING
        with pytest.raises(openai.NotFoundError) as error:
            api.models.retrieve("gone")
        assert refusal(error)["code"] == "model_not_found"
        with pytest.raises(openai.NotFoundError, match="not supported in the v1/completions"):
            api.completions.create(model=CHAT, prompt="Hi")


def test_openai_has_no_prefill() -> None:
    server = OpenAIServer()
    more = [*MESSAGES, {"role": "assistant", "content": "I say"}]
    row = server.engine.model.greedy(messages=more)
    with client(server) as api:
        reply = api.chat.completions.create(
            model=CHAT, messages=more, max_completion_tokens=1, logprobs=True, temperature=0
        )
    assert reply.choices[0].logprobs.content[0].logprob == pytest.approx(row.max())


def schema(choices: list[str]) -> dict[str, Any]:
    """Return the schema of an object with one of the choices."""
    return {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": choices}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def picked(engine: Engine, choices: list[str]) -> str:
    """Return the JSON that greedy constrained generation writes."""
    tokens = engine.model.encode(engine.model.chat_prompt(MESSAGES))
    texts = [b'{"answer":"' + choice.encode() + b'"}' for choice in choices]
    raw = b""
    while raw not in texts:
        row = engine.model.greedy(tokens)
        fitting = [t for t in range(256) if any(s.startswith(raw + bytes([t])) for s in texts)]
        tokens.append(max(fitting, key=lambda token: row[token]))
        raw += bytes([tokens[-1]])
    return raw.decode()


def test_openai_structured_outputs_by_chat_and_responses() -> None:
    server = OpenAIServer()
    choices = ["blue", "black", "red"]
    named = {"name": "pick", "schema": schema(choices), "strict": True}
    expected = picked(server.engine, choices)
    loose = {**named, "schema": {**schema(choices), "additionalProperties": True}}
    with client(server) as api:
        chat = api.chat.completions.create(
            model=CHAT,
            messages=MESSAGES,
            temperature=0,
            response_format={"type": "json_schema", "json_schema": named},
        )
        response = api.responses.create(
            model=CHAT,
            input=MESSAGES,
            temperature=0,
            text={"format": {"type": "json_schema", **named}},
        )
        with pytest.raises(openai.BadRequestError) as error:
            api.chat.completions.create(
                model=CHAT,
                messages=MESSAGES,
                response_format={"type": "json_schema", "json_schema": loose},
            )
    assert chat.choices[0].message.content == response.output_text == expected
    assert response.status == "completed"
    assert refusal(error)["code"] == "invalid_json_schema"


def test_openai_refusals_and_the_content_filter() -> None:
    refused: Any = [{"role": "user", "content": f"Please {REFUSE}"}]
    filtered: Any = [{"role": "user", "content": f"Please {FILTER}"}]
    with client(OpenAIServer()) as api:
        declined = api.chat.completions.create(model=CHAT, messages=refused).choices[0]
        cut = api.chat.completions.create(model=CHAT, messages=filtered).choices[0]
        response = api.responses.create(model=CHAT, input=refused)
        stopped = api.responses.create(model=CHAT, input=filtered)
    assert (declined.message.content, declined.message.refusal) == (None, REFUSAL_TEXT)
    assert cut.finish_reason == "content_filter"
    assert response.output[0].content[0].refusal == REFUSAL_TEXT
    assert stopped.incomplete_details.reason == "content_filter"


def test_openai_reasoning_tokens_count_for_the_limit() -> None:
    with client(OpenAIServer()) as api:
        none = api.chat.completions.create(
            model=REASONING, messages=MESSAGES, max_completion_tokens=8
        )
        some = api.chat.completions.create(
            model=REASONING, messages=MESSAGES, max_completion_tokens=11
        )
        response = api.responses.create(model=REASONING, input="Hi", max_output_tokens=16)
    assert (none.choices[0].message.content, none.choices[0].finish_reason) == ("", "length")
    assert none.usage.completion_tokens_details.reasoning_tokens == 8
    assert some.usage.completion_tokens == 11
    assert [item.type for item in response.output] == ["reasoning", "message"]


def test_openai_chat_streams_the_same_with_usage() -> None:
    arguments: dict[str, Any] = {
        "model": CHAT,
        "messages": MESSAGES,
        "max_completion_tokens": 12,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 2,
    }
    with client(OpenAIServer()) as api:
        whole = api.chat.completions.create(**arguments)
        *parts, last = api.chat.completions.create(
            **arguments, stream=True, stream_options={"include_usage": True}
        )
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    found = [e for p in parts if p.choices[0].logprobs for e in p.choices[0].logprobs.content]
    assert found == whole.choices[0].logprobs.content
    assert last.usage.total_tokens == whole.usage.total_tokens
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason
