"""The best choices of requests, by a search of their token choice trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import entropy, softmax
from autocog_core.scoring.choice_encoding import EncodedChoices
from autocog_core.scoring.choice_search import ChoiceSearch
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.scoring.unconditional_scores import UnconditionalScorer
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceRequest, ChoiceScores
from autocog_core.types.choice_value import Value
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.types.top_choices import TopChoice, TopChoices

#: Why `prob` is None.
NOT_WHOLE = (
    "the rest of the token choice tree was not read, so `prob` is only known within `prob_bounds`"
)

#: Largest number of searches whose steps are merged. An engine holds their prompts and nodes at
#: once: llama.cpp has at most 256 sequences, and evaluates again what has none.
MERGED_SEARCHES = 16


@dataclass(slots=True)
class TopSearch:
    """The search for the best choices of one request.

    :param client: the model's client.
    :param request: the prompt and the choices.
    :param wanted: how many of the best, and when to stop.
    :param encoded: the tokens of the choices, if they are known.
    :param values: the value of each choice; None for their texts.
    :raises InputError: see `TokenChoiceTree.build`.
    """

    client: BackendClient
    request: ChoiceRequest
    wanted: SearchGoal
    encoded: EncodedChoices | None = None
    values: Sequence[Value] | None = None
    tree: TokenChoiceTree = field(init=False)
    _search: ChoiceSearch = field(init=False)

    def __post_init__(self) -> None:
        client, norm = self.client, self.request.norm
        self.tree = tree = TokenChoiceTree.build(client, self.request, self.encoded)
        unconditional = None
        if norm == "pmi":
            unconditional = UnconditionalScorer.for_model(client).logprobs(tree)
        self._search = ChoiceSearch(
            tree,
            norm=norm,
            wanted=self.wanted,
            nodes_per_step=client.info.nodes_per_step,
            byte_lengths=tree.byte_lengths(client),
            unconditional=unconditional,
        )

    def next_queries(self) -> list[TreeQuery]:
        """Return the queries of the next step; none if the search has ended."""
        return self._search.next_queries()

    def receive(self, answers: Sequence[TreeScores]) -> None:
        """Take the answers to the queries of `next_queries`."""
        self._search.receive(answers)

    def result(self) -> TopChoices:
        """Return the best choices, once there are no more queries."""
        search, tree, request = self._search, self.tree, self.request
        in_order = np.empty_like(search.scores)
        in_order[search.order] = search.scores
        probs = softmax(in_order) if search.is_whole else None
        top = tuple(self._top_choice(position, probs) for position in search.best().tolist())
        spread, margin = (None, None) if probs is None else _entropy_and_margin(probs, top[0].index)
        at_least = self.wanted.at_least
        return TopChoices(
            top=top,
            score_bounds=tuple(in_order.tolist()),
            norm=request.norm,
            boundary=tree.encoded.boundary,
            healed_text=tree.encoded.healed_text,
            has_prefix_choices=search.has_prefix_choices,
            proven=True,
            nodes_read=search.nodes_read,
            nodes=search.nodes,
            steps=search.steps,
            entropy=spread,
            margin=margin,
            is_at_least=None if at_least is None else top[0].prob_bounds[0] >= at_least,
            reason="" if probs is not None else NOT_WHOLE,
            tokens_evaluated=search.tokens_evaluated,
            unconditional_prompt=tree.unconditional_prompt,
        )

    def _top_choice(self, position: int, probs: NDArray[np.float64] | None) -> TopChoice:
        search = self._search
        index = int(search.order[position])
        token_logprobs = search.token_logprobs(position)
        logprob = float(search.logprobs[position])
        prob = None if probs is None else float(probs[index])
        score = float(search.scores[position])
        return TopChoice(
            index=index,
            choice=self.request.choices[index],
            tokens=self.tree.encoded.choice_ids[index] + self.tree.eos[:1],
            token_logprobs=tuple(token_logprobs.tolist()),
            logprob=logprob,
            exclusive_logprob=float(search.exclusive[position]),
            mean_logprob=logprob / len(token_logprobs),
            logprob_per_byte=logprob / int(search.byte_lengths[position]),
            pmi=score if self.request.norm == "pmi" else None,
            given_value=None if self.values is None else self.values[index],
            score=score,
            prob=prob,
            prob_bounds=search.prob_bounds(position) if prob is None else (prob, prob),
        )


def run_searches(client: BackendClient, searches: Sequence[TopSearch]) -> None:
    """Run several searches to their ends. Each step of several is one call of the engine."""
    for begin in range(0, len(searches), MERGED_SEARCHES):
        _run_together(client, searches[begin : begin + MERGED_SEARCHES])


def _run_together(client: BackendClient, searches: Sequence[TopSearch]) -> None:
    while True:
        steps = [(search, group) for search in searches if (group := search.next_queries())]
        if not steps:
            return
        answers = iter(client.greedy_tree([query for _, group in steps for query in group]))
        for search, group in steps:
            search.receive([next(answers) for _ in group])


def best_of_scores(
    scores: ChoiceScores, wanted: SearchGoal, nodes: int | None = None
) -> TopChoices:
    """Return the best choices from the scores of all of them, for a backend without token trees.

    :param scores: the scores.
    :param wanted: how many of the best; all are known.
    :param nodes: number of nodes that were read; None if a backend has its own method.
    """
    name = SCORE_FIELD_OF_NORM[scores.norm]
    ranked = sorted(
        range(len(scores.scores)),
        key=lambda index: (-getattr(scores.scores[index], name), index),
    )
    # Methods without log-probabilities rank by `prob`; so the best one is the backend's.
    ranked.remove(scores.index)
    ranked.insert(0, scores.index)
    top = tuple(_as_top_choice(scores, index, name) for index in ranked[: wanted.top])
    # Scores that are not exact may be lower bounds, so that they bound nothing from above.
    highest = math.inf if scores.norm == "pmi" else 0.0
    return TopChoices(
        top=top,
        score_bounds=tuple(
            float(getattr(score, name)) if scores.exact else highest for score in scores.scores
        ),
        norm=scores.norm,
        boundary=scores.boundary,
        healed_text=scores.healed_text,
        has_prefix_choices=scores.has_prefix_choices,
        proven=scores.exact,
        nodes_read=nodes,
        nodes=nodes,
        steps=1,
        entropy=scores.entropy,
        margin=scores.margin,
        is_at_least=(
            None
            if wanted.at_least is None or not scores.exact
            else top[0].prob_bounds[0] >= wanted.at_least
        ),
        exact=scores.exact,
        method=scores.method,
        reason=scores.reason,
        tokens_evaluated=scores.tokens_evaluated,
        unconditional_prompt=scores.unconditional_prompt,
    )


def _as_top_choice(scores: ChoiceScores, index: int, field_name: str) -> TopChoice:
    score = scores.scores[index]
    return TopChoice(
        index=index,
        choice=score.choice,
        tokens=score.tokens,
        token_logprobs=score.token_logprobs,
        logprob=score.logprob,
        exclusive_logprob=score.exclusive_logprob,
        mean_logprob=score.mean_logprob,
        logprob_per_byte=score.logprob_per_byte,
        pmi=score.pmi,
        given_value=score.given_value,
        score=float(getattr(score, field_name)),
        prob=score.prob,
        prob_bounds=(score.prob, score.prob) if scores.exact else (0.0, 1.0),
    )


def _entropy_and_margin(probs: NDArray[np.float64], index: int) -> tuple[float, float]:
    others = np.delete(probs, index)
    margin = float(probs[index] - others.max()) if others.size else 1.0
    return entropy(probs), margin
