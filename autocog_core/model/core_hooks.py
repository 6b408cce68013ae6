"""Core's own hook implementations, which are called last: built on the backend's other hooks.

They call through the `BackendClient`, so that wrappers see the inner calls too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.specs import hookimpl
from autocog_core.model.constrained_completion import complete_constrained
from autocog_core.numerics import mask_logsumexp, top_k_ids
from autocog_core.scoring import choice_tree
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.toolkit.sampling import sample_token
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores


class CoreDefaults:
    """`choose` from token trees, `greedy_tree_impl` and `complete` from `greedy_impl`."""

    def __init__(self, client: BackendClient) -> None:
        self._client = client

    @hookimpl(trylast=True)
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        """Return exact scores by the token choice tree."""
        return choice_tree.choose_many(self._client, [request])[0]

    @hookimpl(trylast=True)
    def describe(self) -> BackendInfo:
        """Describe a backend without this hook by its name and the length of its rows."""
        return BackendInfo(
            name=self._client.model_name, vocabulary_size=self._client.measure_vocabulary_size()
        )

    @hookimpl(trylast=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Call `greedy_impl` once for every node that has children or is in `top_at`."""
        return [self._score_tree(query) for query in queries]

    @hookimpl(trylast=True)
    def complete(self, request: CompletionRequest) -> Completion:
        """Call `greedy_impl` once for every token."""
        if request.constraint is not None:
            return complete_constrained(self._client, request)
        reject_unknown_options(request.extra, (), self._client.model_name)
        prompt = encode_prompt(self._client, request.prompt)
        check_sequence(prompt, self._client.info, new_tokens=request.max_tokens)
        first, *others = (self._sample(prompt, request, index) for index in range(request.n))
        return replace(first, alternatives=tuple(others))

    def _score_tree(self, query: TreeQuery) -> TreeScores:
        values = np.full(len(query.tokens), np.nan)
        top_tokens = np.full((len(query.top_at), query.top_k), -1, dtype=np.int32)
        top_logprobs = np.full((len(query.top_at), query.top_k), -np.inf)
        mask_logprobs = np.full(len(query.top_at), np.nan) if query.with_mask_logprobs else None
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(query.parents.tolist()):
            children.setdefault(parent, []).append(node)
        top_rows: dict[int, list[int]] = {}
        for row_index, node in enumerate(query.top_at.tolist()):
            top_rows.setdefault(node, []).append(row_index)
        nodes = sorted(children.keys() | top_rows.keys())
        # Paths without the prefix, which may be long: it is added only for the call.
        paths: dict[int, tuple[int, ...]] = {-1: ()}
        for node in nodes:
            if node >= 0:
                paths[node] = (*paths[int(query.parents[node])], int(query.tokens[node]))
        for node in nodes:
            row = self._client.greedy([*query.prefix, *paths[node]])
            node_children = children.get(node, [])
            values[node_children] = row[query.tokens[node_children]]
            if node in top_rows:
                best = top_k_ids(row, query.top_k, query.mask)
                for row_index in top_rows[node]:
                    top_tokens[row_index, : len(best)] = best
                    top_logprobs[row_index, : len(best)] = row[best]
                    if mask_logprobs is not None:
                        mask_logprobs[row_index] = mask_logsumexp(row, query.mask)
        evaluated = sum(len(query.prefix) + len(paths[node]) for node in nodes)
        return TreeScores(
            values=values,
            top_tokens=top_tokens,
            top_logprobs=top_logprobs,
            tokens_evaluated=evaluated,
            mask_logprobs=mask_logprobs,
        )

    def _sample(self, prompt: list[int], request: CompletionRequest, index: int) -> Completion:
        client = self._client
        generator = np.random.default_rng(None if request.seed is None else [request.seed, index])
        builder = CompletionBuilder(request, client.detokenize, client.info.eos, index)
        while not builder.is_done:
            row = client.greedy([*prompt, *builder.tokens])
            token = sample_token(row, request, generator)
            builder.append(token, float(row[token]))
        return builder.completion()
