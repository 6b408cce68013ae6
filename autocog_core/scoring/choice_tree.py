"""The token choice tree: exact scores of choices from next-token log-probabilities.

A choice that begins a longer one ("1" beside "10") is kept: it ends at an inner node of the tree,
and `exclusive_logprob` takes the longer ones' share off it (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import CapabilityError, InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import entropy, log1m_sum_exp, logsumexp, softmax
from autocog_core.scoring.choice_encoding import EncodedChoices, encode_choices
from autocog_core.scoring.prompt_encoding import check_sequence
from autocog_core.types.choice import (
    EOS,
    NORMS,
    SCORE_FIELD_OF_NORM,
    ChoiceRequest,
    ChoiceScore,
    ChoiceScores,
)
from autocog_core.types.prompt import check_text
from autocog_core.types.token_tree import TokenTree, TreeQuery, TreeScores

Float64Array = NDArray[np.float64]

#: The numbers of a `ChoiceScore`, in the order of its fields.
SCORE_FIELDS = (
    "logprob",
    "exclusive_logprob",
    "mean_logprob",
    "logprob_per_byte",
    "pmi",
    "prob",
)


@dataclass(frozen=True, slots=True)
class TokenChoiceTree:
    """The decided tokens of a request's choices as one tree, ready to be scored.

    :ivar eos: where the choices must be followed by the end of the sequence, its ids: each is a
        node below every choice's last one, after the `tree.tokens` proper.
    :ivar unconditional: the ids that pmi conditions on; None where pmi was not asked for.
    """

    encoded: EncodedChoices
    tree: TokenTree
    eos: tuple[int, ...]
    unconditional: tuple[int, ...] | None

    @classmethod
    def build(cls, client: BackendClient, request: ChoiceRequest) -> TokenChoiceTree:
        """Tokenize the choices and lay them out as a tree.

        :raises InputError: see `encode_choices`; also for an unknown norm.
        :raises CapabilityError: for `suffix=EOS` on a model without one.
        """
        if request.norm not in NORMS:
            raise InputError(
                f"unknown norm {request.norm!r}", where="norm", hint="one of " + ", ".join(NORMS)
            )
        if request.method not in (None, "tree"):
            raise CapabilityError(
                f"method {request.method!r} is not offered", where=client.who, hint='use "tree"'
            )
        eos = client.info.eos if request.suffix is EOS else ()
        if request.suffix is EOS and not eos:
            raise CapabilityError("the model has no end-of-sequence token", where=client.who)
        encoded = encode_choices(client, request)
        unconditional = None
        if request.norm == "pmi":
            unconditional = _unconditional(client, request)
            check_sequence(unconditional, client.info, beyond=max(map(len, encoded.decided)))
        return cls(encoded, _tree_of(encoded.decided), eos, unconditional)

    def queries(self) -> list[TreeQuery]:
        """What to ask the engine: one tree, and for pmi the same tree after other text."""
        tokens, parents = self.tree.tokens, self.tree.parents
        if self.eos:
            ends = np.repeat(self.tree.ends, len(self.eos))
            tokens = np.concatenate(
                [tokens, np.tile(np.array(self.eos, dtype=np.int32), len(self.tree.ends))]
            )
            parents = np.concatenate([parents, ends])
        prefixes = [self.encoded.base]
        if self.unconditional is not None:
            prefixes.append(self.unconditional)
        return [TreeQuery(prefix, tokens, parents) for prefix in prefixes]

    def score(
        self, client: BackendClient, request: ChoiceRequest, answers: Sequence[TreeScores]
    ) -> ChoiceScores:
        """The scores of every choice, from the engine's answers to `queries`."""
        starts = self._starts()
        per_token, *unconditional = (self._token_logprobs(answer.values) for answer in answers)
        logprob = np.add.reduceat(per_token, starts[:-1])
        exclusive, ambiguous = self._exclusive(answers[0].values, logprob)
        columns = {
            "logprob": logprob,
            "exclusive_logprob": exclusive,
            "mean_logprob": logprob / np.diff(starts),
            "logprob_per_byte": logprob / self.sizes(client),
        }
        if unconditional:
            other = np.add.reduceat(unconditional[0], starts[:-1])
            columns["pmi"] = _difference(logprob, other)
        ranking = columns[SCORE_FIELD_OF_NORM[request.norm]]
        prob = softmax(ranking)
        # By the score itself, not by `prob`: two probabilities may round to the same number.
        index = int(np.argmax(ranking))
        others = np.delete(prob, index)
        return ChoiceScores(
            index=index,
            scores=self._scores(request.choices, starts, per_token, {**columns, "prob": prob}),
            norm=request.norm,
            boundary=self.encoded.boundary,
            healed_text=self.encoded.healed_text,
            has_prefix_choices=ambiguous,
            entropy=entropy(prob),
            margin=float(prob[index] - others.max()) if others.size else 1.0,
            tokens_evaluated=sum(answer.tokens_evaluated for answer in answers),
        )

    def _scores(
        self,
        choices: Sequence[str],
        starts: NDArray[np.int64],
        per_token: Float64Array,
        columns: Mapping[str, Float64Array],
    ) -> tuple[ChoiceScore, ...]:
        """One record a choice; each of `columns` holds a number a choice."""
        # With EOS as the end the last entry stands for all its ids together, by the first of them.
        suffix = self.eos[:1]
        values = tuple(per_token.tolist())
        bounds = starts.tolist()
        nothing: list[Any] = [None] * len(choices)
        rows = zip(
            choices,
            (tokens + suffix for tokens in self.encoded.decided),
            (values[start:end] for start, end in pairwise(bounds)),
            *(columns[name].tolist() if name in columns else nothing for name in SCORE_FIELDS),
            strict=True,
        )
        return tuple(ChoiceScore(*row) for row in rows)

    def _starts(self) -> NDArray[np.int64]:
        """int64 (choices + 1,): where each choice begins in what `_token_logprobs` answers."""
        starts = self.tree.path_starts
        return starts + np.arange(len(starts)) if self.eos else starts

    def sizes(self, client: BackendClient) -> NDArray[np.int64]:
        """int64 (choices,): the bytes of each choice's decided tokens."""
        of_nodes = np.array([client.token_size(token) for token in self.tree.tokens.tolist()])
        sizes = np.add.reduceat(of_nodes[self.tree.path_nodes], self.tree.path_starts[:-1])
        # A choice of special tokens alone has no bytes: it is scored as if it had one.
        return np.maximum(sizes, 1)

    def _token_logprobs(self, values: Float64Array) -> Float64Array:
        """The log-probability of each decided token of each choice, one choice after the other."""
        values = np.minimum(values, 0.0, dtype=np.float64)
        along = values[self.tree.path_nodes]
        if not self.eos:
            return along
        ends = values[len(self.tree.tokens) :].reshape(-1, len(self.eos))
        # The ids of EOS are alternatives to one another: their probabilities add up.
        together = [min(0.0, logsumexp(end)) for end in ends]
        return np.insert(along, self.tree.path_starts[1:], together)

    def _exclusive(self, values: Float64Array, logprob: Float64Array) -> tuple[Float64Array, bool]:
        """Each choice's `exclusive`, and whether any choice begins another one."""
        # What follows a choice up to EOS is one outcome, which no longer choice shares.
        if self.eos:
            return logprob, False
        ends = self.tree.ends
        inner = np.zeros(len(self.tree.tokens), dtype=np.bool_)
        inner[self.tree.parents[self.tree.parents >= 0]] = True
        beginning = np.flatnonzero(inner[ends])
        if not beginning.size:
            return logprob, False
        exclusive = logprob.copy()
        children = self.tree.children()
        for i in beginning.tolist():
            exclusive[i] += log1m_sum_exp(values[children[int(ends[i])]])
        return exclusive, True


