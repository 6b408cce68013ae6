"""/v1/chat/completions: the server answers messages, or continues the assistant's last one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import RefusedError
from autocog_openai.connection.scorer import normalize_logprob
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.writer import answer_choices, event_choices, generation_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "reasoning_effort"),
    *("service_tier", "store", "metadata", "response_format", "verbosity", "chat_template_kwargs"),
)


class ChatRoute:
    """The chat route of one server.

    :param messages: returns the messages of a prompt.
    :param supports_n: as in `Route`.
    :param max_stop_strings: how many stop strings the server accepts; None is unlimited.
    :param length_parameter: the name of the parameter for the maximum number of tokens.
    :param continue_parameters: further parameters if the last message is the assistant's.
    """

    path = "v1/chat/completions"
    supports_stop = True
    parameter_names: Mapping[str, str] = {"max_tokens": "max_tokens", "top_logprobs": "logprobs"}

    def __init__(
        self,
        capabilities: ServerCapabilities,
        messages: Callable[[Prompt], list[dict[str, str]]],
        *,
        supports_n: bool = False,
        max_stop_strings: int | None = None,
        length_parameter: str = "max_tokens",
        continue_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._capabilities = capabilities
        self._messages = messages
        self.supports_n = supports_n
        self._max_stop_strings = max_stop_strings
        self._length_parameter = length_parameter
        self._continue_parameters = continue_parameters or {}

    def messages_body(
        self, messages: Sequence[Mapping[str, str]], **parameters: Any
    ) -> dict[str, Any]:
        """Return the body of a request. The server continues a last message of the assistant."""
        body = {"model": self._capabilities.model, "messages": list(messages), **parameters}
        if messages[-1]["role"] == "assistant":
            body |= self._continue_parameters
        return body

    def length_limit(self, max_tokens: int) -> dict[str, int]:
        """Return the parameter that limits the number of tokens."""
        return {self._length_name(self._capabilities.refused_parameters): max_tokens}

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request: see `Route`."""
        reject_unknown_options(request.extra, EXTRA, self._capabilities.model)
        body = self.messages_body(
            self._messages(request.prompt),
            **{self._length_name(unsupported): request.max_tokens},
            **generation_parameters(request, self._max_stop_strings),
        )
        if self._capabilities.chat_max_top_logprobs:
            body["logprobs"] = True
        return {name: value for name, value in body.items() if name not in unsupported}

    def _length_name(self, unsupported: Collection[str]) -> str:
        # The newer name: reasoning models, also behind gateways, refuse the older one.
        is_refused = self._length_parameter in unsupported
        return "max_completion_tokens" if is_refused else self._length_parameter

    def read_answer(self, answer: Mapping[str, Any]) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        choices = answer_choices(answer, self._capabilities.model)
        return [self._read_choice(choice, choice.get("message")) for choice in choices]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for choice in event_choices(events):
            yield self._read_choice(choice, choice.get("delta"))

    def _read_choice(self, choice: Mapping[str, Any], message: Any) -> CompletionChunk:
        message = message if isinstance(message, Mapping) else {}
        if message.get("refusal"):
            raise RefusedError(
                f"the model refused: {message['refusal']}", where=self._capabilities.model
            )
        reason = choice.get("stop_reason")
        return CompletionChunk(
            index=int(choice.get("index") or 0),
            text=str(message.get("content") or ""),
            tokens=list(read_tokens(choice)),
            finish_reason=choice.get("finish_reason"),
            stop_string=reason if isinstance(reason, str) else None,
            uncertain_end="stop_reason" not in choice,
        )


def check_refusal(choice: Mapping[str, Any], where: str) -> None:
    """Raise if the model or a content filter refused to answer.

    :raises RefusedError: with the model's message.
    """
    refusal = (choice.get("message") or {}).get("refusal")
    if refusal or choice.get("finish_reason") == "content_filter":
        raise RefusedError(f"the model refused: {refusal or 'content filter'}", where=where)


def read_tokens(choice: Mapping[str, Any]) -> Iterator[ServerToken]:
    """Return the tokens of a choice with their log-probabilities."""
    for entry in (choice.get("logprobs") or {}).get("content") or ():
        yield read_token(entry)


def read_token(entry: Mapping[str, Any]) -> ServerToken:
    """Return one token in the format of the chat route."""
    raw = entry.get("bytes")
    if raw is None:
        raw = str(entry.get("token", "")).encode("utf-8")
    logprob = normalize_logprob(float(entry["logprob"]))
    return ServerToken(token=entry.get("id"), raw=bytes(raw), logprob=logprob)
