"""A parameter that a server refuses only in words is left out, said once, and remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.responses import JSONResponse

from autocog_core.errors import AutocogError, InputError
from autocog_openai.connection.refused_parameters import OMITTABLE, refused_parameter
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.scripted import refusal

MESSAGES = [{"role": "user", "content": "Tell me."}]


class Refusing:
    """A server that refuses a parameter, with an error as other servers write it."""

    def __init__(self, parameter: str, error: Any, server: Any = None) -> None:
        self.parameter, self.error = parameter, error
        self.server = server or Generic(Engine(seed=3))
        self.bodies: list[Mapping[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        body = json.loads(raw) if raw else {}
        self.bodies.append(body)

        received = [{"type": "http.request", "body": raw, "more_body": False}]

        async def again() -> Any:
            return received.pop() if received else await receive()

        is_refused = self.parameter in body and scope["path"] == "/v1/chat/completions"
        await (self.error if is_refused else self.server)(scope, again, send)


def extra(name: str) -> JSONResponse:
    """A refusal of pydantic, as FastAPI passes it on."""
    detail = {"type": "extra_forbidden", "loc": ["body", name], "input": 3}
    return JSONResponse(
        {"detail": [{**detail, "msg": "Extra inputs are not permitted"}]}, status_code=422
    )


REFUSALS = [
    ("stream_options", refusal(400, "Unrecognized request argument supplied: stream_options")),
    ("stream_options", extra("stream_options")),
    ("seed", refusal(400, "property 'seed' is unsupported")),
    ("seed", refusal(422, "seed is not supported by this model", param="seed")),
    ("seed", JSONResponse({"error": "Unknown field: `seed`"}, status_code=400)),
    ("seed", JSONResponse({"error": {"message": "unknown field seed", "code": 400}})),
    ("max_tokens", refusal(400, "Unrecognized request argument supplied: max_tokens")),
    (
        "max_tokens",
        refusal(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
        ),
    ),
    ("logprobs", refusal(400, "logprobs is not supported with this model")),
]


@pytest.mark.parametrize(("parameter", "error"), REFUSALS)
def test_a_refused_parameter_is_left_out_said_once_and_remembered(
    connect_chat: Connect, parameter: str, error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = Refusing(parameter, error)
    model = connect_chat(server, max_retries=0)
    expected = connect_chat(Generic(Engine(seed=3)), max_retries=0)
    calls: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "seed": 3}
    texts = [
        model.complete(messages=MESSAGES, on_text=lambda text: None, **calls).text for _ in range(3)
    ]
    assert texts == [expected.complete(messages=MESSAGES, **calls).text] * 3
    said = [line for line in caplog.messages if f"does not support {parameter}" in line]
    if parameter in ("max_tokens", "logprobs"):
        # Found out while probing.
        assert parameter in model.as_model().info.details["refused_parameters"]
        assert server.bodies[-1].get("max_completion_tokens", 6) == 6
        assert model.as_model().info.details["choice_constraint"] is True
    else:
        assert len(said) == 1
    assert parameter not in server.bodies[-1]
    sent = [parameter in body for body in server.bodies if body.get("stream")]
    assert sum(sent) == (0 if parameter in ("max_tokens", "logprobs") else 1)


def test_a_refused_n_becomes_several_requests(
    connect_chat: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.support.openai.servers.openai_api import CHAT, OpenAIServer

    server = Refusing("n", refusal(400, "n > 1 is not supported"), OpenAIServer(Engine(seed=3)))
    model = connect_chat(server, model=CHAT, server="openai", max_retries=0)
    for _ in range(2):
        completion = model.complete(messages=MESSAGES, n=3, max_tokens=4, temperature=1.0)
        assert len(completion.alternatives) == 2
    assert sum("n" in body for body in server.bodies) == 1
    assert len([line for line in caplog.messages if "does not support n:" in line]) == 1


def test_without_any_limit_of_tokens_the_text_is_cut(connect_chat: Connect) -> None:
    second = Refusing("never", extra("max_completion_tokens"))
    first = Refusing("never", extra("max_tokens"), second)
    model = connect_chat(first, max_retries=0)
    assert model.as_model().info.name
    # As after an upgrade of the server.
    first.parameter, second.parameter = "max_tokens", "max_completion_tokens"
    completion = model.complete(messages=MESSAGES, max_tokens=5, temperature=0)
    assert completion.finish_reason == "length"
    assert len(completion.tokens) in (0, 5)
    last = second.bodies[-1]
    assert last["stream"] is True
    assert not {"max_tokens", "max_completion_tokens"} & last.keys()


@pytest.mark.parametrize("name", ["stop", "temperature", "logit_bias", "presence_penalty", "top_p"])
def test_what_changes_the_answer_is_never_left_out(connect_chat: Connect, name: str) -> None:
    server = Refusing("nothing", refusal(400, f"'{name}' is not supported by this model"))
    model = connect_chat(server, max_retries=0)
    assert model.as_model().info.name
    server.parameter = name
    value = {"stop": ["x"], "logit_bias": {"97": 5}}.get(name, 0.5)
    for _ in range(2):
        with pytest.raises(AutocogError, match=name):
            model.complete(messages=MESSAGES, max_tokens=2, **{name: value})
        assert name in server.bodies[-1]


def test_logit_bias_is_never_left_out_even_if_a_code_names_it(connect_chat: Connect) -> None:
    code = "unsupported_parameter"
    error = refusal(400, "no logit_bias", param="logit_bias", code=code)
    server = Refusing("nothing", error)
    model = connect_chat(server, max_retries=0)
    assert model.as_model().info.name
    server.parameter = "logit_bias"
    with pytest.raises(AutocogError, match="no logit_bias"):
        model.complete(messages=MESSAGES, max_tokens=2, logit_bias={"97": 5})


def test_a_failure_while_probing_is_no_refusal_of_the_temperature(connect_chat: Connect) -> None:
    """The server fails at greedy requests for a while."""
    server = Refusing("temperature", refusal(500, "out of order"))
    model = connect_chat(server, max_retries=0)
    assert "temperature" not in model.as_model().info.details.get("refused_parameters", ())
    server.parameter = "never"
    model.complete(messages=MESSAGES, max_tokens=2, temperature=0.5)
    assert server.bodies[-1]["temperature"] == 0.5


SENT = {"model", "messages", *OMITTABLE, "temperature", "stop"}


@pytest.mark.parametrize(
    ("message", "parameter", "refused"),
    [
        ("Unrecognized request argument supplied: stream_options", None, "stream_options"),
        ("property 'seed' is unsupported", None, "seed"),
        ("This model does not support logprobs.", None, "logprobs"),
        ("`top_logprobs` isn't supported", None, "top_logprobs"),
        ("Additional properties are not allowed ('seed' was unexpected)", None, "seed"),
        ("'n' : number must be at most 1, n > 1 is not supported", None, "n"),
        ("Only n=1 is supported: unsupported value", None, "n"),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'", None, "max_tokens"),
        ("body.max_tokens is not permitted", "max_tokens", "max_tokens"),
        # Values, and other things that are not supported.
        ("max_tokens is too large: 9000. This model supports at most 4096", None, None),
        ("max_tokens: 9000 is not supported", None, None),
        ("This model's maximum context length is 4096; reduce max_tokens", None, None),
        ("seed must be an integer", None, None),
        ("temperature is not supported with this model", None, None),
        ("'temperature' is not supported, and seed is ignored", "temperature", None),
        ("'stop' is unsupported", None, None),
        ("The operation is not supported on a channel", None, None),
        ("unknown model: n-seeded", None, None),
        ("images are not supported", None, None),
        ("", None, None),
    ],
)
def test_the_words_name_the_parameter(
    message: str, parameter: str | None, refused: str | None
) -> None:
    assert refused_parameter(message, parameter, SENT) == refused
    assert refused_parameter(message, parameter, ["model", "messages"]) is None


def test_a_refusal_of_what_was_not_sent_is_the_inputs(connect_chat: Connect) -> None:
    server = Refusing("messages", refusal(400, "n is not supported"))
    model = connect_chat(Generic(Engine(seed=3)), max_retries=0)
    assert model.as_model().info.name
    other = connect_chat(server, api="chat", max_retries=0)
    with pytest.raises(InputError, match="n is not supported"):
        other.complete(messages=MESSAGES, max_tokens=2)
