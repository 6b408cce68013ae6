"""Scores of choices from the scores of their texts."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.automaton.choices import ChoiceTexts
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_texts import drop_equal_texts, merge_texts
from autocog_core.scoring.choice_tree import choose_many
from autocog_core.types.choice import ChoiceRequest, ChoiceScores


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
    results = choose_many(client, [request for request, _ in distinct])
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
