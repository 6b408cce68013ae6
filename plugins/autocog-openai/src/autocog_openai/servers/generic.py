"""Any other server with OpenAI's routes, for example Ollama and llama_cpp.server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_openai.connection.answer_fields import as_text, read_ids, required
from autocog_openai.connection.attempt import attempt
from autocog_openai.servers.dialect import ServerDialect


class GenericDialect(ServerDialect):
    """A server that only has OpenAI's routes. llama_cpp.server also has a tokenizer route."""

    name = "generic"

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        answer = attempt(lambda: self.connection.post("/extras/tokenize", {"input": "a"}))
        if isinstance(answer, dict) and "tokens" in answer:
            return {"tokenizer_route": "llama-cpp-python"}
        return {}

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        if not text:
            return []
        ids, prefix = self._tokenize(text), self._tokenize("")
        # The server puts BOS before every text, if the model has one.
        return ids[len(prefix) :] if ids[: len(prefix)] == prefix else ids

    def detokenize(self, tokens: Sequence[int]) -> str:
        answer = self.connection.post("/extras/detokenize", {"tokens": list(tokens)})
        return required(answer, "text", as_text)

    def _tokenize(self, text: str) -> list[int]:
        return read_ids(self.connection.post("/extras/tokenize", {"input": text}), "tokens")
