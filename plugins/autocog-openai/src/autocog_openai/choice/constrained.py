"""Choices without log-probabilities: an answer that is constrained to the choices."""

from __future__ import annotations

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, InputError
from autocog_openai.choice.unscored import unscored_choices
from autocog_openai.connection.answer_fields import (
    as_object,
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
    return unscored_choices(
        request,
        probabilities,
        index,
        method="pick",
        reason=reason,
        tokens_evaluated=counter.tokens_evaluated,
    )
