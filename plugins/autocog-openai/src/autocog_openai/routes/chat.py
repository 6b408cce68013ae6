"""/v1/chat/completions: the server answers messages, or continues the assistant's last one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.answer_fields import (
    as_any,
    as_count,
    as_object,
    as_text,
    optional,
    required,
)
from autocog_openai.connection.errors import RefusedError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk
from autocog_openai.connection.token_text import count_text_tokens
from autocog_openai.routes.messages import template_arguments_of
from autocog_openai.routes.token_listing import read_tokens
from autocog_openai.routes.writer import answer_choices, event_choices, generation_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "reasoning_effort"),
    *("service_tier", "store", "metadata", "response_format", "verbosity", "chat_template_kwargs"),
)
#: Types of the parts of a message that are its text.
TEXT_PARTS = ("text", "output_text")
#: Fields in which servers return the thoughts of a model, beside its text.
THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
#: Why the log-probabilities of a chat route may be of no use for choices.
THINKS = (
    "the model thinks before it answers, and the log-probabilities are those of its thoughts "
    "(start the server without thinking, for example vLLM with --default-chat-template-kwargs "
    "'{\"enable_thinking\": false}' or llama-server with --reasoning-budget 0)"
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
        self,
        messages: Sequence[Mapping[str, str]],
        template_arguments: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Return the body of a request. The server continues a last message of the assistant.

        :param template_arguments: variables of the server's chat template.
        """
        body = {"model": self._capabilities.model, "messages": list(messages), **parameters}
        if template_arguments:
            given = parameters.get("chat_template_kwargs") or {}
            body["chat_template_kwargs"] = {**template_arguments, **given}
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
            template_arguments_of(request.prompt),
            **{self._length_name(unsupported): request.max_tokens},
            **generation_parameters(request, self._max_stop_strings),
            **self._capabilities.constraint_fields(request),
        )
        if self._capabilities.chat_max_top_logprobs:
            body["logprobs"] = True
        return {name: value for name, value in body.items() if name not in unsupported}

    def _length_name(self, unsupported: Collection[str]) -> str:
        # The newer name: reasoning models, also behind gateways, refuse the older one.
        is_refused = self._length_parameter in unsupported
        return "max_completion_tokens" if is_refused else self._length_parameter

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        return [
            self._read_choice(choice, required(choice, "message", as_object))
            for choice in answer_choices(answer)
        ]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        for choice in event_choices(events):
            yield self._read_choice(choice, optional(choice, "delta", as_object) or {})

    def _read_choice(self, choice: Any, message: Mapping[str, Any]) -> CompletionChunk:
        check_refusal(message, self._capabilities.model)
        text = read_content(message)
        # Tokens that were not requested may be anything: the probe did not test them.
        tokens = list(read_tokens(choice)) if self._capabilities.chat_max_top_logprobs else []
        if has_thoughts(message):
            count = count_text_tokens([token.raw for token in tokens], text)
            tokens = tokens[len(tokens) - count :]
        reason = optional(choice, "stop_reason", as_any)
        return CompletionChunk(
            index=optional(choice, "index", as_count) or 0,
            text=text,
            tokens=tokens,
            finish_reason=optional(choice, "finish_reason", as_text) or None,
            stop_string=as_text(reason, "stop_reason") if isinstance(reason, str) else None,
            uncertain_end="stop_reason" not in choice,
        )


def check_refusal(message: Mapping[str, Any], where: str) -> None:
    """Raise if the model refused to answer.

    :raises RefusedError: with the model's message.
    """
    refusal = optional(message, "refusal", as_text)
    if refusal:
        raise RefusedError(f"the model refused: {refusal}", where=where)


def read_content(message: Mapping[str, Any]) -> str:
    """Return the text of a message. It may come in parts, of which some are thoughts.

    :raises FieldError: if it is malformed.
    """
    content = optional(message, "content", as_any)
    if not isinstance(content, list):
        return as_text(content, "content") if content is not None else ""
    texts = [
        optional(part, "text", as_text) or ""
        for part in content
        if optional(part, "type", as_text) in TEXT_PARTS
    ]
    return "".join(texts)


def has_thoughts(message: Mapping[str, Any]) -> bool:
    """Whether a message contains thoughts of the model, beside its text or in parts of it."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return any(message.get(name) for name in THOUGHTS) or any(
        isinstance(part, Mapping) and part.get("type") not in TEXT_PARTS for part in parts
    )


def vllm_chat_route(
    capabilities: ServerCapabilities, messages: Callable[[Prompt], list[dict[str, str]]]
) -> ChatRoute:
    """Return the chat route of servers that take vLLM's parameters: `n`, and a message to continue.

    :param messages: returns the messages of a prompt.
    """
    parameters = {"continue_final_message": True, "add_generation_prompt": False}
    return ChatRoute(capabilities, messages, supports_n=True, continue_parameters=parameters)
