"""/v1/completions: the server continues a prompt unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_count,
    as_list,
    as_text,
    optional,
    required,
)
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.token_listing import read_completion_tokens
from autocog_openai.routes.writer import answer_choices, event_choices, generation_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "repetition_penalty"),
    *("best_of", "guided_regex", "structured_outputs", "min_tokens", "ignore_eos"),
)


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
            **self._capabilities.constraint_fields(request),
        }
        if self._capabilities.max_top_logprobs:
            body["logprobs"] = 1
        body |= self._parameters
        return {name: value for name, value in body.items() if name not in unsupported}

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        return [
            self._read_choice(choice, required(choice, "text", as_text))
            for choice in answer_choices(answer)
        ]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for choice in event_choices(events):
            yield self._read_choice(choice, optional(choice, "text", as_text) or "")

    def _read_choice(self, choice: Mapping[str, Any], text: str) -> CompletionChunk:
        reason = optional(choice, "stop_reason", as_any)
        return CompletionChunk(
            index=optional(choice, "index", as_count) or 0,
            text=text,
            tokens=self._read_tokens(choice),
            finish_reason=optional(choice, "finish_reason", as_text) or None,
            stop_string=as_text(reason, "stop_reason") if isinstance(reason, str) else None,
            uncertain_end="stop_reason" not in choice,
        )

    def _read_tokens(self, choice: Mapping[str, Any]) -> list[ServerToken]:
        # Tokens that were not requested may be anything: the probe did not test them.
        if not (self._capabilities.max_top_logprobs or "logprobs" in self._parameters):
            return []
        tokens = read_completion_tokens(choice)
        ids = optional(choice, "token_ids", as_list)
        if ids is not None and ids != [token.token for token in tokens]:
            raise FieldError("token_ids and the tokens of logprobs differ")
        return tokens
