"""Scores of choices from the scores of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autocog_core.automaton.choices import ChoiceTexts
from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_texts import drop_equal_texts, merge_texts
from autocog_core.scoring.choice_tree import choose_many
from autocog_core.scoring.top_choices import (
    TopSearch,
    best_of_scores,
    run_searches,
)
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.top_choices import TopChoices


def choose_one(
    client: BackendClient, request: ChoiceRequest, texts: ChoiceTexts | None
) -> ChoiceScores:
    """Return the scores of choices, by the backend's `choose`.

    :param client: the model's client.
    :param request: the request for all texts.
    :param texts: how the texts make the choices; None if each choice is one text.
    """
    if texts is None:
        return client.choose(request)
    request, owners = _distinct(client, request, texts)
    return merge_texts(client.choose(request), owners, texts.values)[0]


def choose_together(
    client: BackendClient, requests: Sequence[tuple[ChoiceRequest, ChoiceTexts | None]]
) -> list[ChoiceScores]:
    """Return the scores of several requests, with one call of the engine.

    :param client: the model's client.
    :param requests: the requests; see `choose_one`.
    """
    distinct = [_distinct(client, request, texts) for request, texts in requests]
    return _merged(choose_many(client, [request for request, _ in distinct]), distinct, requests)


def choose_by_backend(
    client: BackendClient, requests: Sequence[tuple[ChoiceRequest, ChoiceTexts | None]]
) -> list[ChoiceScores]:
    """Return the scores of several requests by the backend's own methods.

    They are one call of its `choose_many`, if it has that for them, else one `choose` for each.

    :param client: the model's client.
    :param requests: the requests; see `choose_one`.
    """
    if len(requests) > 1 and "choose_many" in client.capabilities:
        distinct = [_distinct(client, request, texts) for request, texts in requests]
        results = client.choose_many([request for request, _ in distinct])
        if results is not None:
            return _merged(results, distinct, requests)
    return [choose_one(client, request, texts) for request, texts in requests]


def choose_top(
    client: BackendClient,
    requests: Sequence[tuple[ChoiceRequest, ChoiceTexts | None]],
    wanted: SearchGoal,
) -> list[TopChoices]:
    """Return the best choices of several requests, from a part of their trees if possible.

    A backend without token distributions finds them by its own method, or scores all choices.
    All are also scored if a choice has several texts.

    :param client: the model's client.
    :param requests: the requests; see `choose_one`.
    :param wanted: how many of the best, and when to stop.
    """
    has_trees = bool({"greedy_impl", "greedy_tree_impl"} & set(client.capabilities))
    searches: list[TopSearch | None] = []
    for index, (request, texts) in enumerate(requests):
        has_several = texts is not None and texts.has_several
        if not has_trees or has_several or request.method not in (None, "tree"):
            searches.append(None)
            continue
        values = None if texts is None else texts.values
        try:
            searches.append(TopSearch(client, request, wanted, values=values))
        except InputError as error:
            if len(requests) > 1:
                error.where = f"prompts[{index}], {error.where}"
            raise
    run_searches(client, [search for search in searches if search is not None])
    return [
        _choose_top_by_backend(client, *pair, wanted) if search is None else search.result()
        for search, pair in zip(searches, requests, strict=True)
    ]


def _choose_top_by_backend(
    client: BackendClient, request: ChoiceRequest, texts: ChoiceTexts | None, wanted: SearchGoal
) -> TopChoices:
    """Return the best choices by the backend's own method."""
    if texts is not None and texts.has_several:
        # The texts of a choice count together, so that each of them matters.
        return best_of_scores(choose_one(client, request, texts), wanted)
    answer = client.choose_top(replace(request, top=wanted))
    if isinstance(answer, TopChoices):
        if texts is None:
            return answer
        top = (replace(choice, given_value=texts.values[choice.index]) for choice in answer.top)
        return replace(answer, top=tuple(top))
    if texts is not None:
        answer = merge_texts(answer, texts.owners, texts.values)[0]
    return best_of_scores(answer, wanted)


def _merged(
    results: Sequence[ChoiceScores],
    distinct: Sequence[tuple[ChoiceRequest, tuple[int, ...]]],
    requests: Sequence[tuple[ChoiceRequest, ChoiceTexts | None]],
) -> list[ChoiceScores]:
    """Return the scores of choices from those of the texts that `_distinct` left."""
    return [
        result if texts is None else merge_texts(result, owners, texts.values)[0]
        for result, (_, owners), (_, texts) in zip(results, distinct, requests, strict=True)
    ]


def _distinct(
    client: BackendClient, request: ChoiceRequest, texts: ChoiceTexts | None
) -> tuple[ChoiceRequest, tuple[int, ...]]:
    """Return the request without texts that repeat the tokens of their choice, and the owners."""
    if texts is None:
        return request, ()
    if not texts.has_several:
        return request, texts.owners
    return drop_equal_texts(client, request, texts.owners)
