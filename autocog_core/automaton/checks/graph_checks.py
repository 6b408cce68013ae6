"""The graph of an automaton: edges to nowhere, actions that no path meets, endless cycles."""

from __future__ import annotations

from collections.abc import Iterator

from autocog_core.automaton.actions import Action, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import cut, suggestion, with_hint


def wrong_successors(action: Action, automaton: AutomatonGraph) -> Iterator[str]:
    """What is wrong with an action's successors."""
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
            hint = suggestion(uid, automaton.by_uid)
            yield with_hint(f'unknown successor "{cut(uid)}"', hint)


def unreachable_actions(automaton: AutomatonGraph) -> Iterator[Action]:
    """Actions that no path leads to."""
    reached = {automaton.entry.uid}
    stack = [automaton.entry]
    while stack:
        for uid in stack.pop().successors:
            if uid not in reached:
                reached.add(uid)
                stack.append(automaton.by_uid[uid])
    yield from (action for action in automaton.actions if action.uid not in reached)


def unbounded_cycles(automaton: AutomatonGraph) -> Iterator[Action]:
    """Actions with which cycles begin that have none with `max_visits`.

    A search in depth through actions without: each cycle has an edge that leads back to an action
    which the search is still in. With a bound on all of these no cycle is left.
    """
    done: set[str] = set()
    inside: set[str] = set()
    found: set[str] = set()
    for entry in automaton.actions:
        if entry.uid in done or entry.max_visits is not None:
            continue
        stack = [(entry.uid, iter(entry.successors))]
        inside.add(entry.uid)
        while stack:
            uid, coming = stack[-1]
            successor = next(coming, None)
            if successor is None:
                stack.pop()
                inside.discard(uid)
                done.add(uid)
            elif successor in inside:
                found.add(successor)
            elif successor not in done:
                action = automaton.by_uid[successor]
                if action.max_visits is None:
                    inside.add(successor)
                    stack.append((successor, iter(action.successors)))
    yield from (action for action in automaton.actions if action.uid in found)
