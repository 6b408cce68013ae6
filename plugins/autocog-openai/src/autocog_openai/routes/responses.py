"""/v1/responses: OpenAI's newer route, for models that the chat route does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.answer_fields import (
    as_list,
    as_object,
    as_text,
    optional,
    required,
)
from autocog_openai.connection.errors import RefusedError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk
from autocog_openai.routes.token_listing import read_token
from autocog_openai.routes.writer import sampling_parameters

#: The server refuses a smaller `max_output_tokens`.
MIN_OUTPUT_TOKENS = 16
EXTRA = ("reasoning", "service_tier", "store", "metadata", "user", "text", "truncation")


class ResponsesRoute:
    """The responses route of one server. It has no stop strings, seeds or alternatives.

    :param messages: returns the messages of a prompt.
    """

    path = "v1/responses"
    supports_stop = False
    supports_n = False
    parameter_names: Mapping[str, str] = {"include": "logprobs", "top_logprobs": "logprobs"}

    def __init__(
        self,
        capabilities: ServerCapabilities,
        messages: Callable[[Prompt], list[dict[str, str]]],
    ) -> None:
        self._capabilities = capabilities
        self._messages = messages

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request: see `Route`."""
        reject_unknown_options(request.extra, EXTRA, self._capabilities.model)
        body: dict[str, Any] = {
            "model": self._capabilities.model,
            "input": self._messages(request.prompt),
            "max_output_tokens": max(MIN_OUTPUT_TOKENS, request.max_tokens),
            "store": False,
            # The server refuses some of these. The writer then omits them.
            **sampling_parameters(request),
            **self._capabilities.constraint_fields(request),
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if self._capabilities.chat_max_top_logprobs and "logprobs" not in unsupported:
            body["include"] = ["message.output_text.logprobs"]
        return {name: value for name, value in body.items() if name not in unsupported}

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        chunks = []
        for item in required(answer, "output", as_list):
            # Thoughts are items of another type.
            if optional(item, "type", as_text) not in (None, "message"):
                continue
            for content in optional(item, "content", as_list) or ():
                if required(content, "type", as_text) == "refusal":
                    raise self._refused(content)
                if content["type"] == "output_text":
                    chunks.append(self._read_text(content, "text"))
        return [*chunks, _read_end(answer)]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for event in events:
            match optional(event, "type", as_text):
                case "response.output_text.delta":
                    yield self._read_text(event, "delta")
                case "response.refusal.done":
                    raise self._refused(event)
                case "response.completed" | "response.incomplete":
                    yield _read_end(required(event, "response", as_object))
                case "response.failed" | "error":
                    yield CompletionChunk(finish_reason="failed")

    def _read_text(self, content: Any, name: str) -> CompletionChunk:
        entries = optional(content, "logprobs", as_list) or ()
        # Tokens that were not requested may be anything: the probe did not test them.
        is_tested = bool(self._capabilities.chat_max_top_logprobs)
        return CompletionChunk(
            text=required(content, name, as_text),
            tokens=[read_token(entry) for entry in entries] if is_tested else (),
        )

    def _refused(self, content: Any) -> RefusedError:
        message = f"the model refused: {optional(content, 'refusal', as_text) or ''}"
        return RefusedError(message, where=self._capabilities.model)


def _read_end(answer: Any) -> CompletionChunk:
    status = optional(answer, "status", as_text) or ""
    details = optional(answer, "incomplete_details", as_object)
    reason = None if details is None else optional(details, "reason", as_text)
    # "completed" and "failed" are reasons by themselves.
    return CompletionChunk(finish_reason=reason or status)
