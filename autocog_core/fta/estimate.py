"""What a run may cost, told before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.caller import Caller
from autocog_core.fta.actions import Action, Choose, Complete, Text
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.templates import Template
from autocog_core.pieces import Prompt, TextPiece

#: Different states (an action, and how often bounded ones were visited) that are looked at.
MOST_STATES = 20_000

_State = tuple[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Upper bounds of what one run evaluates.

    :ivar calls: model calls. `tokens`: tokens that the model evaluates. `paths`: paths at the end.
    :ivar partial: the automaton is larger than what was looked at: there may be more.
    """

    calls: int
    tokens: int
    paths: int
    partial: bool = False


def estimate(automaton: Automaton, caller: Caller) -> Estimate:
    """The dearest run that pruning may leave: at each action its dearest branches are followed.

    Templates count as their source; bind the automaton for the length of what is put in.
    """
    costs = {action.uid: _cost(action, caller) for action in automaton.actions}
    known: dict[_State, Estimate] = {}
    stack = [_visit(automaton.entry, ())]
    while stack:
        state = stack[-1]
        action = automaton.by_uid[state[0]]
        after = [
            _visit(successor, state[1])
            for number in range(len(action.successors))
            if (successor := automaton.successor(action, number)) is not None
            and not _exhausted(successor, state[1])
        ]
        missing = [] if len(known) > MOST_STATES else [one for one in after if one not in known]
        if missing and state not in known:
            stack += missing
            continue
        stack.pop()
        known.setdefault(state, _sum(action, costs[action.uid], [known.get(one) for one in after]))
    return known[_visit(automaton.entry, ())]


def _sum(action: Action, cost: tuple[int, int], after: list[Estimate | None]) -> Estimate:
    """What an action costs with the dearest that may follow it."""
    found = [one for one in after if one is not None]
    followed = _followed(action)
    if len(action.successors) == 1:
        found *= followed
    found = sorted(found, key=lambda one: -one.tokens)[:followed]
    return Estimate(
        cost[0] + max((one.calls for one in found), default=0),
        cost[1] + sum(one.tokens for one in found),
        sum(one.paths for one in found) or followed,
        None in after or any(one.partial for one in found),
    )


def _cost(action: Action, caller: Caller) -> tuple[int, int]:
    """Calls and tokens of one visit."""
    match action:
        case Text():
            return (1 if action.evaluate else 0, _count(action, caller))
        case Choose():
            choices = [choice for choice in action.choices if isinstance(choice, str)]
            spelled = caller.tokenize(choices, at_start=False)
            # Rows are read before each token, so that no choice's last one is evaluated.
            inner = {tuple(ids[:length]) for ids in spelled for length in range(1, len(ids))}
            return (1, len(inner))
        case Complete():
            return (action.length, (action.length - 1) * max(action.beams, action.samples))
    return (0, 0)


def _count(action: Text, caller: Caller) -> int:
    match action.text:
        case Prompt(pieces):
            text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
        case Template(source):
            text = source
        case text:
            pass
    return len(caller.tokenize([text], at_start=False)[0]) if text else 0


def _followed(action: Action) -> int:
    match action:
        case Choose():
            return min(action.width or len(action.choices), len(action.choices))
        case Complete():
            most = action.samples or action.beams
            return min(action.width or most, most)
    return 1


def _visit(action: Action, visits: tuple[tuple[str, int], ...]) -> _State:
    if action.max_visits is None:
        return action.uid, visits
    counted = dict(visits)
    counted[action.uid] = counted.get(action.uid, 0) + 1
    return action.uid, tuple(sorted(counted.items()))


def _exhausted(action: Action, visits: tuple[tuple[str, int], ...]) -> bool:
    return action.max_visits is not None and dict(visits).get(action.uid, 0) >= action.max_visits
