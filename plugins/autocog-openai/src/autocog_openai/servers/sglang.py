"""SGLang: exact log-probabilities of named tokens through `token_ids_logprob` of /generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_count,
    as_list,
    as_object,
    as_text,
    first_item,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.errors import NotFoundError
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest, Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import ServerToken
from autocog_openai.routes.chat import ChatRoute, vllm_chat_route
from autocog_openai.routes.generate import GenerateRoute, read_entry
from autocog_openai.routes.listed_tokens import (
    build_listing,
    check_equal_logprobs,
    is_pick,
    require_distribution,
)
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect
from autocog_openai.servers.eos_tokens import find_eos_tokens

#: A bias that makes a token certain.
FORCING_BIAS = 1000.0


class SglangDialect(ServerDialect):
    """SGLang's server, or its router with the option `tokenizer`."""

    name = "sglang"
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": ("sglang",),
        "chat": ("sglang",),
    }
    owned_by = "sglang"
    # Its /v1/decisions is another protocol than OpenAI's.
    decision_paths = ("v1/systemone",)
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
        meta = required(self.connection.post("/generate", body), "meta_info", as_object)
        listings = optional(meta, "output_token_ids_logprobs", as_list) or [[]]
        named = _read_entries(listings[0])
        return {
            **capabilities,
            "context_length": optional(entry, "max_model_len", as_count),
            "completions": True,
            "token_ids": True,
            # Some servers write that all tokens but the written one are impossible.
            "token_logprobs": {0, 1} <= named.keys() and not is_pick(list(named.values())),
            "max_top_logprobs": 0,
            "chat": True,
            "prefill": True,
            "choice_constraint": True,
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special_tokens=False)

    def detokenize(self, tokens: Sequence[int]) -> str:
        body = {"model": self.model, "tokens": list(tokens)}
        return required(self.connection.post("/detokenize", body), "text", as_text)

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
        with reading(self.connection.where):
            meta = required(answer, "meta_info", as_object)
            entries = [
                read_entry(entry) for entry in required(meta, "input_token_logprobs", as_list)
            ]
            entries = entries[-len(tokens) :]
            if [token for token, _ in entries] != list(tokens):
                raise FieldError("input_token_logprobs are of other tokens")
            logprobs = tuple(logprob for _, logprob in entries if logprob is not None)
            if len(logprobs) < len(tokens):
                raise FieldError("input_token_logprobs has no log-probability of some tokens")
            return logprobs

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> GenerateRoute:
        return GenerateRoute(capabilities, send_prompt, token_bytes)

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        return vllm_chat_route(capabilities, messages)

    def _ends_text(self, body: Mapping[str, Any], token: int) -> bool:
        """Whether the text ends if the server is forced to write `token`."""
        bias = {str(token): FORCING_BIAS}
        sampling = {"max_new_tokens": 2, "temperature": 0.0, "logit_bias": bias}
        answer = self.connection.post("/generate", {**body, "sampling_params": sampling})
        reason = optional(required(answer, "meta_info", as_object), "finish_reason", as_any)
        return bool(isinstance(reason, Mapping) and reason.get("type") == "stop")

    def _tokenize(self, text: str, *, add_special_tokens: bool) -> list[int]:
        body = {"model": self.model, "prompt": text, "add_special_tokens": add_special_tokens}
        return read_ids(self.connection.post("/tokenize", body), "tokens")


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
        with reading(self._connection.where):
            meta = required(answer, "meta_info", as_object)
            logprobs: dict[int, float] = {}
            top_k = 0
            if request.top_k:
                listed = _read_entries(first_item(meta, "output_top_logprobs"))
                size = self._capabilities.vocabulary_size
                top_k = -1 if len(listed) == size else len(listed)
                logprobs |= listed
            if request.named_ids:
                named = _read_entries(first_item(meta, "output_token_ids_logprobs"))
                missing = set(request.named_ids) - named.keys()
                if missing:
                    raise FieldError(f"token {min(missing)} is missing")
                check_equal_logprobs(named, logprobs)
                logprobs |= named
            written = _read_entries(optional(meta, "output_token_logprobs", as_list) or [])
            check_equal_logprobs(written, logprobs)
            require_distribution({**written, **logprobs})
            prompt = required(meta, "prompt_tokens", as_count)
            cached = optional(meta, "cached_tokens", as_count) or 0
        return PositionAnswer(
            logprobs=logprobs, top_k=top_k, tokens_evaluated=max(0, prompt - cached)
        )


def _read_entries(entries: Any) -> dict[int, float]:
    """Return log-probabilities by id.

    :raises FieldError: if they are malformed.
    """
    listing = build_listing(
        ServerToken(token=token, raw=b"", logprob=logprob)
        for token, logprob in map(read_entry, as_list(entries, "list of log-probabilities"))
    )
    return {token: logprob for token, logprob in listing.logprobs.items() if type(token) is int}
