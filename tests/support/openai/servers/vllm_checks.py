"""What vLLM refuses, as it words it (in short), and requests as sampling parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Sampling
from tests.support.openai.servers.replies import Refusal, stops

MAX_LOGPROB_TOKEN_IDS = 128
_GRAMMARS: Mapping[str, Callable[[Any], str]] = {
    "choice": constraints.any_of,
    "regex": constraints.of_regex,
    "json": constraints.of_schema,
    "grammar": constraints.of_grammar,
}
KINDS = {400: "BadRequestError", 404: "NotFoundError"}


def error(message: str, *, param: str | None = None, status: int = 400) -> Refusal:
    """A refusal in vLLM's shape: its code is the HTTP status."""
    body = {"message": message, "type": KINDS[status], "param": param, "code": status}
    return Refusal(status, {"error": body})


def check_completion(body: Mapping[str, Any], engine: Engine, limit: int) -> None:
    """Refuse what the completions route refuses.

    :raises Refusal: naming the parameter.
    """
    _check_stream(body)
    if body.get("prompt") in (None, "", []):
        message = "Either prompt or prompt_embeds must be provided and non-empty."
        raise error(message, param="prompt")
    named = body.get("logprob_token_ids")
    if named is not None:
        if body.get("logprobs") is None:
            message = "when using `logprob_token_ids`, `logprobs` must be set."
            raise error(message, param="logprob_token_ids")
        if body.get("echo") and body.get("max_tokens") == 0:
            message = "`logprob_token_ids` needs output tokens."
            raise error(message, param="logprob_token_ids")
    _check_named(named, engine)
    if body.get("stream") and (body.get("prompt_logprobs") or 0) != 0:
        message = "`prompt_logprobs` are not available when `stream=True`."
        raise error(message, param="prompt_logprobs")
    _check_count(body, "prompt_logprobs", "prompt", engine, limit)
    # Named tokens take the place of the likeliest, whose number then does not matter.
    if not named:
        _check_count(body, "logprobs", "sample", engine, limit)
    if body.get("max_tokens") == 0 and not body.get("echo"):
        raise error("max_tokens must be at least 1, got 0.", param="max_tokens")
    _check_sampling(body, engine)


def check_chat(body: Mapping[str, Any], engine: Engine, limit: int) -> None:
    """Refuse what the chat route refuses.

    :raises Refusal: naming the parameter.
    """
    _check_stream(body)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise error("Field required", param="messages")
    for name in ("top_logprobs", "logprob_token_ids"):
        if body.get(name) and not body.get("logprobs"):
            raise error(f"when using `{name}`, `logprobs` must be set to true.", param=name)
    named = body.get("logprob_token_ids")
    _check_named(named, engine)
    if not named:
        _check_count(body, "top_logprobs", "sample", engine, limit)
    _check_sampling(body, engine)


def sampling_of(body: Mapping[str, Any], engine: Engine, max_tokens: int) -> Sampling:
    """A request's sampling parameters."""
    allowed = body.get("allowed_token_ids")
    bias = {int(token): each for token, each in (body.get("logit_bias") or {}).items()}
    return Sampling(
        max_tokens=max_tokens,
        temperature=_value_or(body, "temperature", 1.0),
        top_p=_value_or(body, "top_p", 1.0),
        top_k=max(0, _value_or(body, "top_k", 0)),
        min_p=_value_or(body, "min_p", 0.0),
        stop=stops(body),
        n=_value_or(body, "n", 1),
        seed=body.get("seed"),
        logit_bias={token: max(-100.0, min(100.0, each)) for token, each in bias.items()},
        allowed=None if allowed is None else frozenset(allowed),
        grammar=_grammar(body),
        ignore_eos=bool(body.get("ignore_eos")),
    )


def _check_stream(body: Mapping[str, Any]) -> None:
    if body.get("stream_options") and not body.get("stream"):
        message = "Stream options can only be defined when `stream=True`."
        raise error(message, param="stream_options")


def _check_named(named: list[int] | None, engine: Engine) -> None:
    if named is None:
        return
    if not named:
        raise error("`logprob_token_ids` must not be an empty list.", param="logprob_token_ids")
    if len(named) > MAX_LOGPROB_TOKEN_IDS:
        raise error(
            f"Requested logprob_token_ids of length {len(named)}, which is greater than max "
            f"allowed: {MAX_LOGPROB_TOKEN_IDS}",
            param="logprob_token_ids",
        )
    _check_ids(named, "logprob_token_ids", engine)


def _check_count(body: Mapping[str, Any], name: str, kind: str, engine: Engine, limit: int) -> None:
    count = body.get(name)
    if count is None:
        return
    if count < -1:
        raise error(f"`{name}` must be a positive value or -1.", param=name)
    count = engine.size if count == -1 else count
    limit = engine.size if limit == -1 else limit
    if count > limit:
        param = "prompt_logprobs" if kind == "prompt" else "logprobs"
        raise error(
            f"Requested {kind} logprobs of {count}, which is greater than max allowed: {limit} "
            f"(parameter={param}, value={count})",
            param=param,
        )


def _check_sampling(body: Mapping[str, Any], engine: Engine) -> None:
    temperature = _value_or(body, "temperature", 1.0)
    if temperature < 0:
        raise error(f"temperature must be non-negative, got {temperature}.", param="temperature")
    if temperature == 0 and _value_or(body, "n", 1) > 1:
        raise error(f"n must be 1 when using greedy sampling, got {body['n']}.", param="n")
    _check_ids([int(token) for token in body.get("logit_bias") or {}], "logit_bias", engine)
    allowed = body.get("allowed_token_ids")
    if allowed is not None:
        if not allowed:
            raise error("allowed_token_ids is not None and empty!", param="allowed_token_ids")
        _check_ids(allowed, "allowed_token_ids", engine)
    if len(_structured(body)) > 1:
        message = "You can only use one kind of constraints for structured outputs"
        raise error(message, param="structured_outputs")
    if message := constraints.problem(_grammar(body)):
        raise error(f"Invalid grammar: {message}")


def _structured(body: Mapping[str, Any]) -> dict[str, Any]:
    """What constrains the text, by its kind. Older releases have a field for each."""
    given = body.get("structured_outputs") or {}
    older = {kind: body.get(f"guided_{kind}") for kind in _GRAMMARS}
    return {kind: value for kind, value in {**older, **given}.items() if value is not None}


def _grammar(body: Mapping[str, Any]) -> str | None:
    for kind, value in _structured(body).items():
        return _GRAMMARS[kind](value)
    return constraints.of_response_format(body)


def _check_ids(tokens: list[int], name: str, engine: Engine) -> None:
    outside = [token for token in tokens if not 0 <= token < engine.size]
    if outside:
        raise error(
            f"token_id(s) {outside} in {name} contain out-of-vocab token ids. "
            f"Vocabulary size: {engine.size}",
            param=name,
        )


def _value_or(body: Mapping[str, Any], name: str, default: Any) -> Any:
    return default if body.get(name) is None else body[name]
