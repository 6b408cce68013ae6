"""The token choice tree: exact scores of choices from next-token log-probabilities.

docs/semantics.md, "Scores", has the formulas. A choice that begins a longer one ("1" and "10") ends
at an inner node of the tree; `exclusive_logprob` subtracts the probability of the longer ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import CapabilityError, InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import logsumexp
from autocog_core.scoring.choice_encoding import EncodedChoices, encode_choices
from autocog_core.scoring.identity_cache import cached_by_identity
from autocog_core.scoring.isolated_start import find_isolated_start
from autocog_core.scoring.prompt_encoding import check_sequence
from autocog_core.scoring.unconditional_prompt import encode_unconditional_prompt
from autocog_core.types.choice import (
    EOS,
    SCORE_FIELD_OF_NORM,
    ChoiceRequest,
    ChoiceScore,
    ChoiceScores,
)
from autocog_core.types.choice_shares import ChoiceShares, exclusive_logprobs
from autocog_core.types.token_tree import TokenTree, TreeQuery, TreeScores

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenChoiceTree:
    """The decided tokens of a request's choices as one tree.

    :ivar encoded: the token ids of the choices.
    :ivar tree: the trie of their decided ids.
    :ivar eos: with `suffix=EOS`, the ids that end a sequence. The query has one node for each of
        them after the last node of every choice, behind the nodes of `tree`.
    :ivar unconditional_ids: ids that the norm "pmi" conditions on; None for other norms.
    :ivar unconditional_prompt: their text, empty for BOS alone; None for other norms.
    :ivar isolated_start: `TreeQuery.isolated_start` of the tree after the base.
    """

    encoded: EncodedChoices
    tree: TokenTree
    eos: tuple[int, ...]
    unconditional_ids: tuple[int, ...] | None
    unconditional_prompt: str | None = None
    isolated_start: int | None = None

    @classmethod
    def build(
        cls, client: BackendClient, request: ChoiceRequest, encoded: EncodedChoices | None = None
    ) -> TokenChoiceTree:
        """Tokenize the choices and build their tree.

        :param client: the model's client.
        :param request: the prompt and the choices.
        :param encoded: the tokens of the choices, if they are known.
        :raises InputError: see `encode_choices`; also for the norm "pmi" without an unconditional
            prompt.
        :raises CapabilityError: for a method other than "tree", and for `suffix=EOS` if the model
            has no end-of-sequence token.
        """
        if request.method not in (None, "tree"):
            raise CapabilityError(
                f"method {request.method!r} is not offered",
                where=client.model_name,
                hint='use "tree"',
            )
        info = client.info
        # An id outside the vocabulary has no probability.
        ends = tuple(token for token in info.eos if token < info.vocabulary_size)
        eos = ends if request.suffix is EOS else ()
        if request.suffix is EOS and not eos:
            raise CapabilityError("the model has no end-of-sequence token", where=client.model_name)
        encoded = encoded or encode_choices(client, request)
        unconditional_ids = unconditional_prompt = None
        if request.norm == "pmi":
            unconditional_ids, unconditional_prompt = encode_unconditional_prompt(
                client, request, encoded.healed_text
            )
            longest = max(map(len, encoded.choice_ids))
            check_sequence(unconditional_ids, client.info, new_tokens=longest)
        return cls(
            encoded=encoded,
            tree=_build_tree(encoded.choice_ids),
            eos=eos,
            unconditional_ids=unconditional_ids,
            unconditional_prompt=unconditional_prompt,
            isolated_start=find_isolated_start(client, request, encoded.shared_ids),
        )

    def to_queries(self) -> list[TreeQuery]:
        """Return the engine's queries: the tree after the base; for "pmi", also after text."""
        tokens, parents = self.tree.tokens, self.tree.parents
        if self.eos:
            ends = np.repeat(self.tree.ends, len(self.eos))
            tokens = np.concatenate(
                [tokens, np.tile(np.array(self.eos, dtype=np.int32), len(self.tree.ends))]
            )
            parents = np.concatenate([parents, ends])
        prefixes = [(self.encoded.shared_ids, self.isolated_start)]
        if self.unconditional_ids is not None:
            # The unconditional prompt is short: none of it is worth a cache.
            start = None if self.isolated_start is None else 0
            prefixes.append((self.unconditional_ids, start))
        return [
            TreeQuery(prefix=prefix, tokens=tokens, parents=parents, isolated_start=start)
            for prefix, start in prefixes
        ]

    def scores_from(
        self, client: BackendClient, request: ChoiceRequest, answers: Sequence[TreeScores]
    ) -> ChoiceScores:
        """Return the scores of all choices.

        :param client: the model's client.
        :param request: the request that the tree was built from.
        :param answers: the engine's answers to `to_queries()`.
        """
        offsets = self._offsets()
        per_token, *unconditional = (self._token_logprobs(answer.values) for answer in answers)
        logprob = np.add.reduceat(per_token, offsets[:-1])
        exclusive, has_prefix_choices = self._exclusive(answers[0].values, logprob)
        columns = {
            "logprob": logprob,
            "exclusive_logprob": exclusive,
            "mean_logprob": logprob / np.diff(offsets),
            "logprob_per_byte": logprob / self.byte_lengths(client),
        }
        if unconditional:
            columns["pmi"] = pmi_difference(
                logprob, np.add.reduceat(unconditional[0], offsets[:-1])
            )
        ranking = columns[SCORE_FIELD_OF_NORM[request.norm]]
        shares = ChoiceShares.of_ranking(ranking)
        columns["prob"] = shares.prob
        return ChoiceScores(
            index=shares.index,
            scores=self._scores(request.choices, offsets, per_token, columns),
            norm=request.norm,
            boundary=self.encoded.boundary,
            healed_text=self.encoded.healed_text,
            has_prefix_choices=has_prefix_choices,
            entropy=shares.entropy,
            margin=shares.margin,
            tokens_evaluated=sum(answer.tokens_evaluated for answer in answers),
            unconditional_prompt=self.unconditional_prompt,
        )

    def logprobs_from(self, answer: TreeScores) -> Float64Array:
        """Return the log-probability of each choice: float64 (choices,).

        :param answer: the engine's answer to one of `to_queries()`.
        """
        return np.add.reduceat(self._token_logprobs(answer.values), self._offsets()[:-1])

    def _scores(
        self,
        choices: Sequence[str],
        offsets: NDArray[np.int64],
        per_token: Float64Array,
        columns: Mapping[str, Float64Array],
    ) -> tuple[ChoiceScore, ...]:
        """Return one record for each choice; each column has one number for each choice."""
        # With suffix=EOS, the last entry is the sum over all its ids; the first of them names it.
        suffix = self.eos[:1]
        logprobs = tuple(per_token.tolist())
        missing: list[Any] = [None] * len(choices)

        def column(name: str) -> list[Any]:
            return columns[name].tolist() if name in columns else missing

        # Every keyword by itself: building a dict for each of thousands of choices takes longer.
        return tuple(
            ChoiceScore(
                choice=choice,
                tokens=tokens + suffix,
                token_logprobs=logprobs[start:end],
                logprob=logprob,
                exclusive_logprob=exclusive,
                mean_logprob=mean,
                logprob_per_byte=per_byte,
                pmi=pmi,
                prob=prob,
            )
            for choice, tokens, (start, end), logprob, exclusive, mean, per_byte, pmi, prob in zip(
                choices,
                self.encoded.choice_ids,
                pairwise(offsets.tolist()),
                column("logprob"),
                column("exclusive_logprob"),
                column("mean_logprob"),
                column("logprob_per_byte"),
                column("pmi"),
                column("prob"),
                strict=True,
            )
        )

    def _offsets(self) -> NDArray[np.int64]:
        """Return where each choice begins in `_token_logprobs`: int64 (choices + 1,)."""
        starts = self.tree.path_starts
        return starts + np.arange(len(starts)) if self.eos else starts

    def byte_lengths(self, client: BackendClient) -> NDArray[np.int64]:
        """Return the number of bytes of each choice's decided tokens: int64 (choices,)."""
        of_nodes = client.token_sizes(self.tree.tokens)
        lengths = np.add.reduceat(of_nodes[self.tree.path_nodes], self.tree.path_starts[:-1])
        # A choice of special tokens has no bytes; this avoids a division by zero.
        return np.maximum(lengths, 1)

    def _token_logprobs(self, values: Float64Array) -> Float64Array:
        """Return the log-probabilities of all choices' decided tokens, concatenated."""
        values = np.minimum(values, 0.0, dtype=np.float64)
        logprobs = values[self.tree.path_nodes]
        if not self.eos:
            return logprobs
        ends = values[len(self.tree.tokens) :].reshape(-1, len(self.eos))
        # Any EOS id ends the sequence, so their probabilities add up.
        end_logprobs = [min(0.0, logsumexp(end)) for end in ends]
        return np.insert(logprobs, self.tree.path_starts[1:], end_logprobs)

    def _exclusive(self, values: Float64Array, logprob: Float64Array) -> tuple[Float64Array, bool]:
        """Return `exclusive_logprob` of each choice, and whether any choice begins another one."""
        # After a choice, EOS is one outcome; no longer choice shares it.
        if self.eos:
            return logprob, False
        return exclusive_logprobs(self.tree, values, logprob)


