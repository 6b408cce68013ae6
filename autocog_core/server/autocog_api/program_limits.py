"""How much a client's program may ask for."""

from __future__ import annotations

from collections.abc import Iterator

from autocog_core.automaton.actions import Action, Choose, Complete, Record
from autocog_core.config.server_config import ServerLimits
from autocog_core.model.automaton import Automaton
from autocog_core.server.request_errors import RequestError


def check_program(automaton: Automaton, limits: ServerLimits) -> None:
    """Check the sizes in a client's program. Limits of its runs are those of their budget.

    :param automaton: the program.
    :param limits: the limits of the server.
    :raises RequestError: naming the action that asks for too much.
    """
    for action in automaton.all_actions:
        for name, tokens in _token_counts(action):
            if tokens > limits.output_tokens:
                _refuse(action, f"{name} is {tokens:,}", limits.output_tokens)
        if isinstance(action, Choose) and len(action.choices) > limits.options:
            _refuse(action, f"{len(action.choices):,} choices", limits.options)


def _token_counts(action: Action) -> Iterator[tuple[str, int]]:
    if isinstance(action, Complete):
        yield "length", action.length
    if isinstance(action, Record):
        yield "max_tokens_per_text", action.max_tokens_per_text
    if isinstance(action, Choose | Complete) and action.thinking is not None:
        yield "length of thinking", action.thinking.length


def _refuse(action: Action, what: str, limit: int) -> None:
    raise RequestError(
        f'action "{action.uid}": {what}; this server takes {limit:,}', parameter="program"
    )
