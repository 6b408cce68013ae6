"""Choices with several texts: which texts count, and the scores of the choices from theirs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import entropy, logsumexp, softmax
from autocog_core.scoring.choice_encoding import EncodedChoices, encode_choices
from autocog_core.types.choice import UNSCORED_METHODS, ChoiceRequest, ChoiceScore, ChoiceScores
from autocog_core.types.choice_value import Value


def encode_distinct_texts(
    client: BackendClient, request: ChoiceRequest, owners: Sequence[int]
) -> tuple[ChoiceRequest, EncodedChoices, tuple[int, ...]]:
    """Tokenize the texts of choices. Texts of one choice with equal tokens count once.

    :param client: the model's client.
    :param request: the prompt and all texts.
    :param owners: for each text, the index of its choice.
    :returns: the request without repeated texts, their tokens, and their owners.
    :raises InputError: see `encode_choices`.
    """
    encoded = encode_choices(client, request, owners=owners)
    first: dict[tuple[int, ...], int] = {}
    for index, ids in enumerate(encoded.choice_ids):
        first.setdefault(ids, index)
    kept = list(first.values())
    if len(kept) == len(owners):
        return request, encoded, tuple(owners)
    return (
        replace(request, choices=tuple(request.choices[index] for index in kept)),
        replace(encoded, choice_ids=tuple(encoded.choice_ids[index] for index in kept)),
        tuple(owners[index] for index in kept),
    )


def drop_equal_texts(
    client: BackendClient, request: ChoiceRequest, owners: Sequence[int]
) -> tuple[ChoiceRequest, tuple[int, ...]]:
    """Return a request without the texts that repeat the tokens of their choice, and the owners.

    Without a tokenizer, all texts count.
    """
    with suppress(CapabilityError, ConfigError):
        request, _, owners = encode_distinct_texts(client, request, owners)
    return request, tuple(owners)


def merge_texts(
    result: ChoiceScores, owners: Sequence[int], values: Sequence[Value]
) -> tuple[ChoiceScores, tuple[int, ...]]:
    """Return the scores of choices from those of their texts, and each choice's likeliest text.

    docs/semantics.md, "Choices with several texts", defines them.

    :param result: the scores of all texts, by the norm "sum" if a choice has several.
    :param owners: for each text, the index of its choice; the texts of a choice are neighbors.
    :param values: the value of each choice.
    :returns: the scores, and for each choice the index of its likeliest text.
    """
    groups: list[list[int]] = [[] for _ in values]
    for index, owner in enumerate(owners):
        groups[owner].append(index)
    texts = result.scores
    is_scored = result.method not in UNSCORED_METHODS
    likeliest = tuple(
        max(group, key=lambda index: (_rank(texts[index], is_scored), -index)) for group in groups
    )
    if len(texts) == len(values):
        scores = [
            replace(text, given_value=value) for text, value in zip(texts, values, strict=True)
        ]
        return replace(result, scores=tuple(scores)), likeliest
    exclusive = [logsumexp([texts[i].exclusive_logprob for i in group]) for group in groups]
    probs = np.array([sum(texts[i].prob for i in group) for group in groups])
    ranking = probs
    if is_scored:
        exclusive = [min(0.0, value) for value in exclusive]
        ranking = np.array(exclusive)
        if result.exact:
            probs = softmax(ranking)
    index = int(np.argmax(ranking))
    others = np.delete(probs, index)
    scores = [
        replace(
            texts[best],
            exclusive_logprob=exclusive[choice],
            prob=float(probs[choice]),
            given_value=values[choice],
            texts=tuple(texts[i] for i in group) if len(group) > 1 else (),
        )
        for choice, (best, group) in enumerate(zip(likeliest, groups, strict=True))
    ]
    merged = replace(
        result,
        index=index,
        scores=tuple(scores),
        entropy=entropy(probs),
        margin=float(probs[index] - others.max()) if others.size else 1.0,
    )
    return merged, likeliest


def _rank(text: ChoiceScore, is_scored: bool) -> float:
    return text.exclusive_logprob if is_scored else text.prob
