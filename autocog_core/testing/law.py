"""What a law is: a promise that every backend keeps, how to check it, and how it is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autocog_core.testing.law_errors import (
    Capability,
)

if TYPE_CHECKING:
    from autocog_core.testing.backend_under_test import BackendUnderTest


Check = Callable[["BackendUnderTest"], None]


@dataclass(frozen=True, slots=True)
class Law:
    """A promise of backends.

    :ivar name: of the function that checks it. `title`: the promise in a sentence.
    :ivar needs: what a backend must offer; none: every backend must keep it.
    """

    name: str
    title: str
    needs: tuple[Capability, ...]
    check: Check

    @property
    def kind(self) -> str:
        """Basic ones are for every backend, optional ones for those that offer what they need."""
        return "optional" if self.needs else "basic"


#: All of them, in the order in which they are checked.
LAWS: list[Law] = []


def law(*needs: Capability) -> Callable[[Check], Check]:
    """Make a law of a function, whose docstring's first line is the promise."""

    def made(check: Check) -> Check:
        title = (check.__doc__ or check.__name__).strip().splitlines()[0].rstrip(".")
        LAWS.append(Law(check.__name__, title, needs, check))
        return check

    return made
