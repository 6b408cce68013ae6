"""Which ids of an action's sequence belong to which node: so the tree has the contexts."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.evaluation.branch import ActionResult
from autocog_core.evaluation.path_context import PathContext


@dataclass(slots=True)
class TokenPlace:
    """A place in the ids before an action: it moves from text to text, and ends at the branches.

    :ivar base: the ids before the action's first decided token; None if they are unknown.
    :ivar node: index of the last node whose tokens lie before the place; -1 for none.
    :ivar position: index in `base` of the first id after the kept tokens of that node.
    """

    base: tuple[int, ...] | None
    node: int
    position: int

    @classmethod
    def of(cls, result: ActionResult, context: PathContext) -> TokenPlace:
        """Return the place after the ids of the nodes before.

        :param result: the result of the action.
        :param context: the context that its model had before it.
        """
        node = context.node
        return cls(result.base, node, 0 if node == -1 else len(context.ids))

    def tokens_before(self, start: int | None = None) -> tuple[int, ...]:
        """Return the ids from this place on that belong to no node.

        :param start: index in `base` of the first token of the next node; None for its end.
        """
        return () if self.base is None else self.base[self.position : start]

    def move(self, node: int, end: int) -> None:
        """Move behind the tokens of a node.

        :param node: its index.
        :param end: index in `base` of the first id after its tokens.
        """
        self.node, self.position = node, end
