"""Choices without log-probabilities: a constrained answer, or the server's own decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScore, ChoiceScores, InputError
from autocog_core.toolkit import entropy
from autocog_openai.connection.answer_fields import (
    ROUNDING,
    FieldError,
    as_list,
    as_object,
    as_probability,
    as_text,
    first_item,
    optional,
    reading,
    required,
)
from autocog_openai.connection.errors import RefusedError
from autocog_openai.connection.finish_reasons import end_kind
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.chat import check_refusal, read_content
from autocog_openai.routes.decisions import PATH, decision_body
from autocog_openai.routes.messages import begun_answer, template_arguments_of


def choose_constrained(model: ServerModel, request: ChoiceRequest, reason: str) -> ChoiceScores:
    """Return the choice that the model writes if it is constrained to the choices.

    :param reason: why the scores are not exact.
    :raises RefusedError: if the model refuses to answer.
    :raises CapabilityError: if the server constrains no answer that has begun.
    """
    choices = list(request.choices)
    route, connection = model.chat_route, model.connection
    parameters = model.dialect.constraint_parameters(choices)
    body = route.messages_body(
        model.messages(request.prompt), template_arguments_of(request.prompt), **parameters
    )
    if "temperature" not in model.capabilities.refused_parameters:
        body["temperature"] = 0
    counter = UsageCounter()
    try:
        answer = connection.post(route.path, body, counter=counter)
    except InputError as error:
        if not begun_answer(body["messages"]):
            raise
        raise CapabilityError(
            f"the server cannot constrain an answer that has begun: {error.message}",
            where=connection.where,
            hint="leave out the text between the messages and the choices",
        ) from error
    with reading(connection.where):
        choice = first_item(answer, "choices")
        message = required(choice, "message", as_object)
        check_refusal(message, connection.where)
        if end_kind(optional(choice, "finish_reason", as_text)) == "refused":
            raise RefusedError("the model refused: content filter", where=connection.where)
        index = choices.index(model.dialect.read_constrained_choice(read_content(message)))
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
    with reading(model.connection.where):
        decision = first_item(answer, "answers")
        if required(decision, "type", as_text) == "refusal":
            raise RefusedError("the model refused", where=model.connection.where)
        probability_of = {
            required(entry, "value", as_text): required(entry, "probability", as_probability)
            for entry in required(decision, "probabilities", as_list)
        }
        missing = [choice for choice in choices if choice not in probability_of]
        if missing:
            raise FieldError(f"there is no probability of {missing[0]!r}")
        probabilities = [probability_of[choice] for choice in choices]
        if sum(probabilities) > 1 + ROUNDING:
            # It may be below 1: the server may reserve probability for none of the choices.
            raise FieldError(f"{probabilities} are not probabilities")
        index = choices.index(required(decision, "choice", as_text))
    return _scores(request, probabilities, index, method="decision", reason=reason, counter=counter)


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
