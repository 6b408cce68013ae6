"""Checks of messages, and of where conversations begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

from autocog_core.automaton.actions import Action, Ask, Messages, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.messages import ChatMessage
from autocog_core.automaton.templates.template import Template, is_template
from autocog_core.automaton.thinking import Thinking
from autocog_core.errors import InputError
from autocog_core.types.prompt import check_template_arguments, check_text

#: What stands before an action in its text: nothing, a conversation, or text outside of messages.
_Before = Literal["nothing", "chat", "text"]

TEXT_BEFORE_MESSAGES = (
    "text stands before the first messages, which belongs to no message: put it into one, or begin "
    "the conversation with `context: fresh`"
)


def check_messages_action(action: Messages) -> Iterator[str]:
    """Yield a message for each error in the fields of an action."""
    if not action.messages:
        yield "has no messages: give at least one"
    if action.name is not None:
        yield "messages are no field: remove the name, or name the action that answers them"
    if action.model is not None:
        yield "messages are for all models: give `model` to the actions that answer them"
    for index, message in enumerate(action.messages):
        where = f"messages[{index}]"
        if type(message) is not ChatMessage:
            yield f'{where} is {message!r}: give a ChatMessage, or "role" and "content"'
            continue
        if not isinstance(message.role, str) or not message.role:
            yield f"{where} has no role: give one, such as user"
        if not isinstance(message.content, Template):
            try:
                check_text(message.content, where)
            except InputError as error:
                yield str(error)
    if action.template_arguments is not None:
        try:
            check_template_arguments(action.template_arguments)
        except InputError as error:
            yield str(error)
        else:
            for name, value in action.template_arguments.items():
                if isinstance(value, str) and is_template(value):
                    yield f"template_arguments: {name} is a template, which is not filled in"


def check_thinking(thinking: object) -> Iterator[str]:
    """Yield a message for each error in the thinking of an action; None is no thinking."""
    if thinking is None:
        return
    if not isinstance(thinking, Thinking):
        yield f"thinking is {thinking!r}: give a Thinking"
        return
    if thinking.length < 1:
        yield f"thinking: length is {thinking.length}: give 1 or more"
    if thinking.end is not None and not thinking.end:
        yield "thinking: end is empty: give text, or omit it"
    for name, text in (("end", thinking.end or ""), ("after", thinking.after)):
        try:
            check_text(text, f"thinking: {name}")
        except InputError as error:
            yield str(error)


def check_conversations(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield an error for messages that a path reaches after text outside of messages."""
    if any(isinstance(action, Messages) for action in automaton.all_actions):
        yield from _check(automaton, "nothing")


def _check(automaton: AutomatonGraph, start: _Before) -> Iterator[Finding]:
    first = (automaton.entry.uid, start)
    waiting = deque([first])
    seen = {first}
    reported: set[str] = set()
    while waiting:
        uid, before = waiting.popleft()
        action = automaton.by_uid[uid]
        if action.is_fresh:
            before = "nothing"
        if isinstance(action, Messages) and before == "text" and uid not in reported:
            reported.add(uid)
            yield Finding.at_action(TEXT_BEFORE_MESSAGES, action)
        if isinstance(action, Ask):
            for graph in automaton.question_graphs(action)[: len(action.first_questions)]:
                yield from _check(graph, before)
        after = _after(action, before)
        for successor in action.successors:
            if (successor, after) not in seen:
                seen.add((successor, after))
                waiting.append((successor, after))


def _after(action: Action, before: _Before) -> _Before:
    if isinstance(action, Messages):
        return "chat"
    has_no_text = isinstance(action, Ask) or (isinstance(action, Text) and action.text == "")
    return before if has_no_text or before == "chat" else "text"
