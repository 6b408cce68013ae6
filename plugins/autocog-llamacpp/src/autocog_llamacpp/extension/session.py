"""A session in C++: between two decodes no Python runs, and its lock (the GIL) is not held."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from autocog_core import EngineError, OutOfMemoryError, TreeQuery, TreeScores
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.context import Context, NoSlotError, failure, no_room
from autocog_llamacpp.llama.session import Rows
from autocog_llamacpp.llama.tokenizer import Tokenizer, address_of

Answer = TypeVar("Answer")

#: Seconds after which runs let other calls on the engine have their turn.
MOMENT = 0.05


class NativeSession:
    """See `Session`.

    :param native: the extension; kept as `native`.
    :param recurrent: whether the model's memory is a state, which cannot be rewound.
    """

    def __init__(
        self, native: Any, context: Context, tokenizer: Tokenizer, *, recurrent: bool
    ) -> None:
        self.name = (
            "branch by branch, from copied states"
            if recurrent
            else ("one decode, by sequence sets")
        )
        self.native = native
        # It owns the pointer.
        self._context = context
        self._interruptible = context.interruptible
        self._session = native.Session(
            address_of,
            context.address,
            ctypes.addressof(self._interruptible.flag),
            cells=context.cells,
            sequences=context.sequences,
            batch=context.batch,
            rows=context.rows,
            width=context.width,
            recurrent=recurrent,
        )

        self._pieces = tokenizer.pieces

    @property
    def lent(self) -> bool:
        """See `Session`."""
        return bool(self._session.lent)

    @lent.setter
    def lent(self, lent: bool) -> None:
        self._session.lent = lent

    @property
    def held(self) -> int:
        """See `Session.held`."""
        return int(self._session.held)

    def lengths(self) -> list[int]:
        """See `Session.lengths`."""
        found: list[int] = self._session.lengths()
        return found

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        found = self._run(partial(self._session.score_trees, queries))
        return [TreeScores(*answer) for answer in found]

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        return self._run(partial(self._session.row, tokens))

    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.open`."""
        return self._run(partial(self._session.open, tokens, count, handles))

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        return self._run(partial(self._session.step, handles, tokens))

    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.release`."""
        self._interruptible.settle()
        self._session.release(handles, texts)

    def together(self, fitting: int) -> int:
        """See `Session.together`."""
        return int(self._session.together(fitting))

    def forget(self) -> None:
        """See `Session.forget`."""
        self._interruptible.settle()
        self._session.forget()

    def begin_runs(self) -> Any:
        """A group of runs of automata, in the extension."""
        return self.native.Runs(self._session, self._pieces)

    def advance(self, runs: Any) -> str:
        """Let runs go on until one has come to its end, or needs a site, or for a moment.

        :returns: what was logged meanwhile.
        """
        return self._interruptible.run(partial(self._as_ours, partial(_advance, runs), lambda: ""))

    def end_run(self, runs: Any, number: int, reason: str) -> None:
        """Let go of a run.

        :param reason: what was logged when it ended.
        :raises EngineError: that the model has met for it.
        """
        self._as_ours(partial(runs.end, number), lambda: reason)

    def _run(self, call: Callable[[], Answer]) -> Answer:
        """Call the extension on the thread that can be interrupted; its errors become ours."""
        return self._interruptible.run(partial(self._translated, call))

    def _translated(self, call: Callable[[], Answer]) -> Answer:
        with logs.Errors() as errors:
            return self._as_ours(call, lambda: errors.reason)

    def _as_ours(self, call: Callable[[], Answer], reason: Callable[[], str]) -> Answer:
        try:
            return call()
        except self.native.DecodeError as error:
            found = failure(error.args[0], reason())
            if isinstance(found, NoSlotError):
                found = no_room()
            raise found from None
        except self.native.RefusedError as error:
            what, hint = error.args
            raise EngineError(what, hint=hint) from None
        except MemoryError:
            raise OutOfMemoryError("out of memory", hint="ask for less at once") from None
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"the extension refuses: {error}") from error


def _advance(runs: Any) -> str:
    with logs.Errors() as errors:
        runs.advance(MOMENT)
    return errors.reason
