"""SGLang: exact log-probabilities of named tokens through `token_ids_logprob` of /generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import NotFoundError, malformed_answer_error
from autocog_openai.connection.scorer import (
    PositionAnswer,
    PositionRequest,
    Scorer,
    normalize_logprob,
    parse_token_id,
)
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.routes.generate import GenerateRoute
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect
from autocog_openai.servers.eos_tokens import find_eos_tokens

#: A bias that makes a token certain.
FORCING_BIAS = 1000.0


class SglangDialect(ServerDialect):
    """SGLang's server, or its router with the option `tokenizer`."""

    name = "sglang"
    owned_by = "sglang"
    build_route = "/server_info"
    build_fields = ("version", "model_path", "dtype", "quantization")
    probes_completions = False
    strips_messages = True
    reads_bos_from_tokenizer_file = True
    returns_sampling_logprobs = True

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        capabilities: dict[str, Any] = {}
        prompt = [0, 1]
        try:
            prompt = self._tokenize("a", add_special_tokens=False)
            with_bos = self._tokenize("a", add_special_tokens=True)
            bos = with_bos[0] if len(with_bos) == len(prompt) + 1 else None
            capabilities = {"bos": bos, "adds_bos": bos is not None, "tokenizer_route": "sglang"}
        except NotFoundError:
            # A router has no tokenizer route. It needs the option `tokenizer`.
            if self.connection.options.tokenizer is None:
                raise
        body = {
            "input_ids": prompt,
            "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
            "return_logprob": True,
            "token_ids_logprob": [0, 1],
        }
        if capabilities:
            capabilities |= find_eos_tokens(
                self.connection,
                lambda text: self.tokenize(text, parse_special=True),
                lambda token: self._ends_text(body, token),
            )
        meta = self.connection.post("/generate", body)["meta_info"]
        entries = (meta.get("output_token_ids_logprobs") or [[]])[0]
        return {
            **capabilities,
            "context_length": entry.get("max_model_len"),
            "completions": True,
            "token_ids": True,
            "token_logprobs": {0, 1} <= {parse_token_id(entry[1]) for entry in entries},
            "max_top_logprobs": 0,
            "chat": True,
            "prefill": True,
            "choice_constraint": True,
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special_tokens=False)

    def detokenize(self, tokens: Sequence[int]) -> str:
        body = {"model": self.model, "tokens": list(tokens)}
        return str(self.connection.post("/detokenize", body)["text"])

    def scorer(self, capabilities: ServerCapabilities) -> Scorer:
        return SglangScorer(self.connection, capabilities)

    def rescore(self, prompt: Sequence[int], tokens: Sequence[int]) -> tuple[float, ...]:
        body: dict[str, Any] = {
            "input_ids": [*prompt, *tokens],
            "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
            "return_logprob": True,
            # Starts one token early: the first entry is always empty.
            "logprob_start_len": len(prompt) - 1,
        }
        answer = self.connection.post("/generate", body)
        try:
            entries = answer["meta_info"]["input_token_logprobs"][-len(tokens) :]
            if [int(entry[1]) for entry in entries] != list(tokens):
                raise ValueError("the tokens differ")
            return tuple(normalize_logprob(entry[0]) for entry in entries)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed_answer_error(self.connection.where, error) from error

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> GenerateRoute:
        return GenerateRoute(capabilities, send_prompt, token_bytes)

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        parameters = {"continue_final_message": True, "add_generation_prompt": False}
        return ChatRoute(capabilities, messages, supports_n=True, continue_parameters=parameters)

    def _ends_text(self, body: Mapping[str, Any], token: int) -> bool:
        """Whether the text ends if the server is forced to write `token`."""
        bias = {str(token): FORCING_BIAS}
        sampling = {"max_new_tokens": 2, "temperature": 0.0, "logit_bias": bias}
        answer = self.connection.post("/generate", {**body, "sampling_params": sampling})
        reason = answer["meta_info"]["finish_reason"]
        return bool(isinstance(reason, Mapping) and reason.get("type") == "stop")

    def _tokenize(self, text: str, *, add_special_tokens: bool) -> list[int]:
        body = {"model": self.model, "prompt": text, "add_special_tokens": add_special_tokens}
        return list(map(int, self.connection.post("/tokenize", body)["tokens"]))


class SglangScorer:
    """Sends one request for each position."""

    def __init__(self, connection: Connection, capabilities: ServerCapabilities) -> None:
        self._connection = connection
        self._capabilities = capabilities

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Request everything at once. The server lists any number of tokens."""
        if request.top_k < 0:
            size = self._capabilities.vocabulary_size
            if size is None or answer.top_k == -1:
                return []
            request = replace(request, top_k=size)
        return [request]

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Let the server generate one token, and return the log-probabilities at its position."""
        body: dict[str, Any] = {
            "input_ids": list(request.tokens),
            "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
            "return_logprob": True,
            # Scores nothing of the prompt: that would bypass the prefix cache.
            "logprob_start_len": -1,
            "top_logprobs_num": max(0, request.top_k),
        }
        if request.named_ids:
            body["token_ids_logprob"] = list(request.named_ids)
        answer = self._connection.post("/generate", body)
        try:
            meta = answer["meta_info"]
            logprobs: dict[int, float] = {}
            top_k = 0
            if request.top_k:
                entries = meta["output_top_logprobs"][0]
                size = self._capabilities.vocabulary_size
                top_k = -1 if len(entries) == size else len(entries)
                logprobs |= _read_entries(entries)
            if request.named_ids:
                logprobs |= _read_entries(meta["output_token_ids_logprobs"][0])
            uncached = int(meta["prompt_tokens"]) - int(meta.get("cached_tokens") or 0)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed_answer_error(self._connection.where, error) from error
        missing = set(request.named_ids) - logprobs.keys()
        if missing:
            raise malformed_answer_error(self._connection.where, f"token {min(missing)} is missing")
        return PositionAnswer(logprobs=logprobs, top_k=top_k, tokens_evaluated=uncached)


def _read_entries(entries: Sequence[Sequence[Any]]) -> dict[int, float]:
    """Return log-probabilities by id. An entry is a log-probability, an id and a text."""
    return {parse_token_id(entry[1]): normalize_logprob(entry[0]) for entry in entries}
