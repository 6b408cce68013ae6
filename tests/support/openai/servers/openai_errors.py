"""What api.openai.com refuses, in its error shape, and the limits of its requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.replies import Refusal

TOP_LOGPROBS = 20
BIASES = 300
STOPS = 4

#: What reasoning models do not take at all.
REFUSED_BY_REASONING = (
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "stop",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
)


def error(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> Refusal:
    """A refusal."""
    body = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refusal(status, {"error": body})


def bad_key(key: str) -> Refusal:
    """No key, or a wrong one; part of which is shown."""
    if not key:
        return error("You didn't provide an API key.", status=401)
    shown = key[:8] + "*" * max(0, len(key) - 12) + key[-4:]
    message = f"Incorrect API key provided: {shown}."
    return error(message, code="invalid_api_key", status=401)


def no_model(name: str) -> Refusal:
    """There is no such model."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return error(message, code="model_not_found", status=404)


def wrong_route(name: str, path: str) -> Refusal:
    """The model is of another kind."""
    message = f"{name} is not supported in the {path.removeprefix('/')} endpoint."
    return error(message, param="model", status=404)


def check_known(body: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse fields that the route does not have."""
    for name in body:
        if name not in known:
            raise error(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def check_range(body: Mapping[str, Any], name: str, minimum: int, limit: int | None = None) -> None:
    """Refuse a number out of range."""
    value = body.get(name)
    if value is None:
        return
    if value < minimum:
        side, sign, bound = "integer_below_min_value", ">=", minimum
    elif limit is not None and value > limit:
        side, sign, bound = "integer_above_max_value", "<=", limit
    else:
        return
    words = "below minimum" if side == "integer_below_min_value" else "above maximum"
    raise error(
        f"Invalid '{name}': integer {words} value. Expected a value {sign} {bound}, but got "
        f"{value} instead.",
        param=name,
        code=side,
    )


def check_stops(body: Mapping[str, Any]) -> None:
    """Refuse more stop strings than there may be."""
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > STOPS:
        raise error(
            f"Invalid 'stop': array too long. Expected an array with maximum length {STOPS}, but "
            f"got an array with length {len(stop)} instead.",
            param="stop",
            code="array_above_max_length",
        )


def check_biases(body: Mapping[str, Any], engine: Engine) -> None:
    """Refuse biases that are too many, too large, or of no token."""
    biases = body.get("logit_bias") or {}
    if len(biases) > BIASES:
        message = f"Invalid 'logit_bias': too many entries ({len(biases)}, at limit {BIASES})."
        raise error(message, param="logit_bias", code="object_above_max_properties")
    for token, bias in biases.items():
        if not token.isdigit() or int(token) >= engine.size:
            message = f"Invalid key in 'logit_bias': {token}. Maximum value is {engine.size - 1}."
            raise error(message, param="logit_bias")
        if not -100 <= bias <= 100:
            message = f"Invalid value for 'logit_bias.{token}': {bias}. Expected -100 to 100."
            raise error(message, param="logit_bias")


def check_reasoning(body: Mapping[str, Any]) -> None:
    """Refuse what reasoning models do not take."""
    if body.get("max_tokens") is not None:
        raise error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature") not in (None, 1):
        raise error(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this "
            "model. Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    for name in REFUSED_BY_REASONING:
        # What is as good as left out is no harm.
        if body.get(name) not in (None, False, {}, []):
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            raise error(message, param=name, code="unsupported_parameter")


def check_schema(schema: Any, name: str, path: Sequence[str] = ()) -> None:
    """Refuse a strict schema that leaves anything open."""
    if not isinstance(schema, dict) or (not path and schema.get("type") != "object"):
        kind = schema.get("type") if isinstance(schema, dict) else type(schema).__name__
        problem = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    elif schema.get("type") != "object":
        return
    elif schema.get("additionalProperties") is not False:
        problem = "'additionalProperties' is required to be supplied and to be false."
    elif set(schema.get("required", ())) != set(schema.get("properties", {})):
        problem = "'required' is required to be supplied and to include every key in properties."
    else:
        for key, member in schema.get("properties", {}).items():
            check_schema(member, name, (*path, key))
        return
    message = f"Invalid schema for response_format '{name}': In context={tuple(path)}, {problem}"
    raise error(message, param="response_format", code="invalid_json_schema")


def check_length(engine: Engine, tokens: Sequence[int], beyond: int, param: str) -> None:
    """Refuse what does not fit the context."""
    limit = engine.context_length
    if len(tokens) + beyond > limit:
        raise error(
            f"This model's maximum context length is {limit} tokens. However, you requested "
            f"{len(tokens) + beyond} tokens ({len(tokens)} in the {param}, {beyond} in the "
            "completion). Please reduce the length of either one.",
            param=param,
            code="context_length_exceeded",
        )
