"""Choices by the server's own decisions: all questions about one state go in one request.

The prompt is the state. If it has two pieces of text, the second one is the instructions. The
choices are the options, without the blanks around them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, Prompt, TextPiece
from autocog_core.toolkit import limited_groups
from autocog_openai.choice.unscored import unscored_choices
from autocog_openai.connection.answer_fields import reading
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.decisions.protocol import Decision, DecisionProtocol, DecisionQuestion, State
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.messages import has_messages, template_arguments_of

#: The most options of all questions of one request. Those of one question stay together.
MAX_OPTIONS = 10_000
#: How far the sum of the probabilities may be off without a word.
MAX_SUM_ERROR = 1e-5


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with the request that it is of, and the place of that."""

    place: int
    request: ChoiceRequest
    question: DecisionQuestion


def choose_by_decision(
    model: ServerModel,
    protocol: DecisionProtocol,
    requests: Sequence[ChoiceRequest],
    reason: str,
) -> list[ChoiceScores]:
    """Return the server's decisions, with the server's probabilities.

    :param protocol: the route to ask.
    :param reason: why this method is used.
    :raises CapabilityError: for arguments that need the log-probabilities of texts.
    :raises RefusedError: if the model refuses to answer.
    """
    for request in requests:
        _check(model, request)
    groups = list(_groups(model, requests))

    def send(group: tuple[State, list[_Asked]]) -> list[ChoiceScores]:
        return _decide(model, protocol, *group, reason)

    scores: dict[int, ChoiceScores] = {}
    answers = model.connection.map_concurrently(send, groups)
    for (_, asked), group_scores in zip(groups, answers, strict=True):
        places = [each.place for each in asked]
        scores.update(zip(places, group_scores, strict=True))
    return [scores[place] for place in range(len(requests))]


def _check(model: ServerModel, request: ChoiceRequest) -> None:
    problem = ""
    if request.norm != "sum":
        problem = f"the norm {request.norm} (pmi, mean and per_byte need log-probabilities)"
    elif request.suffix is not None:
        problem = "a suffix, because the options are no part of a text"
    elif template_arguments_of(request.prompt):
        problem = "variables of the chat template, because the server makes the text"
    elif _is_rendered(request.prompt):
        problem = "token ids or text in which special tokens count, such as messages that the "
        problem += 'server rendered (api = "chat" sends messages as they are)'
    if problem:
        raise CapabilityError(
            f'the method "decision" does not take {problem}',
            where=model.connection.where,
            hint="leave it out, or use another method",
        )


def _groups(
    model: ServerModel, requests: Sequence[ChoiceRequest]
) -> Iterator[tuple[State, list[_Asked]]]:
    """Yield the questions of each request to the server, with their state."""
    by_state: dict[tuple[str, int], tuple[State, list[_Asked]]] = {}
    for place, request in enumerate(requests):
        state, instructions = _state_of(model, request)
        question = DecisionQuestion(_option_names(request.choices), instructions)
        asked = _Asked(place, request, question)
        # An isolated request is a request to the server of its own.
        key = (repr(state), place if request.isolate else -1)
        by_state.setdefault(key, (state, []))[1].append(asked)
    limits = (model.dialect.max_decision_questions, MAX_OPTIONS)
    for state, all_asked in by_state.values():
        for group in limited_groups(all_asked, _sizes, limits):
            yield state, group


def _sizes(asked: _Asked) -> tuple[int, int]:
    return 1, len(asked.question.options)


def _state_of(model: ServerModel, request: ChoiceRequest) -> tuple[State, str]:
    """Return the state and the instructions of a prompt."""
    if has_messages(request.prompt):
        return model.messages(request.prompt), ""
    match request.prompt.pieces:
        case (TextPiece() as first, TextPiece() as second) if first.text and second.text.strip():
            return first.text, second.text.strip()
    return "".join(message["content"] for message in model.messages(request.prompt)), ""


def _is_rendered(prompt: Prompt) -> bool:
    """Whether the prompt may have special tokens: the server would take them for plain text."""
    if has_messages(prompt):
        return False
    return any(not isinstance(piece, TextPiece) or piece.trusted for piece in prompt.pieces)


def _option_names(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the choices without the blanks around them, if they then still differ."""
    names = tuple(choice.strip() for choice in choices)
    return names if all(names) and len(set(names)) == len(names) else choices


def _decide(
    model: ServerModel,
    protocol: DecisionProtocol,
    state: State,
    asked: Sequence[_Asked],
    reason: str,
) -> list[ChoiceScores]:
    connection, counter = model.connection, UsageCounter()
    questions = [each.question for each in asked]
    body: dict[str, Any] = protocol.body(model.capabilities.model, state, questions)
    answer = connection.post(protocol.path, body, counter=counter)
    with reading(connection.where):
        decisions = protocol.read(answer, questions, connection.where)
    costs = _shares(counter.tokens_evaluated, len(asked))
    return [
        unscored_choices(
            each.request,
            decision.probs,
            decision.index,
            method="decision",
            reason="; ".join((reason, *_notes(protocol, each, decision))),
            tokens_evaluated=cost,
        )
        for each, decision, cost in zip(asked, decisions, costs, strict=True)
    ]


def _notes(protocol: DecisionProtocol, asked: _Asked, decision: Decision) -> Iterator[str]:
    yield (
        f"the probabilities are those of the server's decision (/{protocol.path}), not of the texts"
    )
    if abs(decision.total - 1) > MAX_SUM_ERROR:
        yield f"they summed to {decision.total:.3f}"
    if asked.question.options != asked.request.choices:
        yield "blanks around the choices were removed"


def _shares(tokens: int | None, count: int) -> list[int | None]:
    """Return the tokens of a request as equal parts of its questions, which have the same sum."""
    if tokens is None:
        return [None] * count
    share, rest = divmod(tokens, count)
    return [share + (place < rest) for place in range(count)]
