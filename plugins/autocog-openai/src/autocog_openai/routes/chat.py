"""/v1/chat/completions: messages are answered, or the assistant's last one is continued."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError, RefusedError
from autocog_openai.connection.scorer import clean
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.streamed_completion import Part, Told
from autocog_openai.routes.writer import sampling

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "reasoning_effort"),
    *("service_tier", "store", "metadata", "response_format", "verbosity", "chat_template_kwargs"),
)


class ChatRoute:
    """The chat route of one server.

    :param messages: what is sent for a prompt.
    """

    path = "v1/chat/completions"
    stops = True
    several = True
    names: Mapping[str, str] = {"max_tokens": "max_tokens", "top_logprobs": "logprobs"}

    def __init__(self, facts: Facts, messages: Callable[[Prompt], list[dict[str, str]]]) -> None:
        self._facts = facts
        self._messages = messages
        self.several = facts.server in ("openai", "vllm", "sglang")

    def asked(self, messages: Sequence[Mapping[str, str]], **more: Any) -> dict[str, Any]:
        """A request about messages, of which a last one of the assistant's is continued."""
        body: dict[str, Any] = {"model": self._facts.model, "messages": list(messages), **more}
        if messages[-1]["role"] == "assistant" and self._facts.server in ("vllm", "sglang"):
            body["continue_final_message"] = True
            body["add_generation_prompt"] = False
        return body

    def limit(self, count: int) -> dict[str, int]:
        """How many tokens may be written, as this server calls it."""
        name = "max_completion_tokens" if self._facts.server == "openai" else "max_tokens"
        return {name: count}

    def body(self, request: CompletionRequest, left_out: frozenset[str]) -> dict[str, Any]:
        """The request: see `writing.Route`."""
        reject_unknown_options(request.extra, EXTRA, self._facts.model)
        messages = self._messages(request.prompt)
        chosen = sampling(request, self._facts.server)
        body = self.asked(messages, **self.limit(request.max_tokens), **chosen)
        if self._facts.chat_listed:
            body["logprobs"] = True
        return {name: value for name, value in body.items() if name not in left_out}

    def parts(self, answer: Mapping[str, Any]) -> Iterable[Part]:
        """What a whole answer holds."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise MalformedAnswerError(
                "the answer holds no choices", where=self._facts.model, retryable=True
            )
        return [self._part(choice, choice.get("message")) for choice in choices]

    def events(self, events: Iterator[Any]) -> Iterator[Part]:
        """What a stream holds, as it comes."""
        for event in events:
            for choice in (event.get("choices") if isinstance(event, Mapping) else None) or ():
                yield self._part(choice, choice.get("delta"))

    def _part(self, choice: Mapping[str, Any], said: Any) -> Part:
        said = said if isinstance(said, Mapping) else {}
        if said.get("refusal"):
            raise RefusedError(f"the model refused: {said['refusal']}", where=self._facts.model)
        reason = choice.get("stop_reason")
        return Part(
            int(choice.get("index") or 0),
            str(said.get("content") or ""),
            list(told_of(choice)),
            choice.get("finish_reason"),
            reason if isinstance(reason, str) else None,
            "stop_reason" not in choice,
        )


def check_refused(choice: Mapping[str, Any], where: str) -> None:
    """Raise where the model, or a filter, refused to answer.

    :raises RefusedError: with what it said.
    """
    refusal = (choice.get("message") or {}).get("refusal")
    if refusal or choice.get("finish_reason") == "content_filter":
        raise RefusedError(f"the model refused: {refusal or 'content filter'}", where=where)


def told_of(choice: Mapping[str, Any]) -> Iterator[Told]:
    """The tokens of a choice, with their log-probabilities."""
    for entry in (choice.get("logprobs") or {}).get("content") or ():
        yield told(entry)


def told(entry: Mapping[str, Any]) -> Told:
    """One token as the chat route writes it."""
    raw = entry.get("bytes")
    if raw is None:
        raw = str(entry.get("token", "")).encode("utf-8")
    return Told(entry.get("id"), bytes(raw), clean(float(entry["logprob"])))
