"""The route on which a model writes."""

from __future__ import annotations

from collections.abc import Callable

from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.responses import ResponsesRoute
from autocog_openai.routes.writer import Route
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect


def select_api(dialect: ServerDialect, capabilities: ServerCapabilities) -> str:
    """Return the routes that write text: "completions", "chat" or "responses"."""
    api = dialect.connection.options.api
    if api != "auto":
        return api
    has_logprobs = capabilities.token_logprobs or capabilities.max_top_logprobs != 0
    if capabilities.chat and (
        dialect.prefers_chat or not (capabilities.completions and has_logprobs)
    ):
        return "chat"
    return "completions" if capabilities.completions else "responses"


def create_route(
    dialect: ServerDialect,
    capabilities: ServerCapabilities,
    *,
    messages: Messages,
    send_prompt: SendPrompt,
    token_bytes: Callable[[int], bytes],
) -> Route:
    """Return the route that writes text.

    :param messages: returns the messages of a prompt.
    :param send_prompt: returns what the completions route receives: ids or text.
    :param token_bytes: returns the bytes of a token.
    """
    match select_api(dialect, capabilities):
        case "chat":
            return dialect.chat_route(capabilities, messages)
        case "responses":
            return ResponsesRoute(capabilities, messages)
        case _:
            return dialect.writing_route(capabilities, send_prompt, token_bytes)
