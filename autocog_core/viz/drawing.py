"""What a layout gives: rectangles, and the ways of edges between them."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> float:
        """The x of its middle."""
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        """The y of its middle."""
        return self.y + self.height / 2

    def turned(self) -> Box:
        """With across and down exchanged."""
        return Box(self.y, self.x, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an edge.

    :ivar steps: from `start` on: one point for a straight line to it; three for a Bézier curve.
    :ivar meets: whether it ends on the way of another edge to the same box, which goes on for it.
    """

    start: Point
    steps: tuple[tuple[Point, ...], ...]
    meets: bool = False

    @property
    def end(self) -> Point:
        """Where it arrives."""
        return self.steps[-1][-1]

    def turned(self) -> Route:
        """With across and down exchanged."""
        steps = tuple(tuple((y, x) for x, y in step) for step in self.steps)
        return Route((self.start[1], self.start[0]), steps, self.meets)


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing: boxes, and of each link its way and the place of its label.

    :ivar sideways: whether it goes from left to right, and not from top to bottom.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Box | None, ...]
    routes: tuple[Route, ...]
    sideways: bool = False

    def turned(self) -> Layout:
        """With across and down exchanged."""
        return Layout(
            width=self.height,
            height=self.width,
            boxes=tuple(box.turned() for box in self.boxes),
            labels=tuple(box and box.turned() for box in self.labels),
            routes=tuple(route.turned() for route in self.routes),
            sideways=not self.sideways,
        )
