"""Checks of the graph: unknown successors, unreachable actions, endless cycles."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from autocog_core.automaton.actions import Action, Choose, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import append_hint, shorten, suggest


def wrong_successors(
    action: Action, automaton: AutomatonGraph, outside: Collection[str] = ()
) -> Iterator[str]:
    """Yield a message for each error in an action's successors.

    :param action: the action.
    :param automaton: its graph; for an action of a question, that of the question.
    :param outside: uids of the actions around a question.
    """
    count = len(action.successors)
    if isinstance(action, Choose):
        if count > 1 and count != len(action.choices):
            yield (
                f"has {count} successors for {len(action.choices)} choices: "
                "give one for all, one per choice, or none"
            )
    elif count > 1:
        yield f"has {count} successors: give at most 1"
    uids = automaton.own_uids
    for uid in action.successors:
        if uid not in uids:
            hint = suggest(uid, uids)
            if uid in outside:
                hint = "it is not in this question, which ends with `next: end`"
            yield append_hint(f'unknown successor "{shorten(uid)}"', hint)


def unreachable_actions(automaton: AutomatonGraph) -> Iterator[Action]:
    """Yield the actions that no path reaches. All successors must exist."""
    reached = {automaton.entry.uid}
    stack = [automaton.entry]
    while stack:
        for uid in stack.pop().successors:
            if uid not in reached:
                reached.add(uid)
                stack.append(automaton.by_uid[uid])
    yield from (action for action in automaton.actions if action.uid not in reached)


def unbounded_cycles(automaton: AutomatonGraph) -> Iterator[Action]:
    """Yield one action of each cycle in which no action has `max_visits`.

    All successors must exist. A depth-first search through the actions without `max_visits` closes
    a cycle when an edge leads back to an action on the current search path. If all actions that it
    yields get `max_visits`, no unbounded cycle remains.
    """
    finished: set[str] = set()
    on_search_path: set[str] = set()
    cycle_starts: set[str] = set()
    for root in automaton.actions:
        if root.uid in finished or root.max_visits is not None:
            continue
        stack = [(root.uid, iter(root.successors))]
        on_search_path.add(root.uid)
        while stack:
            uid, successors = stack[-1]
            successor = next(successors, None)
            if successor is None:
                stack.pop()
                on_search_path.discard(uid)
                finished.add(uid)
            elif successor in on_search_path:
                cycle_starts.add(successor)
            elif successor not in finished:
                action = automaton.by_uid[successor]
                if action.max_visits is None:
                    on_search_path.add(successor)
                    stack.append((successor, iter(action.successors)))
    yield from (action for action in automaton.actions if action.uid in cycle_starts)


def loops_of_texts(automaton: AutomatonGraph) -> Iterator[Action]:
    """Yield an action with `max_visits` of each cycle of texts alone. All successors must exist."""
    finished: set[str] = set()
    for root in automaton.actions:
        chain: list[Action] = []
        seen: set[str] = set()
        action: Action | None = root
        while (
            isinstance(action, Text | Messages)
            and action.uid not in finished
            and action.uid not in seen
        ):
            chain.append(action)
            seen.add(action.uid)
            action = automaton.successor(action)
        if action is not None and action.uid in seen:
            cycle = chain[chain.index(action) :]
            yield from [action for action in cycle if action.max_visits is not None][:1]
        finished |= seen
