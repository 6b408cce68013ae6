"""Which fields are set where: the analysis of drawn graphs equals a walk through all paths."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

from autocog_core import Ask, Choose, Text
from autocog_core.automaton import Action
from autocog_core.automaton.field_flow import FieldFlow
from tests.support.soak import count

NAMES = ("p", "q")
#: How often a path has set each of `NAMES`: 0, 1, or 2 for more.
Counts = tuple[int, ...]


def draw_actions(draw: random.Random, prefix: str, names: Sequence[str | None]) -> list[Action]:
    """Return actions, all of which a path reaches; some lead back."""
    uids = [f"{prefix}{number}" for number in range(draw.randint(1, 4))]
    actions: list[Action] = []
    for number, uid in enumerate(uids):
        following = tuple(uids[number + 1 : number + 2])
        name = draw.choice(names)
        if following and draw.random() < 0.5:
            successors = (*following, draw.choice(uids))
            actions.append(Choose(uid=uid, name=name, choices=("a", "b"), successors=successors))
        else:
            actions.append(Text(uid=uid, name=name, text="x", successors=following))
    return actions


def draw_graph(draw: random.Random) -> list[Action]:
    """Return actions, some of which are groups."""
    actions = draw_actions(draw, "a", (*NAMES, None))
    for index, action in enumerate(actions):
        if isinstance(action, Text) and draw.random() < 0.6:
            # Two questions have no field in common.
            names = draw.sample(NAMES, 2)
            questions = [
                tuple(draw_actions(draw, f"{action.uid}-{number}-", (name, None)))
                for number, name in enumerate(names[: draw.randint(1, 2)])
            ]
            actions[index] = Ask(
                uid=action.uid, questions=tuple(questions), successors=action.successors
            )
    return actions


def add(*counts: Counts) -> Counts:
    return tuple(min(2, sum(column)) for column in zip(*counts, strict=True))


def walk(
    actions: Sequence[Action], starts: set[Counts], before: dict[str, set[Counts]]
) -> set[Counts]:
    """Return what paths have set at their ends, and enter what they have set before each action."""
    by_uid = {action.uid: action for action in actions}
    waiting = [(actions[0].uid, start) for start in starts]
    ends: set[Counts] = set()
    while waiting:
        uid, counts = waiting.pop()
        if counts in before.setdefault(uid, set()):
            continue
        before[uid].add(counts)
        for after in results(by_uid[uid], counts, before):
            waiting += [(successor, after) for successor in by_uid[uid].successors]
            if not by_uid[uid].successors:
                ends.add(after)
    return ends


def results(action: Action, counts: Counts, before: dict[str, set[Counts]]) -> Iterator[Counts]:
    """Yield what a path can have set after an action."""
    if not isinstance(action, Ask):
        yield add(counts, tuple(int(name == action.name) for name in NAMES))
        return
    nothing = (0,) * len(NAMES)
    own = [walk(question, {nothing}, {}) for question in action.questions]
    for question in action.questions:
        inside: dict[str, set[Counts]] = {}
        walk(question, {counts}, inside)
        for uid, found in inside.items():
            before.setdefault(uid, set()).update(found)
    for ends in product(*own):
        yield add(counts, *ends)


def test_the_analysis_equals_a_walk_through_all_paths() -> None:
    draw = random.Random(7)
    seen = {"always", "never always", "repeated", "not repeated"}
    for _ in range(count(normal=150, soak=5_000)):
        actions = draw_graph(draw)
        before: dict[str, set[Counts]] = {}
        ends = walk(actions, {(0,) * len(NAMES)}, before)
        flow = FieldFlow(actions, NAMES)
        everything = [*ends, *(counts for found in before.values() for counts in found)]
        for index, name in enumerate(NAMES):
            repeated = any(counts[index] > 1 for counts in everything)
            assert (name in flow.repeated()) == repeated, actions
            seen.discard("repeated" if repeated else "not repeated")
            for uid, found in before.items():
                always = all(counts[index] for counts in found)
                assert flow.always_set(uid, name) == always, (uid, name, actions)
                seen.discard("always" if always else "never always")
                if not always:
                    assert flow.path_without(uid, name)[-1] == uid
    assert not seen
