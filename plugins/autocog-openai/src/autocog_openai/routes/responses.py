"""/v1/responses: OpenAI's newer route, for models that are not on the chat route."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError, RefusedError
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.streamed_completion import Part, Told
from autocog_openai.routes.chat import told
from autocog_openai.routes.writer import drawing

#: It refuses to write less.
FEWEST = 16
EXTRA = ("reasoning", "service_tier", "store", "metadata", "user", "text", "truncation")


class ResponsesRoute:
    """The responses route of one server, which knows no stop strings, seeds or alternatives.

    :param messages: what is sent for a prompt.
    """

    path = "v1/responses"
    stops = False
    several = False
    names: Mapping[str, str] = {"include": "logprobs", "top_logprobs": "logprobs"}

    def __init__(self, facts: Facts, messages: Callable[[Prompt], list[dict[str, str]]]) -> None:
        self._facts = facts
        self._messages = messages

    def body(self, request: CompletionRequest, left_out: frozenset[str]) -> dict[str, Any]:
        """The request: see `writing.Route`."""
        reject_unknown_options(request.extra, EXTRA, self._facts.model)
        body: dict[str, Any] = {
            "model": self._facts.model,
            "input": self._messages(request.prompt),
            "max_output_tokens": max(FEWEST, request.max_tokens),
            "store": False,
            # Of some of these it says that it does not know them; then they are left out.
            **drawing(request),
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if self._facts.chat_listed and "logprobs" not in left_out:
            body["include"] = ["message.output_text.logprobs"]
        return {name: value for name, value in body.items() if name not in left_out}

    def parts(self, answer: Mapping[str, Any]) -> Iterable[Part]:
        """What a whole answer holds."""
        if not isinstance(answer.get("output"), list):
            raise MalformedAnswerError(
                "the answer holds no output", where=self._facts.model, retryable=True
            )
        found = []
        for item in answer["output"]:
            for content in item.get("content") or ():
                if content.get("type") == "refusal":
                    raise RefusedError(
                        f"the model refused: {content.get('refusal')}", where=self._facts.model
                    )
                if content.get("type") == "output_text":
                    found.append(Part(0, str(content["text"]), _told(content.get("logprobs"))))
        return [*found, self._end(answer)]

    def events(self, events: Iterator[Any]) -> Iterator[Part]:
        """What a stream holds, as it comes."""
        for event in events:
            match event.get("type") if isinstance(event, Mapping) else None:
                case "response.output_text.delta":
                    yield Part(0, str(event["delta"]), _told(event.get("logprobs")))
                case "response.refusal.done":
                    raise RefusedError(
                        f"the model refused: {event.get('refusal')}", where=self._facts.model
                    )
                case "response.completed" | "response.incomplete":
                    yield self._end(event["response"])
                case "response.failed" | "error":
                    yield Part(finish="error")

    def _end(self, answer: Mapping[str, Any]) -> Part:
        if answer.get("status") in ("failed", "cancelled"):
            return Part(finish="error")
        reason = (answer.get("incomplete_details") or {}).get("reason")
        return Part(finish=str(reason) if reason else "stop")


def _told(entries: Any) -> list[Told]:
    return [told(entry) for entry in entries or ()]
