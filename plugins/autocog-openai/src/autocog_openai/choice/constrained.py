"""Choices without log-probabilities: a constrained answer, or the server's own decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autocog_core import ChoiceRequest, ChoiceScore, ChoiceScores
from autocog_core.toolkit import entropy
from autocog_openai.connection.errors import RefusedError, malformed_answer_error
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.chat import check_refusal
from autocog_openai.routes.decisions import PATH, decision_body

#: How much the probabilities of a decision may sum to above 1: the server rounds.
SUM_TOLERANCE = 1e-3


def choose_constrained(model: ServerModel, request: ChoiceRequest, reason: str) -> ChoiceScores:
    """Return the choice that the model writes if it is constrained to the choices.

    :param reason: why the scores are not exact.
    :raises RefusedError: if the model refuses to answer.
    """
    choices = list(request.choices)
    route, connection = model.chat_route, model.connection
    parameters = model.dialect.constraint_parameters(choices)
    body = route.messages_body(model.messages(request.prompt), **parameters)
    if "temperature" not in model.capabilities.refused_parameters:
        body["temperature"] = 0
    counter = UsageCounter()
    answer = connection.post(route.path, body, counter=counter)
    try:
        choice = answer["choices"][0]
        check_refusal(choice, connection.where)
        text = choice["message"]["content"]
        index = choices.index(model.dialect.read_constrained_choice(text))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed_answer_error(connection.where, error) from error
    probabilities = [float(i == index) for i in range(len(choices))]
    return _scores(request, probabilities, index, method="pick", reason=reason, counter=counter)


def choose_by_server(model: ServerModel, request: ChoiceRequest, reason: str) -> ChoiceScores:
    """Return the server's decision, with the server's probabilities.

    :param reason: why the scores are not exact.
    :raises RefusedError: if the model refuses to answer.
    """
    choices = list(request.choices)
    body = decision_body(
        model.capabilities.model,
        model.messages(request.prompt),
        instructions="Which of these continues the input best?",
        choices=choices,
    )
    counter = UsageCounter()
    answer = model.connection.post(PATH, body, counter=counter)
    try:
        decision = answer["answers"][0]
        if decision["type"] == "refusal":
            raise RefusedError("the model refused", where=model.connection.where)
        probability_of = {
            entry["value"]: float(entry["probability"]) for entry in decision["probabilities"]
        }
        probabilities = [probability_of[choice] for choice in choices]
        index = choices.index(decision["choice"])
        if not _is_distribution(probabilities):
            raise ValueError(f"{probabilities} are not probabilities")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed_answer_error(model.connection.where, error) from error
    return _scores(request, probabilities, index, method="decision", reason=reason, counter=counter)


def _is_distribution(probabilities: Sequence[float]) -> bool:
    # The sum may be below 1: the server may reserve probability for none of the choices.
    is_bounded = all(0.0 <= probability <= 1.0 for probability in probabilities)
    return is_bounded and sum(probabilities) <= 1.0 + SUM_TOLERANCE


def _scores(
    request: ChoiceRequest,
    probabilities: Sequence[float],
    index: int,
    *,
    method: str,
    reason: str,
    counter: UsageCounter,
) -> ChoiceScores:
    """Return scores without tokens, so that autocog adds nothing to a path's log-probability."""
    scores = []
    for choice, probability in zip(request.choices, probabilities, strict=True):
        logprob = math.log(probability) if probability > 0 else -math.inf
        score = ChoiceScore(
            choice=choice,
            tokens=(),
            token_logprobs=(),
            logprob=logprob,
            exclusive_logprob=logprob,
            mean_logprob=logprob,
            logprob_per_byte=logprob,
            pmi=None,
            prob=probability,
        )
        scores.append(score)
    others = [probability for i, probability in enumerate(probabilities) if i != index]
    return ChoiceScores(
        index=index,
        scores=tuple(scores),
        norm=request.norm,
        boundary="token_ids",
        healed_text="",
        has_prefix_choices=False,
        entropy=entropy(np.array(probabilities)),
        margin=probabilities[index] - max(others, default=0.0),
        exact=False,
        method=method,
        reason=reason,
        tokens_evaluated=counter.tokens_evaluated,
    )
