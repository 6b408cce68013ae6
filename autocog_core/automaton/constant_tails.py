"""The constant text directly before an action, which the norm "pmi" conditions on without BOS."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.automaton.actions import Action, Ask, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import Template
from autocog_core.types.prompt import Prompt, join_text


@dataclass(frozen=True, kw_only=True, slots=True)
class TextsBefore:
    """The constant texts that stand directly before an action, on all paths to it.

    :ivar tails: the constant text of each Text action among them.
    :ivar may_be_empty: whether a path comes from a value of an input, a choice or a completion,
        without constant text in between.
    :ivar may_be_whole: whether a path begins with constant text alone.
    """

    tails: tuple[str, ...]
    may_be_empty: bool
    may_be_whole: bool


def find_texts_before(automaton: AutomatonGraph, action: Action) -> TextsBefore:
    """Return the constant texts directly before an action.

    :param automaton: an automaton whose successors exist.
    :param action: one of its actions.
    """
    predecessors: dict[str, list[Action]] = {uid: [] for uid in automaton.by_uid}
    for other in automaton.actions:
        for uid in dict.fromkeys(other.successors):
            predecessors[uid].append(other)
    tails: dict[str, str] = {}
    is_empty = is_whole = False
    # An action before which the text is wanted, and whether there is some after it.
    waiting = [(action, False)]
    seen = {(action.uid, False)}
    while waiting:
        current, has_text = waiting.pop()
        is_whole |= current is automaton.entry or current.is_fresh
        # A new text has nothing before it.
        for before in () if current.is_fresh else predecessors[current.uid]:
            tail, goes_on = _tail_of(before)
            tails[before.uid] = tail
            has_more = has_text or bool(tail)
            if not goes_on:
                is_empty |= not has_more
            elif (before.uid, has_more) not in seen:
                seen.add((before.uid, has_more))
                waiting.append((before, has_more))
    return TextsBefore(
        tails=tuple(filter(None, tails.values())), may_be_empty=is_empty, may_be_whole=is_whole
    )


def _tail_of(action: Action) -> tuple[str, bool]:
    """Return the constant tail of an action, and whether all of the action is constant."""
    if isinstance(action, Ask):
        # After a group, the text before it continues.
        return "", True
    if isinstance(action, Messages):
        # The beginning of the assistant's turn, as it stands in most templates.
        return "assistant", False
    if not isinstance(action, Text):
        return "", False
    match action.text:
        case Template() as template:
            tail = template.constant_tail if action.constant_tail is None else action.constant_tail
            text = template.source
        case Prompt(pieces):
            tail, text = action.constant_tail, join_text(pieces)
        case str(text):
            tail = action.constant_tail
    return (text, True) if tail is None else (tail, False)
