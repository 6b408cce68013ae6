"""A model on a server: its capabilities, tokenizer, routes and scorer, created when needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autocog_core import ConfigError, Prompt
from autocog_core.toolkit import lazy
from autocog_openai.connection.client import Connection
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.scorer import Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.decisions.protocol import DecisionProtocol
from autocog_openai.decisions.routes import usable_protocol
from autocog_openai.model.probe import probe_decisions, probe_server
from autocog_openai.model.writing import select_api
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.routes.messages import messages_of
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.servers.registry import DIALECTS
from autocog_openai.tokenizers.behavior import require_same_tokens
from autocog_openai.tokenizers.load import Tokenizer, create_tokenizer


class ServerModel:
    """One model on one server. The server is probed on first use.

    :ivar options: the options of the model.
    :ivar connection: to the server.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        self.connection = Connection(options)

    @lazy
    def capabilities(self) -> ServerCapabilities:
        """What the server supports."""
        return probe_server(self.connection)

    @lazy
    def dialect(self) -> ServerDialect:
        """The kind of server."""
        return DIALECTS[self.capabilities.server](self.connection)

    @lazy
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.

        :raises ConfigError: if there is none, or it is not the one of the server's model.
        """
        tokenizer = create_tokenizer(self.dialect, self.capabilities)
        require_same_tokens(tokenizer, self.dialect, self.capabilities)
        return tokenizer

    @lazy
    def tokenizer_or_none(self) -> Tokenizer | None:
        """As `tokenizer`; None if there is none."""
        try:
            return self.tokenizer
        except ConfigError:
            if self.options.tokenizer is not None:
                raise
            return None

    @lazy
    def api(self) -> str:
        """The routes that write text: "completions", "chat" or "responses"."""
        return select_api(self.dialect, self.capabilities)

    @lazy
    def scorer(self) -> Scorer | None:
        """What requests exact log-probabilities; None if the server does not return them."""
        if self.api != "completions" or not self.capabilities.token_logprobs:
            return None
        return self.dialect.scorer(self.capabilities)

    @lazy
    def chat_route(self) -> ChatRoute:
        """The chat route, which also constrains answers to one of several strings."""
        return self.dialect.chat_route(self.capabilities, self.messages)

    @lazy
    def decision_routes(self) -> Mapping[str, str]:
        """What the server says of each route for decisions. They are probed on first use."""
        return self.capabilities.decision_routes or probe_decisions(self.dialect, self.capabilities)

    @property
    def decision_protocol(self) -> DecisionProtocol | None:
        """How the server is asked for decisions; None if it has no route for them."""
        return usable_protocol(self.decision_routes)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of ids."""
        return self.tokenizer.detokenize(tokens)

    def messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return the messages of a prompt."""
        return messages_of(prompt, self.detokenize)
