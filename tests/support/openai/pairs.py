"""Servers that return the log-probabilities of named tokens, each with the model behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocog_core import Model
from autocog_openai import OpenAI
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

SERVERS = {"vllm": VLLM, "sglang": SGLang}
ROUTES = {"vllm": "/v1/completions", "sglang": "/generate"}


@dataclass
class Pair:
    """A model of the plugin, and the server's own model."""

    kind: str
    server: Any
    model: OpenAI

    @property
    def truth(self) -> Model:
        found: Model = self.server.engine.model
        return found

    def scored(self) -> list[Any]:
        """Return the bodies of requests for log-probabilities."""
        return list(self.server.log.bodies(ROUTES[self.kind]))
