"""What is wrong with an automaton, found before any model is asked: all faults at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autocog_core.errors import InputError, did_you_mean
from autocog_core.fta.actions import Action, Choose, Complete, Text
from autocog_core.fta.binding import templates_of
from autocog_core.fta.templates import Each, Template
from autocog_core.pieces import Prompt, TextPiece
from autocog_core.types import NORMS

if TYPE_CHECKING:
    from autocog_core.fta.automaton import Automaton


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault or a warning: what it is, and at which action.

    :ivar uid: the action's; None where it is of the whole.
    :ivar warning: whether the automaton runs all the same.
    """

    what: str
    where: str
    uid: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def faults_of(automaton: Automaton) -> list[Finding]:
    """Everything that keeps an automaton from being run."""
    if not automaton.actions:
        return [Finding("there are no actions", "automaton")]
    found = list(_names(automaton))
    for action in automaton.actions:
        found += [finding(what, action) for what in _own(action, automaton)]
        found += [finding(what, action) for what in _wiring(action, automaton)]
    if not found:
        # Only a graph whose edges lead somewhere can be walked.
        found += _unreachable(automaton)
        found += _unbounded(automaton)
    return found


def finding(what: str, action: Action, *, warning: bool = False) -> Finding:
    """What was found at an action."""
    return Finding(what, f'action "{action.uid}"', action.uid, warning)


def _names(automaton: Automaton) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, action in enumerate(automaton.actions):
        if not isinstance(action.uid, str) or not action.uid:
            yield Finding("has no uid", f"action {number}")
        elif action.uid in seen:
            yield finding("another action has the same uid", action)
        seen.add(action.uid)


def _own(action: Action, automaton: Automaton) -> Iterator[str]:
    """What is wrong with an action by itself."""
    if action.max_visits is not None and action.max_visits < 1:
        yield f"max_visits is {action.max_visits}: give 1 or more"
    yield from _templates(action, automaton)
    match action:
        case Text():
            if isinstance(action.text, Prompt) and not all(
                isinstance(piece, TextPiece) for piece in action.text.pieces
            ):
                yield "text has pieces of token ids: give text"
        case Choose():
            yield from _choices(action)
            yield from _pruning(action)
            if action.norm not in NORMS:
                yield f"unknown norm {action.norm!r}: one of " + ", ".join(NORMS)
        case Complete():
            yield from _completion(action, automaton)
            yield from _pruning(action)


def _templates(action: Action, automaton: Automaton) -> Iterator[str]:
    for template in templates_of(action):
        try:
            names = template.names
        except InputError as error:
            yield str(error)
            continue
        for name in sorted(names - automaton.inputs.keys()):
            hint = did_you_mean(name, automaton.inputs) or "the automaton declares none"
            yield f'a template names the unknown input "{name}": {hint}'


def _choices(action: Choose) -> Iterator[str]:
    if not action.choices:
        yield "there are no choices"
    seen: set[str] = set()
    for number, choice in enumerate(action.choices):
        if isinstance(choice, Template | Each):
            # Known when the inputs are.
            continue
        if not isinstance(choice, str) or not choice:
            yield f"choice {number} is empty"
        elif choice in seen:
            yield f"choice {number}, {choice!r}, was given before"
        seen.add(choice)


def _pruning(action: Choose | Complete) -> Iterator[str]:
    if action.width is not None and action.width < 1:
        yield f"width is {action.width}: give 1 or more, or none for all"
    if not 0 <= action.threshold <= 1:
        yield f"threshold is {action.threshold}: give 0 to 1"
    if action.threshold_on not in ("prob", "mean"):
        yield f'threshold_on is {action.threshold_on!r}: give "prob" or "mean"'


def _completion(action: Complete, automaton: Automaton) -> Iterator[str]:
    if action.length < 1:
        yield f"length is {action.length}: give 1 or more"
    if action.beams < 1:
        yield f"beams is {action.beams}: give 1 or more"
    if action.samples < 0:
        yield f"samples is {action.samples}: give 1 or more, or 0 for beam search"
    if action.samples and action.beams > 1:
        yield "it has both beams and samples: give one of them"
    if action.samples and not action.temperature > 0:
        yield f"temperature is {action.temperature}: give more than 0, or leave samples out"
    if not 0 < action.top_p <= 1:
        yield f"top_p is {action.top_p}: give more than 0, at most 1"
    if any(not isinstance(stop, str) or not stop for stop in action.stop):
        yield "a stop is empty"
    if isinstance(action.vocab, str) and action.vocab not in automaton.vocabs:
        hint = did_you_mean(action.vocab, automaton.vocabs) or "the automaton has none"
        yield f'unknown vocab "{action.vocab}": {hint}'


def _wiring(action: Action, automaton: Automaton) -> Iterator[str]:
    count = len(action.successors)
    if isinstance(action, Choose):
        if count > 1 and count != len(action.choices):
            yield (
                f"{count} successors for {len(action.choices)} choices: "
                "give one for all, one for each, or none"
            )
    elif count > 1:
        yield f"{count} successors: at most one can follow it"
    for uid in action.successors:
        if uid not in automaton.by_uid:
            yield f'unknown successor "{uid}": {did_you_mean(uid, automaton.by_uid)}'


def _unreachable(automaton: Automaton) -> list[Finding]:
    reached = {automaton.entry.uid}
    stack = [automaton.entry]
    while stack:
        for uid in stack.pop().successors:
            if uid not in reached:
                reached.add(uid)
                stack.append(automaton.by_uid[uid])
    return [
        finding("no path leads to it", action)
        for action in automaton.actions
        if action.uid not in reached
    ]


def _unbounded(automaton: Automaton) -> list[Finding]:
    """Cycles without an action that has `max_visits`: what is left without those is walked."""
    endless = [action for action in automaton.actions if action.max_visits is None]
    free = {action.uid for action in endless}
    waiting = dict.fromkeys(free, 0)
    for action in endless:
        for uid in set(action.successors) & free:
            waiting[uid] += 1
    # Kahn's algorithm: actions that nothing endless leads to are taken away, again and again.
    stack = [uid for uid, count in waiting.items() if count == 0]
    while stack:
        uid = stack.pop()
        free.discard(uid)
        for successor in set(automaton.by_uid[uid].successors) & free:
            waiting[successor] -= 1
            if waiting[successor] == 0:
                stack.append(successor)
    # What remains is on a cycle, or behind one: only the first is at fault.
    return [
        finding("it is on a cycle without an end: give max_visits to an action of it", action)
        for action in automaton.actions
        if action.uid in free and _reaches(automaton, action.uid, free)
    ][:1]


def _reaches(automaton: Automaton, uid: str, allowed: set[str]) -> bool:
    """Whether an action leads back to itself, through actions that are `allowed`."""
    seen: set[str] = set()
    stack = [uid]
    while stack:
        for successor in automaton.by_uid[stack.pop()].successors:
            if successor == uid:
                return True
            if successor in allowed and successor not in seen:
                seen.add(successor)
                stack.append(successor)
    return False
