"""vLLM: exact log-probabilities of named tokens through `logprob_token_ids`.

This is the interface of vLLM 0.28. `prompt_logprobs` is not used: it disables the prefix cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from autocog_core import Message, Prompt, TokenPiece
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_count,
    as_text,
    first_item,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest, Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.usage import usage_of
from autocog_openai.routes.chat import ChatRoute, vllm_chat_route
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.routes.listed_tokens import require_distribution
from autocog_openai.routes.token_listing import first_listing
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect
from autocog_openai.servers.eos_tokens import find_eos_tokens

#: The maximum of `logprob_token_ids` in one request.
MAX_NAMED_IDS = 128
#: The probabilities of the whole vocabulary sum to at least this: servers round each of them.
MIN_TOTAL = 0.99


class VllmDialect(ServerDialect):
    """vLLM's OpenAI-compatible server."""

    name = "vllm"
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": ("structured_outputs", "guided"),
        "chat": ("structured_outputs", "guided"),
    }
    owned_by = "vllm"
    # It answers 400 to more.
    max_decision_questions = 64
    build_route = "/version"
    build_fields = ("version",)
    listing_parameters: ClassVar[Mapping[str, Any]] = {"return_tokens_as_token_ids": True}
    constraint_probe_tokens = 8
    strips_messages = True

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        start = self._tokenize("a", add_special_tokens=False)
        with_bos = self._tokenize("a", add_special_tokens=True)
        bos = with_bos[0] if len(with_bos) == len(start) + 1 else None
        body = {
            "model": self.model,
            "prompt": with_bos,
            "max_tokens": 1,
            "temperature": 0.0,
            "return_tokens_as_token_ids": True,
        }
        # Unlikely tokens: older versions, which ignore the parameter, do not list them.
        named = {start[-1], max(0, start[-1] - 1)}
        listing = first_listing(
            self.connection.post(
                "v1/completions", {**body, "logprobs": 1, "logprob_token_ids": sorted(named)}
            )
        )

        def ends_text(token: int) -> bool:
            forced = {**body, "max_tokens": 2, "allowed_token_ids": [token]}
            choice = first_item(self.connection.post("v1/completions", forced), "choices")
            return optional(choice, "finish_reason", as_text) == "stop"

        return {
            **find_eos_tokens(
                self.connection, lambda text: self.tokenize(text, parse_special=True), ends_text
            ),
            "version": optional(self.connection.get("/version"), "version", as_text) or "",
            "context_length": optional(entry, "max_model_len", as_count),
            "bos": bos,
            "adds_bos": bos is not None,
            "tokenizer_route": "vllm",
            "completions": True,
            "token_ids": True,
            "token_logprobs": named <= listing.logprobs.keys() and not listing.is_pick,
            "chat": True,
            "prefill": True,
            "choice_constraint": True,
            "chat_template": True,
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special_tokens=False)

    def detokenize(self, tokens: Sequence[int]) -> str:
        body = {"model": self.model, "tokens": list(tokens)}
        return required(self.connection.post("/detokenize", body), "prompt", as_text)

    def scorer(self, capabilities: ServerCapabilities) -> Scorer:
        return VllmScorer(self.connection, capabilities)

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> CompletionsRoute:
        parameters = {
            "logprobs": 1,
            "return_tokens_as_token_ids": True,
            "return_token_ids": True,
        }
        return CompletionsRoute(capabilities, send_prompt, supports_n=True, parameters=parameters)

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        return vllm_chat_route(capabilities, messages)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        capabilities: ServerCapabilities,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        body = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": False,
        }
        if template_arguments:
            body["chat_template_kwargs"] = dict(template_arguments)
        answer = self.connection.post("/tokenize", body)
        with reading(self.connection.where):
            return Prompt((TokenPiece(tuple(read_ids(answer, "tokens"))),))

    def constraint_parameters(self, choices: Sequence[str]) -> dict[str, Any]:
        return {"structured_outputs": {"choice": list(choices)}}

    def read_constrained_choice(self, text: str) -> str:
        return text

    def _tokenize(self, text: str, *, add_special_tokens: bool) -> list[int]:
        body = {"model": self.model, "prompt": text, "add_special_tokens": add_special_tokens}
        return read_ids(self.connection.post("/tokenize", body), "tokens")


class VllmScorer:
    """Sends one request for each position, or several if there are too many named tokens."""

    def __init__(self, connection: Connection, capabilities: ServerCapabilities) -> None:
        self._connection = connection
        self._capabilities = capabilities

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Request named tokens and most likely tokens separately."""
        tokens, named_ids, top_k = request.tokens, request.named_ids, request.top_k
        limit = self._capabilities.max_top_logprobs
        if named_ids and not self._capabilities.token_logprobs:
            return []
        if top_k and answer.top_k and answer.top_k >= limit >= 0:
            return []
        requests = [
            PositionRequest(tokens=tokens, named_ids=named_ids[start : start + MAX_NAMED_IDS])
            for start in range(0, len(named_ids), MAX_NAMED_IDS)
        ]
        if top_k:
            if limit >= 0:
                top_k = limit if top_k < 0 else min(top_k, limit)
            requests.append(PositionRequest(tokens=tokens, top_k=top_k))
        return requests

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Let the server generate one token, and return the log-probabilities at its position."""
        body: dict[str, Any] = {
            "model": self._capabilities.model,
            "prompt": list(request.tokens),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": request.top_k,
            "return_tokens_as_token_ids": True,
        }
        if request.named_ids:
            # The server lists only the named tokens, but `logprobs` must be set.
            body["logprobs"] = 1
            body["logprob_token_ids"] = list(request.named_ids)
        answer = self._connection.post("v1/completions", body)
        with reading(self._connection.where):
            listing = first_listing(answer)
            logprobs = {
                token: logprob for token, logprob in listing.logprobs.items() if type(token) is int
            }
            if len(logprobs) < len(listing.logprobs):
                raise FieldError("top_logprobs has names that are not token_id:N")
            require_distribution(logprobs)
            missing = set(request.named_ids) - logprobs.keys()
            if missing:
                raise FieldError(f"token {min(missing)} is missing")
            # The ids of all tokens have no gap.
            is_complete = len(logprobs) == max(logprobs, default=0) + 1
            if request.top_k < 0 and not (is_complete and listing.seen_probability() >= MIN_TOTAL):
                raise FieldError("the listing of the vocabulary is incomplete")
        top_k = 0 if request.named_ids else (request.top_k if request.top_k < 0 else len(logprobs))
        return PositionAnswer(
            logprobs=logprobs, top_k=top_k, tokens_evaluated=_count_uncached(answer)
        )


def _count_uncached(answer: Any) -> int:
    """Return the number of prompt tokens that were not in the server's cache."""
    usage = usage_of(answer)
    return 0 if usage is None else max(0, usage.prompt_tokens - usage.cached_tokens)
