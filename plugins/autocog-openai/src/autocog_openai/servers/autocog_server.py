"""`autocog serve`: the model itself, through its routes for token trees and for its vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np

from autocog_core import Message, Prompt, TextPiece, TokenPiece, TreeQuery, TreeScores
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_count,
    as_list,
    as_logprob,
    as_text,
    as_token_id,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest, Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.servers.dialect import Messages, SendPrompt, ServerDialect

#: The most of one request: trees, their tokens with those before them, and listed tokens.
MAX_TREES = 256
MAX_TOKENS = 200_000
MAX_LISTED = 2_000_000


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
        return TreeScorer(self, capabilities)

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        scores: list[TreeScores] = []
        for batch in _batches(queries):
            body = {"model": self.model, "queries": [_to_json(query) for query in batch]}
            answer = self.connection.post("v1/token_trees", body)
            with reading(self.connection.where):
                trees = required(answer, "trees", as_list)
                scores += [
                    _read_scores(query, tree) for query, tree in zip(batch, trees, strict=True)
                ]
        return scores

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
        parameters = {"continue_final_message": True, "add_generation_prompt": False}
        return ChatRoute(capabilities, messages, supports_n=True, continue_parameters=parameters)

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


class TreeScorer:
    """Requests positions one by one, for what is no token tree."""

    def __init__(self, dialect: AutocogDialect, capabilities: ServerCapabilities) -> None:
        self._dialect = dialect
        self._size = capabilities.vocabulary_size or 0

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Request everything at once."""
        return [request]

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Return the log-probabilities at a position."""
        top_k = self._size if request.top_k < 0 else min(request.top_k, self._size)
        named = list(request.named_ids)
        query = TreeQuery(
            prefix=request.tokens,
            tokens=np.array(named, dtype=np.int32),
            parents=np.full(len(named), -1, dtype=np.int32),
            top_at=np.full(1 if top_k else 0, -1, dtype=np.int32),
            top_k=top_k,
        )
        (scores,) = self._dialect.score_trees([query])
        logprobs = dict(zip(named, scores.values.tolist(), strict=True))
        if top_k:
            listed = zip(
                scores.top_tokens[0].tolist(), scores.top_logprobs[0].tolist(), strict=True
            )
            logprobs |= {token: logprob for token, logprob in listed if token >= 0}
        if request.top_k < 0:
            # Impossible tokens are not listed.
            logprobs |= {token: -math.inf for token in range(self._size) if token not in logprobs}
        return PositionAnswer(
            logprobs=logprobs,
            top_k=request.top_k if request.top_k < 0 else top_k,
            tokens_evaluated=scores.tokens_evaluated,
        )


def _batches(queries: Sequence[TreeQuery]) -> Iterator[list[TreeQuery]]:
    """Yield the queries in groups that one request may have."""
    batch: list[TreeQuery] = []
    tokens = listed = 0
    for query in queries:
        more_tokens = len(query.prefix) + len(query.tokens)
        more_listed = len(query.top_at) * query.top_k
        is_full = len(batch) == MAX_TREES or tokens + more_tokens > MAX_TOKENS
        if batch and (is_full or listed + more_listed > MAX_LISTED):
            yield batch
            batch, tokens, listed = [], 0, 0
        batch.append(query)
        tokens += more_tokens
        listed += more_listed
    if batch:
        yield batch


def _to_json(query: TreeQuery) -> dict[str, Any]:
    body: dict[str, Any] = {"prefix": list(map(int, query.prefix))}
    if len(query.tokens):
        body |= {"tokens": query.tokens.tolist(), "parents": query.parents.tolist()}
    if len(query.top_at):
        body |= {"top_at": query.top_at.tolist(), "top_k": query.top_k}
        if query.mask is not None:
            body["allowed"] = np.flatnonzero(query.mask).tolist()
        if query.with_mask_logprobs:
            body["with_mask_logprobs"] = True
    if query.isolated_start is not None:
        body["isolated_start"] = query.isolated_start
    return body


def _read_scores(query: TreeQuery, tree: Any) -> TreeScores:
    """Return the scores of a tree.

    :raises FieldError: if they are malformed.
    """
    values = _read_logprobs(required(tree, "values", as_list))
    rows = required(tree, "top_tokens", as_list)
    logprobs = required(tree, "top_logprobs", as_list)
    if len(values) != len(query.tokens) or len(rows) != len(query.top_at):
        raise FieldError("there are scores of other nodes")
    top_tokens = np.full((len(rows), query.top_k), -1, dtype=np.int32)
    top_logprobs = np.full((len(rows), query.top_k), -np.inf)
    for index, (row, row_logprobs) in enumerate(zip(rows, logprobs, strict=True)):
        tokens = [as_token_id(token, "top_tokens") for token in as_list(row, "top_tokens")]
        top_tokens[index, : len(tokens)] = tokens
        top_logprobs[index, : len(tokens)] = _read_logprobs(as_list(row_logprobs, "top_logprobs"))
    mask_logprobs = optional(tree, "mask_logprobs", as_list)
    return TreeScores(
        values=np.array(values, dtype=np.float64),
        top_tokens=top_tokens,
        top_logprobs=top_logprobs,
        mask_logprobs=None
        if mask_logprobs is None
        else np.array(_read_logprobs(mask_logprobs), dtype=np.float64),
        tokens_evaluated=required(tree, "tokens_evaluated", as_count),
    )


def _read_logprobs(values: Sequence[Any]) -> list[float]:
    logprobs = [as_logprob(value, "log-probability") for value in values]
    return [-math.inf if logprob is None else logprob for logprob in logprobs]


def _read_piece(piece: Any) -> TextPiece | TokenPiece:
    if optional(piece, "tokens", as_list) is not None:
        return TokenPiece(tuple(read_ids(piece, "tokens")))
    return TextPiece(required(piece, "text", as_text), trusted=required(piece, "trusted", as_any))