@lru_cache(maxsize=32)
def _tree_of(decided: tuple[tuple[int, ...], ...]) -> TokenTree:
    """The tree of choices' tokens: row after row has the same."""
    return TokenTree.build(decided)


def choose_many(client: BackendClient, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores]:
    """Score several requests with one call of the engine's tree primitive."""
    trees = []
    for number, request in enumerate(requests):
        try:
            trees.append(TokenChoiceTree.build(client, request))
        except InputError as error:
            if len(requests) > 1:
                error.where = f"prompts[{number}], {error.where}"
            raise
    queries = [tree.queries() for tree in trees]
    answers = iter(client.greedy_tree([query for group in queries for query in group]))
    return [
        tree.score(client, request, [next(answers) for _ in group])
        for tree, request, group in zip(trees, requests, queries, strict=True)
    ]


def _unconditional(client: BackendClient, request: ChoiceRequest) -> tuple[int, ...]:
    """The ids that pmi conditions on."""
    info = client.info
    bos = (info.bos,) if info.adds_bos and info.bos is not None else ()
    text = request.unconditional_prompt
    if text:
        check_text(text, "unconditional_prompt")
        return (*bos, *client.tokenize([text], at_start=True)[0])
    if not bos:
        raise InputError(
            "pmi needs text to condition on, for this model's tokenizer adds no BOS",
            where="unconditional_prompt",
            hint='give for example unconditional="Answer:"',
        )
    return bos


def _difference(conditional: Float64Array, unconditional: Float64Array) -> Float64Array:
    """Conditional - unconditional; -inf where the choice is impossible either way."""
    possible = ~np.isneginf(conditional)
    return np.subtract(conditional, unconditional, out=conditional.copy(), where=possible)
