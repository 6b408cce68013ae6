"""A law: a rule that every backend must pass, and the function that checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autocog_core.testing.law_errors import Capability

if TYPE_CHECKING:
    from autocog_core.testing.backend_under_test import BackendUnderTest

Check = Callable[["BackendUnderTest"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A rule that every backend must pass.

    :ivar name: the name of the function that checks it.
    :ivar title: the rule in one sentence.
    :ivar needs: what a backend must offer for the law to apply; empty: it applies to all.
    :ivar check: raises `LawViolation` or `NotApplicableError`.
    """

    name: str
    title: str
    needs: tuple[Capability, ...]
    check: Check

    @property
    def kind(self) -> str:
        """Whether the law is "basic", for every backend, or "optional"."""
        return "optional" if self.needs else "basic"


#: All laws, in the order in which they are checked.
LAWS: list[Law] = []


def law(*needs: Capability) -> Callable[[Check], Check]:
    """Register the decorated function as a law; the first line of its docstring is the title."""

    def register(check: Check) -> Check:
        title = (check.__doc__ or check.__name__).strip().splitlines()[0].rstrip(".")
        LAWS.append(Law(name=check.__name__, title=title, needs=needs, check=check))
        return check

    return register
