"""Core's own hook implementations, asked last: built on whatever the backend does offer.

They call through the manager's `BackendClient`, so that wrappers see the inner calls as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.specs import hookimpl
from autocog_core.numerics import top_k_ids
from autocog_core.scoring import choice_tree
from autocog_core.scoring.prompt_encoding import check_sequence, encode
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
        """Exact scores by the token choice tree."""
        return choice_tree.choose_many(self._client, [request])[0]

    @hookimpl(trylast=True)
    def describe(self) -> BackendInfo:
        """What can be told of a backend that does not tell: its name and the width of its rows."""
        return BackendInfo(self._client.who, self._client.row_size())

    @hookimpl(trylast=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """One `greedy_impl` call for every node that has children or is in `top_at`."""
        return [self._tree(query) for query in queries]

    @hookimpl(trylast=True)
    def complete(self, request: CompletionRequest) -> Completion:
        """One `greedy_impl` call for every token."""
        reject_unknown_options(request.extra, (), self._client.who)
        prompt = encode(self._client, request.prompt)
        check_sequence(prompt, self._client.info, beyond=request.max_tokens)
        first, *others = (self._sample(prompt, request, number) for number in range(request.n))
        if not others:
            return first
        return Completion(
            first.text,
            first.tokens,
            first.logprobs,
            first.finish_reason,
            first.stop_string,
            tuple(others),
        )

    def _tree(self, query: TreeQuery) -> TreeScores:
        values = np.zeros(len(query.tokens), dtype=np.float64)
        top_tokens = np.full((len(query.top_at), query.top_k), -1, dtype=np.int32)
        top_logprobs = np.full((len(query.top_at), query.top_k), -np.inf)
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(query.parents.tolist()):
            children.setdefault(parent, []).append(node)
        top_rows: dict[int, list[int]] = {}
        for place, node in enumerate(query.top_at.tolist()):
            top_rows.setdefault(node, []).append(place)
        wanted = sorted(children.keys() | top_rows.keys())
        # Paths below the prefix, which is added only for the call: it may be long.
        paths: dict[int, tuple[int, ...]] = {-1: ()}
        for node in wanted:
            if node >= 0:
                paths[node] = (*paths[int(query.parents[node])], int(query.tokens[node]))
        for node in wanted:
            row = self._client.greedy([*query.prefix, *paths[node]])
            below = children.get(node, [])
            values[below] = row[query.tokens[below]]
            if node in top_rows:
                best = top_k_ids(row, query.top_k, query.mask)
                for place in top_rows[node]:
                    top_tokens[place, : len(best)] = best
                    top_logprobs[place, : len(best)] = row[best]
        evaluated = sum(len(query.prefix) + len(paths[node]) for node in wanted)
        return TreeScores(values, top_tokens, top_logprobs, evaluated)

    def _sample(self, prompt: list[int], request: CompletionRequest, number: int) -> Completion:
        client = self._client
        generator = np.random.default_rng(None if request.seed is None else [request.seed, number])
        growing = CompletionBuilder(request, client.detokenize, client.info.eos, number)
        while not growing.is_done:
            row = client.greedy([*prompt, *growing.tokens])
            token = sample_token(row, request, generator)
            growing.append(token, float(row[token]))
        return growing.completion()
