"""/v1/completions: the server continues a prompt unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.scorer import normalize_logprob, parse_token_id
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.writer import answer_choices, event_choices, generation_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "repetition_penalty"),
    *("best_of", "guided_regex", "structured_outputs", "min_tokens", "ignore_eos"),
)
#: With `return_tokens_as_token_ids`, vLLM writes a token as this and its id.
ID_PREFIX = "token_id:"


def top_logprobs_of(answer: Any) -> dict[bytes, float]:
    """Return the most likely tokens at an answer's first position, by their bytes.

    Empty if the answer lists none.
    """
    try:
        logprobs = answer["choices"][0]["logprobs"]
        if isinstance(logprobs.get("content"), list):
            entries = logprobs["content"][0]["top_logprobs"]
            return {_token_bytes(entry): normalize_logprob(entry["logprob"]) for entry in entries}
        listing = logprobs["top_logprobs"][0]
        return {name.encode("utf-8"): normalize_logprob(value) for name, value in listing.items()}
    except (KeyError, IndexError, TypeError, AttributeError):
        return {}


class CompletionsRoute:
    """The completions route of one server.

    :param send_prompt: returns a prompt's token ids or its text.
    :param supports_n: as in `Route`.
    :param max_stop_strings: how many stop strings the server accepts; None is unlimited.
    :param parameters: further parameters of every request.
    """

    path = "v1/completions"
    supports_stop = True
    parameter_names: Mapping[str, str] = {}

    def __init__(
        self,
        capabilities: ServerCapabilities,
        send_prompt: Callable[[Prompt], list[int] | str],
        *,
        supports_n: bool = False,
        max_stop_strings: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._capabilities = capabilities
        self._send_prompt = send_prompt
        self.supports_n = supports_n
        self._max_stop_strings = max_stop_strings
        self._parameters = parameters or {}

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request: see `Route`."""
        reject_unknown_options(request.extra, EXTRA, self._capabilities.model)
        body: dict[str, Any] = {
            "model": self._capabilities.model,
            "prompt": self._send_prompt(request.prompt),
            "max_tokens": request.max_tokens,
            **generation_parameters(request, self._max_stop_strings),
        }
        if self._capabilities.max_top_logprobs:
            body["logprobs"] = 1
        body |= self._parameters
        return {name: value for name, value in body.items() if name not in unsupported}

    def read_answer(self, answer: Mapping[str, Any]) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        choices = answer_choices(answer, self._capabilities.model)
        return [_read_choice(choice) for choice in choices]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for choice in event_choices(events):
            yield _read_choice(choice)


def _read_choice(choice: Mapping[str, Any]) -> CompletionChunk:
    reason = choice.get("stop_reason")
    return CompletionChunk(
        index=int(choice.get("index") or 0),
        text=str(choice.get("text") or ""),
        tokens=list(_read_tokens(choice)),
        finish_reason=choice.get("finish_reason"),
        stop_string=reason if isinstance(reason, str) else None,
        uncertain_end="stop_reason" not in choice,
    )


def _read_tokens(choice: Mapping[str, Any]) -> Iterator[ServerToken]:
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, Mapping):
        return
    if isinstance(logprobs.get("content"), list):
        # llama-server uses the format of the chat route here too.
        for entry in logprobs["content"]:
            logprob = normalize_logprob(entry["logprob"])
            yield ServerToken(token=entry.get("id"), raw=_token_bytes(entry), logprob=logprob)
        return
    names = logprobs.get("tokens") or ()
    values = logprobs.get("token_logprobs") or ()
    for name, value in zip(names, values, strict=False):
        token = None
        if isinstance(name, str) and name.startswith(ID_PREFIX):
            token, name = parse_token_id(name.removeprefix(ID_PREFIX)), ""
        yield ServerToken(
            token=token,
            raw=str(name).encode("utf-8"),
            logprob=normalize_logprob(value if value is not None else 0.0),
        )


def _token_bytes(entry: Mapping[str, Any]) -> bytes:
    return bytes(entry.get("bytes") or entry["token"].encode("utf-8"))
