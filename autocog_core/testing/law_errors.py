"""Errors that a law's check raises: the law is broken, or it does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

#: What a backend must offer for a law to apply; see `BackendUnderTest.offers`.
Capability = Literal[
    "tokens", "rows", "trees", "scores", "choices", "completions", "vocabulary", "chat"
]

#: The hooks that provide each capability; one of them is enough.
HOOKS: dict[Capability, frozenset[str]] = {
    "tokens": frozenset({"tokenize"}),
    "rows": frozenset({"greedy_impl"}),
    "trees": frozenset({"greedy_tree_impl"}),
    "scores": frozenset({"greedy_impl", "greedy_tree_impl"}),
    "choices": frozenset({"choose", "greedy_impl", "greedy_tree_impl"}),
    "completions": frozenset({"complete", "greedy_impl"}),
    "vocabulary": frozenset({"vocabulary"}),
    "chat": frozenset({"chat_prompt"}),
}


class LawViolation(AssertionError):  # noqa: N818 - the program is correct; a backend is not
    """A law that a backend breaks.

    :ivar law: name of the law.
    :ivar problem: what is wrong.
    :ivar given: the smallest input that shows the problem.
    :ivar expected: the correct result; empty if `problem` already says it.
    :ivar got: the actual result; empty if `problem` already says it.
    :ivar cause: the likely cause; empty if there is no guess.
    :ivar failure: the error of a call that should work; empty if no call failed.
    :ivar frames: where this error arose in the author's code, one line for each call.
    """

    def __init__(
        self,
        problem: str,
        *,
        given: Any = None,
        expected: Any = None,
        got: Any = None,
        cause: str = "",
        failure: str = "",
        frames: Sequence[str] = (),
    ) -> None:
        self.law = ""
        self.problem = problem
        self.given, self.expected, self.got = map(_shorten, (given, expected, got))
        self.cause = cause
        self.failure = failure
        self.frames = tuple(frames)
        super().__init__(problem)

    def __str__(self) -> str:
        lines = [f'the law "{self.law}" is broken: {self.problem}']
        lines += [f"  {frame}" for frame in self.frames]
        for name in ("given", "expected", "got"):
            value = getattr(self, name)
            lines += [f"  {name}: {value}"] if value else []
        lines += [f"  likely cause: {self.cause}"] if self.cause else []
        return "\n".join(lines)


class NotApplicableError(Exception):
    """A law does not apply to this backend; the message is the reason."""


def _shorten(value: Any, max_length: int = 200) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= max_length else f"{text[: max_length - 20]} ... {text[-16:]}"
