"""api.openai.com."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect

#: The server refuses a request with more stop strings.
MAX_STOP_STRINGS = 4


class OpenAIDialect(ServerDialect):
    """OpenAI's own servers."""

    name = "openai"
    owned_by = "openai"
    prefers_chat = True
    decision_paths = ("v1/decisions",)
    probes_decisions = True
    takes_template_arguments = False
    # Reasoning tokens count for the limit, so that an answer could be empty.
    constraint_probe_tokens = None
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": (),
        "chat": ("response_format",),
        "responses": ("text_format",),
    }

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> CompletionsRoute:
        return CompletionsRoute(
            capabilities, send_prompt, supports_n=True, max_stop_strings=MAX_STOP_STRINGS
        )

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        return ChatRoute(
            capabilities,
            messages,
            supports_n=True,
            max_stop_strings=MAX_STOP_STRINGS,
            length_parameter="max_completion_tokens",
        )
