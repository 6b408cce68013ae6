"""/v1/responses: OpenAI's newer route, for models that the chat route does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError, RefusedError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.chat import read_token
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
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if self._capabilities.chat_max_top_logprobs and "logprobs" not in unsupported:
            body["include"] = ["message.output_text.logprobs"]
        return {name: value for name, value in body.items() if name not in unsupported}

    def read_answer(self, answer: Mapping[str, Any]) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        if not isinstance(answer.get("output"), list):
            raise MalformedAnswerError(
                "the answer has no output", where=self._capabilities.model, retryable=True
            )
        chunks = []
        for item in answer["output"]:
            for content in item.get("content") or ():
                if content.get("type") == "refusal":
                    raise self._refused(content)
                if content.get("type") == "output_text":
                    text, tokens = str(content["text"]), _read_tokens(content.get("logprobs"))
                    chunks.append(CompletionChunk(text=text, tokens=tokens))
        return [*chunks, _read_end(answer)]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for event in events:
            match event.get("type") if isinstance(event, Mapping) else None:
                case "response.output_text.delta":
                    text, tokens = str(event["delta"]), _read_tokens(event.get("logprobs"))
                    yield CompletionChunk(text=text, tokens=tokens)
                case "response.refusal.done":
                    raise self._refused(event)
                case "response.completed" | "response.incomplete":
                    yield _read_end(event["response"])
                case "response.failed" | "error":
                    yield CompletionChunk(finish_reason="error")

    def _refused(self, content: Mapping[str, Any]) -> RefusedError:
        message = f"the model refused: {content.get('refusal')}"
        return RefusedError(message, where=self._capabilities.model)


def _read_end(answer: Mapping[str, Any]) -> CompletionChunk:
    if answer.get("status") in ("failed", "cancelled"):
        return CompletionChunk(finish_reason="error")
    reason = (answer.get("incomplete_details") or {}).get("reason")
    return CompletionChunk(finish_reason=str(reason) if reason else "stop")


def _read_tokens(entries: Any) -> list[ServerToken]:
    return [read_token(entry) for entry in entries or ()]
