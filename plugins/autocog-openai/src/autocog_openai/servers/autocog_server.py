"""`autocog serve`: the model itself, through its routes for token trees and for its vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from autocog_core import Message, Prompt, TextPiece, TokenPiece, TreeQuery, TreeScores
from autocog_openai.connection.answer_fields import (
    as_any,
    as_count,
    as_list,
    as_text,
    as_token_id,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.scorer import Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.chat import ChatRoute, vllm_chat_route
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.servers.autocog_trees import TreeScorer, request_trees
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect


class AutocogDialect(ServerDialect):
    """autocog's own server."""

    name = "autocog"
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": ("structured_outputs",),
        "chat": ("structured_outputs",),
    }
    owned_by = "autocog"
    build_fields = ("fingerprint",)
    probes_completions = False
    can_ignore_special_tokens = True
    scorer_writes_token = False
    constraint_probe_tokens = 8

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.build_route = f"v1/models/{quote(self.model, safe='')}/fingerprint"

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.connection.post("v1/vocabulary", {"model": self.model})
        hooks = required(answer, "capabilities", as_list)
        special = required(answer, "special_tokens", as_list)
        tokens = optional(answer, "tokens", as_list)
        has_scores = not {"greedy_impl", "greedy_tree_impl"}.isdisjoint(hooks)
        has_tokens = {"tokenize", "detokenize"} <= set(hooks)
        if not (has_scores and has_tokens):
            # A model on a server behind the server: its texts and listings are probed.
            return {"completions": True, "chat": True}
        return {
            "version": required(answer, "name", as_text),
            "vocabulary_size": required(answer, "vocabulary_size", as_token_id),
            "context_length": optional(answer, "context_length", as_count),
            "bos": optional(answer, "bos", as_token_id),
            "adds_bos": required(answer, "adds_bos", as_any),
            "eos": tuple(read_ids(answer, "eos")),
            "special_token_ids": tuple(
                (required(token, "text", as_text), required(token, "id", as_token_id))
                for token in special
            ),
            "special_token_strips": tuple(
                (required(token, "strips_left", as_any), required(token, "strips_right", as_any))
                for token in special
            ),
            "restarts_after_special_tokens": optional(
                answer, "restarts_after_special_tokens", as_any
            ),
            "splits_at_word_boundaries": required(answer, "splits_at_word_boundaries", as_any),
            "unicode_normalization": optional(answer, "unicode_normalization", as_text),
            "isolates": required(answer, "isolates", as_any),
            "tolerance": required(answer, "tolerance", as_any),
            "vocabulary": None if tokens is None else tuple(tokens),
            "tokenizer_route": "autocog",
            "completions": True,
            "token_ids": True,
            "token_logprobs": True,
            "max_top_logprobs": -1,
            "chat_template": "chat_prompt" in hooks,
            "prefill": "chat_prompt" in hooks,
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        body = {
            "model": self.model,
            "prompt": text,
            "add_special_tokens": False,
            "parse_special": parse_special,
        }
        return read_ids(self.connection.post("/tokenize", body), "tokens")

    def detokenize(self, tokens: Sequence[int]) -> str:
        body = {"model": self.model, "tokens": list(tokens)}
        return required(self.connection.post("/detokenize", body), "prompt", as_text)

    def scorer(self, capabilities: ServerCapabilities) -> Scorer:
        return TreeScorer(self.connection, capabilities)

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return request_trees(self.connection, queries)

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> CompletionsRoute:
        parameters: dict[str, Any] = {}
        if capabilities.token_logprobs:
            # The numbers of the completion itself. For more, the server evaluates it again.
            parameters = {"logprobs": 0, "return_tokens_as_token_ids": True}
        return CompletionsRoute(capabilities, send_prompt, supports_n=True, parameters=parameters)

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        return vllm_chat_route(capabilities, messages)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        capabilities: ServerCapabilities,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        if not capabilities.chat_template:
            return None
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": add_generation_prompt,
            "return_pieces": True,
        }
        if template_arguments:
            body["chat_template_kwargs"] = dict(template_arguments)
        answer = self.connection.post("/tokenize", body)
        with reading(self.connection.where):
            return Prompt(tuple(map(_read_piece, required(answer, "pieces", as_list))))

    def constraint_parameters(self, choices: Sequence[str]) -> dict[str, Any]:
        return {"structured_outputs": {"choice": list(choices)}}

    def read_constrained_choice(self, text: str) -> str:
        return text


def _read_piece(piece: Any) -> TextPiece | TokenPiece:
    if optional(piece, "tokens", as_list) is not None:
        return TokenPiece(tuple(read_ids(piece, "tokens")))
    return TextPiece(required(piece, "text", as_text), trusted=required(piece, "trusted", as_any))
