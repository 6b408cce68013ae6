"""What the public calls need from a model: its client, its defaults, and how prompts are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.model.call_warnings import (
    warn_about_messages,
)
from autocog_core.types.prompt import Message, Prompt, PromptLike, check_messages


@dataclass(frozen=True, kw_only=True)
class CallContext:
    """What the public calls need from a model.

    :ivar client: the typed hook calls.
    :ivar completion: default arguments of `complete`.
    :ivar core_chooses: returns whether only core implements `choose`, so that it can batch the
        requests. A function, because not all calls need it.
    """

    client: BackendClient
    completion: Mapping[str, Any]
    core_chooses: Callable[[], bool]

    def prompt(
        self,
        prompt: PromptLike | None,
        messages: Sequence[Message] | None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Return the prompt, or the chat template around `messages`.

        :raises InputError: unless exactly one of them is given, or if `template_arguments` come
            without messages.
        """
        if (prompt is None) == (messages is None):
            raise InputError("give either a prompt or messages", where="prompt")
        if messages is not None:
            return self.chat_prompt(messages, template_arguments=template_arguments)
        require_messages(template_arguments)
        assert prompt is not None
        return Prompt.of(prompt)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Return the chat template around `messages`; see `Model.chat_prompt`."""
        check_messages(messages)
        warn_about_messages(messages)
        return self.client.chat_prompt(messages, add_generation_prompt, template_arguments)


def require_messages(template_arguments: Mapping[str, Any] | None) -> None:
    """Reject template arguments for a call without messages."""
    if template_arguments is not None:
        raise InputError(
            "are for messages, and a prompt is given", where="template_arguments", hint="leave out"
        )
