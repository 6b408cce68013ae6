"""How a law says that it does not hold, or does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    pass


#: What a backend must offer for a law to be about it; see `BackendUnderTest.offers`.
Capability = Literal[
    "tokens", "rows", "trees", "scores", "choices", "completions", "vocabulary", "chat"
]


class LawViolation(AssertionError):  # noqa: N818 - a violation is no fault of the program
    """A law that does not hold.

    :ivar law: its name.
    :ivar what: what is wrong.
    :ivar given: the smallest input that shows it.
    :ivar expected: what should have come; empty where `what` says it all.
    :ivar got: what came; empty where `what` says it all.
    :ivar cause: what is likely the matter; empty where there is no guess.
    :ivar failure: the error of a call that should have worked; empty where none failed.
    """

    def __init__(
        self,
        what: str,
        *,
        given: Any = None,
        expected: Any = None,
        got: Any = None,
        cause: str = "",
        failure: str = "",
    ) -> None:
        self.law = ""
        self.problem = what
        self.given, self.expected, self.got = map(_shorten, (given, expected, got))
        self.cause = cause
        self.failure = failure
        super().__init__(what)

    def __str__(self) -> str:
        lines = [f'the law "{self.law}" is broken: {self.problem}']
        for name in ("given", "expected", "got"):
            value = getattr(self, name)
            lines += [f"  {name}: {value}"] if value else []
        lines += [f"  likely cause: {self.cause}"] if self.cause else []
        return "\n".join(lines)


class NotApplicableError(Exception):
    """A law that has nothing to say of this backend: why."""


@contextmanager
def given(text: Any) -> Iterator[None]:
    """Name the input in whatever is broken inside."""
    try:
        yield
    except LawViolation as error:
        error.given = error.given or _shorten(text)
        raise


def _shorten(value: Any, most: int = 200) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= most else f"{text[: most - 20]} ... {text[-16:]}"