@cached_by_identity(maxsize=32)
def _build_tree(choice_ids: tuple[tuple[int, ...], ...]) -> TokenTree:
    """Return the tree of the choices' tokens, cached: rows of a data set often share it.

    `JointTokenizer` returns the same object for the same ids, wherever it knows this.
    """
    return TokenTree.build(choice_ids)


def choose_many(client: BackendClient, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores]:
    """Score several requests with one call of the engine.

    :param client: the model's client.
    :param requests: the requests.
    :returns: the scores of each request.
    :raises InputError: see `TokenChoiceTree.build`; of several requests, `where` names the one.
    """
    trees = []
    for index, request in enumerate(requests):
        try:
            trees.append(TokenChoiceTree.build(client, request))
        except InputError as error:
            if len(requests) > 1:
                error.where = f"prompts[{index}], {error.where}"
            raise
    queries = [tree.to_queries() for tree in trees]
    answers = iter(client.greedy_tree([query for group in queries for query in group]))
    return [
        tree.scores_from(client, request, [next(answers) for _ in group])
        for tree, request, group in zip(trees, requests, queries, strict=True)
    ]


def pmi_difference(conditional: Float64Array, unconditional: Float64Array) -> Float64Array:
    """Return conditional - unconditional; -inf for a choice that is impossible after the prompt."""
    possible = ~np.isneginf(conditional)
    return np.subtract(conditional, unconditional, out=conditional.copy(), where=possible)
