"""Warnings about the arguments of a call. They cost no call of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.issue import warn
from autocog_core.advice.joints import Problem, choice_problems, completion_problems
from autocog_core.advice.special_tokens import (
    is_chat_model,
    is_plain_question,
    role_problems,
    special_token_problems,
    template_problem,
)
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_lengths import length_warning
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Message, Prompt, TextPiece


def warn_about_choices(client: BackendClient, request: ChoiceRequest) -> None:
    """Warn about choices that do not fit the end of the prompt, and about the prompt.

    :param client: the model's client.
    :param request: a request without errors.
    """
    _warn(choice_problems(_end(request.prompt), request.choices))
    if message := length_warning(request.choices, request.norm):
        warn(WarningCode.CHOICE_LENGTHS_DIFFER, message)
    _warn_about_prompt(client, request.prompt)


def warn_about_completion(client: BackendClient, request: CompletionRequest) -> None:
    """Warn about the end of a prompt that the model continues, and about the prompt."""
    # A constraint decides how the text begins, whatever tokens the model would take.
    if request.constraint is None:
        _warn(completion_problems(_end(request.prompt)))
    _warn_about_prompt(client, request.prompt)


def warn_about_messages(messages: Sequence[Message]) -> None:
    """Warn about roles that chat templates do not know."""
    _warn(role_problems(messages))


def _warn_about_prompt(client: BackendClient, prompt: Prompt) -> None:
    _warn(special_token_problems(prompt, client.info))
    if is_plain_question(prompt) and is_chat_model(client.info, client.capabilities):
        _warn([template_problem()])


def _end(prompt: Prompt) -> str:
    """Return the last text of a prompt; empty if it ends in token ids."""
    last = prompt.pieces[-1] if prompt.pieces else None
    return last.text if isinstance(last, TextPiece) else ""


def _warn(problems: Iterable[Problem]) -> None:
    for code, message in problems:
        warn(code, message)
