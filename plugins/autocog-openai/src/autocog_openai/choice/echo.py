"""Choices on a server that scores an echoed prompt: exact, with one request for each choice.

For the best choices, fewer requests may do: an echo also has the first tokens of other choices.

Used only if the probe found that these scores obey the chain rule: one popular server shifts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TopChoices
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.text import round_trip_text
from autocog_openai.choice.top_search import TopSearch
from autocog_openai.choice.tree_positions import values_only
from autocog_openai.connection.answer_fields import as_object, first_item, reading, required
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.token_listing import read_named_tokens


class EchoChoice:
    """Scores each choice by an echo of the prompt and the choice."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._counter = UsageCounter()

    def choose(
        self, client: BackendClient, request: ChoiceRequest
    ) -> ChoiceScores | TopChoices | None:
        """Return the scores of all choices, or the best ones if the request has `top`.

        :returns: None if the server tokenizes a text differently.
        :raises CapabilityError: for the norm "pmi" and `suffix=EOS`.
        """
        if request.norm == "pmi" or not (request.suffix is None or isinstance(request.suffix, str)):
            raise CapabilityError(
                "pmi and suffix=EOS need a server that returns log-probabilities of named tokens",
                where=self._model.connection.where,
            )
        request = replace(request, method=None)
        if request.top is not None:
            return self._choose_top(client, request)
        tree = TokenChoiceTree.build(client, request)
        shared_ids, choice_ids = tree.encoded.shared_ids, tree.encoded.choice_ids
        results = self._model.connection.map_concurrently(
            lambda ids: self._choice_logprobs(shared_ids, ids), choice_ids
        )
        values = np.full(len(tree.tree.tokens), -np.inf)
        for index, logprobs in enumerate(results):
            if logprobs is None:
                return None
            values[tree.tree.path(index)] = logprobs
        scores = tree.scores_from(client, request, [values_only(values)])
        tokens_evaluated = self._counter.tokens_evaluated
        return replace(scores, method="echo", tokens_evaluated=tokens_evaluated)

    def _choose_top(self, client: BackendClient, request: ChoiceRequest) -> TopChoices | None:
        search = TopSearch(client, request)
        partial = search.partial
        tree = partial.tree
        owner_of: dict[int, int] = {}
        for index in range(len(request.choices)):
            for node in tree.tree.path(index).tolist():
                owner_of.setdefault(node, index)

        def choice_to_echo(index: int) -> int | None:
            node = partial.first_unknown_node(index)
            if node is None:
                return None
            # Of a choice that others begin with, only the next token of these may be missing.
            return index if node in tree.tree.path(index) else owner_of[node]

        while indices := search.next_reads(choice_to_echo):
            results = self._model.connection.map_concurrently(
                lambda index: self._choice_logprobs(
                    tree.encoded.shared_ids, tree.encoded.choice_ids[index]
                ),
                indices,
            )
            for index, logprobs in zip(indices, results, strict=True):
                if logprobs is None:
                    return None
                partial.values[tree.tree.path(index)] = logprobs
        result = search.result(method="echo", unknown_reason="", nodes_read=None, nodes=None)
        return replace(result, tokens_evaluated=self._counter.tokens_evaluated)

    def _choice_logprobs(
        self, shared_ids: Sequence[int], choice_ids: Sequence[int]
    ) -> list[float] | None:
        """Return the log-probability of each token of a choice."""
        tokenizer, connection = self._model.tokenizer, self._model.connection
        text = round_trip_text(tokenizer, [*shared_ids, *choice_ids])
        if text is None:
            return None
        body: dict[str, Any] = {
            "model": self._model.capabilities.model,
            "prompt": text,
            "max_tokens": 1,
            "temperature": 0.0,
            "echo": True,
            "logprobs": 1,
        }
        answer = connection.post("v1/completions", body, counter=self._counter)
        with reading(connection.where):
            logprobs = required(first_item(answer, "choices"), "logprobs", as_object)
            tokens = list(read_named_tokens(logprobs))
        echo, end = b"", 0
        while end < len(tokens) and len(echo) < len(text.encode("utf-8")):
            echo += tokens[end].raw
            end += 1
        scored = tokens[max(0, end - len(choice_ids)) : end]
        raws = [tokenizer.token_bytes(token) for token in choice_ids]
        if echo != text.encode("utf-8") or [token.raw for token in scored] != raws:
            return None
        values = [token.logprob for token in scored if token.logprob is not None]
        return values if len(values) == len(choice_ids) else None
