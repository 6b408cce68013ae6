"""What a run may cost, told before anything runs: for budgets, and for people who wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.checks.action_checks import require_sound
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import Template
from autocog_core.hooks.client import BackendClient
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, TextPiece

#: Different states (an action, and how often bounded ones were visited) that are looked at.
MOST_STATES = 20_000

#: Calls and tokens of one visit.
_Cost = tuple[int, int]
_State = tuple[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Upper bounds of what one run in breadth comes to.

    Tokens are counted where texts are tokenized by themselves: where a choice re-spells the end of
    the text before it, or a stop begins inside a token, there may be some more.

    :ivar calls: model calls.
    :ivar tokens: tokens that a model evaluates which forgets none of them in between.
    :ivar paths: paths at the end.
    :ivar partial: the automaton is larger than what was looked at: there may be more.
    """

    calls: int
    tokens: int
    paths: int
    partial: bool = False


def estimate(automaton: AutomatonGraph, client: BackendClient) -> Estimate:
    """The dearest run that pruning may leave: at each action its dearest branches are followed.

    Templates count as their source, and choices out of a list as nothing: bind the automaton for
    what is put in.

    :raises InputError: for an automaton with faults.
    """
    require_sound(automaton)
    models = {action.model for action in automaton.actions if not isinstance(action, Text)}
    costs = {action.uid: _cost(action, client) for action in automaton.actions}
    edges = {action.uid: _edges(action) for action in automaton.actions}
    known: dict[_State, Estimate] = {}
    stack = [_visit(automaton.entry, ())]
    while stack:
        uid, visits = state = stack[-1]
        after = [
            (_visit(automaton.by_uid[successor], visits), count)
            for successor, count in edges[uid].items()
            if not _exhausted(automaton.by_uid[successor], visits)
        ]
        missing = [one for one, _ in after if one not in known]
        if missing and state not in known and len(known) <= MOST_STATES:
            stack += missing
            continue
        stack.pop()
        found = [(known.get(one), count) for one, count in after]
        known.setdefault(state, _sum(automaton.by_uid[uid], costs[uid], found))
    whole = known[_visit(automaton.entry, ())]
    begun = 1 if client.info.adds_bos else 0
    # Paths that go together may ask different models.
    return replace(whole, calls=whole.calls * max(1, len(models)), tokens=whole.tokens + begun)


def _edges(action: Action) -> Counter[str]:
    """What may follow an action, and how many of its branches lead there."""
    if len(action.successors) == 1:
        return Counter({action.successors[0]: _followed(action)})
    return Counter(action.successors)


def _sum(action: Action, cost: _Cost, after: list[tuple[Estimate | None, int]]) -> Estimate:
    """What an action costs with the dearest that may follow it."""
    found = [(one, count) for one, count in after if one is not None]
    followed = _followed(action)

    def most(costs: Iterable[tuple[int, int]]) -> int:
        total, left = 0, followed
        for each, count in sorted(costs, reverse=True):
            total += each * min(count, left)
            left -= min(count, left)
        return total

    return Estimate(
        cost[0] + max((one.calls for one, _ in found), default=0),
        cost[1] + most((one.tokens, count) for one, count in found),
        most((one.paths, count) for one, count in found) or followed,
        len(found) < len(after) or any(one.partial for one, _ in found),
    )


def _cost(action: Action, client: BackendClient) -> _Cost:
    """Calls and tokens of one visit."""
    match action:
        case Text():
            return (1 if action.evaluate else 0, _count(action, client))
        case Choose():
            return (1, _tree(action, client))
        case Complete():
            return (action.length, action.length * max(action.beams, action.samples))
    return (0, 0)


def _tree(action: Choose, client: BackendClient) -> int:
    """Tokens of a choice's tree; for pmi there is a second one, after another text."""
    end = action.suffix if isinstance(action.suffix, str) else ""
    choices = [choice + end for choice in action.choices if isinstance(choice, str)]
    spelled = client.tokenize(choices, at_start=False)
    # Beginnings that choices have in common are evaluated once.
    count = len({tuple(ids[:length]) for ids in spelled for length in range(1, len(ids) + 1)})
    if action.suffix is EOS:
        count += len(choices)
    if action.norm != "pmi":
        return count
    before = client.tokenize([action.unconditional_prompt or ""], at_start=True)[0]
    return 2 * count + len(before) + 1


def _count(action: Text, client: BackendClient) -> int:
    match action.text:
        case Prompt(pieces):
            text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
        case Template(source):
            text = source
        case text:
            pass
    return len(client.tokenize([text], at_start=False)[0]) if text else 0


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
