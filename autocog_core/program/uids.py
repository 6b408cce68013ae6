"""The uids of a program's actions, those of questions included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.errors import shorten
from autocog_core.program.action_schema import ActionSchema
from autocog_core.program.diagnostics import Diagnostic
from autocog_core.program.document import DataPath
from autocog_core.program.schema import END, AskSchema, action_kind


class Uids:
    """Unique uids: the given uid, or the name, or kind and position, with a number.

    :param actions: the actions of a program.
    :ivar by_path: the uid of each action, by its place in the data.
    :ivar errors: the errors of uids that are given twice.
    """

    def __init__(self, actions: Sequence[ActionSchema]) -> None:
        self.by_path: dict[DataPath, str] = {}
        self.errors: list[Diagnostic] = []
        self._assigned: set[str] = set()
        self._assign(list(_iterate(actions, ("actions",))))

    def new_end(self) -> str:
        """Return a new uid for the action that ends the path of some choices."""
        uid = next(uid for uid in _numbered(END) if uid not in self._assigned)
        self._assigned.add(uid)
        return uid

    def _assign(self, actions: list[tuple[DataPath, ActionSchema]]) -> None:
        given_uids = {action.uid for _, action in actions}
        candidates: dict[str, Iterator[str]] = {}
        for path, action in actions:
            uid = action.uid
            if uid is not None and uid in self._assigned:
                message = f'another action has the uid "{shorten(uid)}" too'
                self.errors.append(Diagnostic((*path, "uid"), message))
            if uid is None or uid in self._assigned:
                base = uid or action.name or _default(path, action)
                names = candidates.setdefault(base, _numbered(base))
                uid = next(
                    name for name in names if name not in self._assigned and name not in given_uids
                )
            self._assigned.add(uid)
            self.by_path[path] = uid


def _iterate(
    actions: Sequence[ActionSchema], path: DataPath
) -> Iterator[tuple[DataPath, ActionSchema]]:
    """Yield all actions with their places, each group before its questions."""
    for index, action in enumerate(actions):
        yield (*path, index), action
        if isinstance(action, AskSchema):
            for number, question in enumerate(action.ask):
                yield from _iterate(question, (*path, index, "ask", number))


def _default(path: DataPath, action: ActionSchema) -> str:
    """Return kind and position: "text-2", or "text-2.1.3" for the third action of a question."""
    positions = [str(key + 1) for key in path if isinstance(key, int)]
    return f"{action_kind(action)}-{'.'.join(positions)}"


def _numbered(name: str) -> Iterator[str]:
    """Yield the name, and then the name with numbers from 2."""
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
