"""A model on a server: its capabilities, tokenizer, routes and scorer, looked up when needed."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core import (
    ConfigError,
    Prompt,
)
from autocog_core.toolkit import lazy
from autocog_openai.connection.client import Connection
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.scorer import Scorer
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.servers.llama_server import LlamaServer
from autocog_openai.servers.messages import messages_of
from autocog_openai.servers.probe import facts_of
from autocog_openai.servers.sglang import SglangScorer
from autocog_openai.servers.vllm import VllmScorer
from autocog_openai.tokenizers.load import Tokenizer, tokenizer_for


class ServerModel:
    """One model on one server, which is probed when it is first needed."""

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        self.connection = Connection(options)

    @lazy
    def facts(self) -> Facts:
        """What the server offers."""
        return facts_of(self.connection)

    @lazy
    def tokenizer(self) -> Tokenizer:
        """What turns text into ids.

        :raises ConfigError: where nothing does.
        """
        return tokenizer_for(self.connection, self.facts)

    @lazy
    def api(self) -> str:
        """The routes that write: "completions", "chat" or "responses"."""
        if self.options.api != "auto":
            return self.options.api
        facts = self.facts
        as_it_is = facts.completions and (facts.named or facts.listed != 0)
        if facts.chat and (facts.server == "openai" or not as_it_is):
            return "chat"
        return "completions" if facts.completions else "responses"

    @lazy
    def scorer(self) -> Scorer | None:
        """Exact log-probabilities, where the server tells them."""
        if self.api != "completions" or not self.facts.named:
            return None
        match self.facts.server:
            case "llama-server":
                return LlamaServer(self.connection, self.facts)
            case "vllm":
                return VllmScorer(self.connection, self.facts)
            case "sglang":
                return SglangScorer(self.connection, self.facts)
        return None

    @lazy
    def known_tokenizer(self) -> Tokenizer | None:
        """As `tokenizer`; None where nothing turns text into ids."""
        try:
            return self.tokenizer
        except ConfigError:
            if self.options.tokenizer is not None:
                raise
            return None

    @lazy
    def chat_route(self) -> ChatRoute:
        """The chat route, by which choices are picked too."""
        return ChatRoute(self.facts, self.messages)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of ids."""
        return self.tokenizer.detokenize(tokens)

    def messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """The messages that a prompt stands for."""
        return messages_of(prompt, self.detokenize)
