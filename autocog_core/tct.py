"""The token choice tree: exact scores of choices from next-token log-probabilities.

A choice that begins a longer one ("1" beside "10") is kept: it ends at an inner node of the tree,
and `exclusive` takes the longer ones' share off it (SEMANTICS, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.boundary import EncodedChoices, encode_choices
from autocog_core.caller import Caller
from autocog_core.errors import CapabilityError, InputError
from autocog_core.numerics import entropy, log1m_sum_exp, logsumexp, softmax
from autocog_core.prompts import check_sequence, check_text
from autocog_core.tokens import TokenTree
from autocog_core.types import (
    EOS,
    NORMS,
    ChoiceRequest,
    ChoiceScore,
    ChoiceScores,
    TreeQuery,
    TreeScores,
)

Float64Array = NDArray[np.float64]


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
    def build(cls, caller: Caller, request: ChoiceRequest) -> TokenChoiceTree:
        """Tokenize the choices and lay them out as a tree.

        :raises InputError: see `encode_choices`; also for an unknown norm.
        :raises CapabilityError: for `end=EOS` on a model without one.
        """
        if request.norm not in NORMS:
            raise InputError(
                f"unknown norm {request.norm!r}", where="norm", hint="one of " + ", ".join(NORMS)
            )
        if request.method not in (None, "tree"):
            raise CapabilityError(
                f"method {request.method!r} is not offered", where=caller.who, hint='use "tree"'
            )
        eos = caller.info.eos if request.end is EOS else ()
        if request.end is EOS and not eos:
            raise CapabilityError("the model has no end-of-sequence token", where=caller.who)
        encoded = encode_choices(caller, request)
        unconditional = None
        if request.norm == "pmi":
            unconditional = _unconditional(caller, request)
            check_sequence(unconditional, caller.info, beyond=max(map(len, encoded.decided)))
        return cls(encoded, TokenTree.build(encoded.decided), eos, unconditional)

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
        self, caller: Caller, request: ChoiceRequest, answers: Sequence[TreeScores]
    ) -> ChoiceScores:
        """The scores of every choice, from the engine's answers to `queries`."""
        per_token = [self._token_logprobs(answer.values) for answer in answers]
        rows, unconditional = per_token[0], per_token[1] if len(per_token) > 1 else None
        exclusive, ambiguous = self._exclusive(answers[0].values, rows)
        sums = [float(row.sum()) for row in rows]
        sizes = [len(caller.detokenize(tokens)) for tokens in self.encoded.decided]
        means = [total / len(row) for total, row in zip(sums, rows, strict=True)]
        # A choice of special tokens alone has no bytes: it is scored as if it had one.
        per_byte = [total / max(size, 1) for total, size in zip(sums, sizes, strict=True)]
        pmi: list[float | None] = [None] * len(rows)
        if unconditional is not None:
            pmi = [
                _difference(total, float(row.sum()))
                for total, row in zip(sums, unconditional, strict=True)
            ]
        ranking = {
            "logprob": exclusive,
            "mean": means,
            "per_byte": per_byte,
            "pmi": [float("-inf") if value is None else value for value in pmi],
        }[request.norm]
        prob = softmax(ranking)
        # By the score itself, not by `prob`: two probabilities may round to the same number.
        index = int(np.argmax(ranking))
        # With EOS as the end, the last entry stands for all EOS ids together, under the first's id.
        suffix = self.eos[:1]
        scores = tuple(
            ChoiceScore(
                choice=choice,
                tokens=tokens + suffix,
                token_logprobs=tuple(row.tolist()),
                logprob=total,
                exclusive=alone,
                mean=mean,
                per_byte=byte,
                pmi=information,
                prob=share,
            )
            for choice, tokens, row, total, alone, mean, byte, information, share in zip(
                request.choices,
                self.encoded.decided,
                rows,
                sums,
                exclusive,
                means,
                per_byte,
                pmi,
                prob.tolist(),
                strict=True,
            )
        )
        others = np.delete(prob, index)
        return ChoiceScores(
            index=index,
            scores=scores,
            norm=request.norm,
            boundary=self.encoded.boundary,
            healed_text=self.encoded.healed_text,
            prefix_ambiguous=ambiguous,
            entropy=entropy(prob),
            margin=float(prob[index] - others.max()) if others.size else 1.0,
            evaluated=sum(answer.evaluated for answer in answers),
        )

    def _token_logprobs(self, values: Float64Array) -> list[Float64Array]:
        """For each choice float64 (tokens,): the log-probability of each of its tokens."""
        along = np.minimum(values, 0.0)[self.tree.path_nodes]
        rows = np.split(along, self.tree.path_starts[1:-1])
        if not self.eos:
            return rows
        ends = np.minimum(values, 0.0)[len(self.tree.tokens) :].reshape(len(rows), -1)
        # The ids of EOS are alternatives to one another: their probabilities add up.
        return [
            np.append(row, min(0.0, logsumexp(end))) for row, end in zip(rows, ends, strict=True)
        ]

    def _exclusive(
        self, values: Float64Array, rows: Sequence[Float64Array]
    ) -> tuple[list[float], bool]:
        """Each choice's `exclusive`, and whether any choice begins another one."""
        exclusive = [float(row.sum()) for row in rows]
        inner = set(self.tree.parents.tolist())
        # What follows a choice up to EOS is one outcome, which no longer choice shares.
        beginning = [i for i, end in enumerate(self.tree.ends.tolist()) if end in inner]
        if not beginning:
            return exclusive, False
        if not self.eos:
            children = self.tree.children()
            for i in beginning:
                below = children[int(self.tree.ends[i])]
                exclusive[i] += log1m_sum_exp(values[below])
        return exclusive, not self.eos


def choose_many(caller: Caller, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores]:
    """Score several requests with one call of the engine's tree primitive."""
    trees = [TokenChoiceTree.build(caller, request) for request in requests]
    queries = [tree.queries() for tree in trees]
    answers = iter(caller.greedy_tree([query for group in queries for query in group]))
    return [
        tree.score(caller, request, [next(answers) for _ in group])
        for tree, request, group in zip(trees, requests, queries, strict=True)
    ]


def _unconditional(caller: Caller, request: ChoiceRequest) -> tuple[int, ...]:
    """The ids that pmi conditions on."""
    info = caller.info
    bos = (info.bos,) if info.adds_bos and info.bos is not None else ()
    text = request.unconditional
    if text:
        check_text(text, "unconditional")
        return (*bos, *caller.tokenize([text], at_start=True)[0])
    if not bos:
        raise InputError(
            "pmi needs text to condition on, for this model's tokenizer adds no BOS",
            where="unconditional",
            hint='give for example unconditional="Answer:"',
        )
    return bos


def _difference(conditional: float, unconditional: float) -> float:
    """Conditional - unconditional; -inf where the choice is impossible either way."""
    return conditional if conditional == float("-inf") else conditional - unconditional
