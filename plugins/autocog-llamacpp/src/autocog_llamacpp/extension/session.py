"""A session in C++. Between two decodes no Python code runs, and the GIL is free."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from autocog_core import EngineError, OutOfMemoryError, TreeQuery, TreeScores
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.context import (
    Context,
    NoSlotError,
    decode_error,
    full_context_error,
)
from autocog_llamacpp.llama.session import Rows
from autocog_llamacpp.llama.tokenizer import Tokenizer, address_of

Result = TypeVar("Result")

#: Seconds after which runs of automata let other calls use the engine.
MAX_ADVANCE_SECONDS = 0.05


class NativeSession:
    """The C++ implementation of `Session`.

    :param extension: the extension module.
    :param recurrent: whether the model's memory is a state that cannot be rewound.
    """

    def __init__(
        self, extension: Any, context: Context, tokenizer: Tokenizer, *, recurrent: bool
    ) -> None:
        self.name = (
            "branch by branch, from copied states" if recurrent else "one decode, by sequence sets"
        )
        self._extension = extension
        # Owns the pointer.
        self._context = context
        self._interruptible = context.interruptible
        self._session = extension.Session(
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
        self._token_bytes = tokenizer.token_bytes

    @property
    def in_use(self) -> bool:
        """See `Session.in_use`."""
        return bool(self._session.in_use)

    @in_use.setter
    def in_use(self, in_use: bool) -> None:
        self._session.in_use = in_use

    @property
    def active_sequences(self) -> int:
        """See `Session.active_sequences`."""
        return int(self._session.active_sequences)

    def sequence_lengths(self) -> list[int]:
        """See `Session.sequence_lengths`."""
        lengths: list[int] = self._session.sequence_lengths()
        return lengths

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        scores = self._run(partial(self._session.score_trees, queries))
        return [TreeScores(**fields) for fields in scores]

    def score_isolated(self, query: TreeQuery) -> TreeScores:
        """See `Session.score_isolated`."""
        call = partial(self._session.score_isolated, query, query.isolated_start)
        return TreeScores(**self._run(call))

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        return self._run(partial(self._session.row, tokens))

    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.start`."""
        return self._run(partial(self._session.start, tokens, count, handles))

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        return self._run(partial(self._session.step, handles, tokens))

    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.finish`."""
        self._interruptible.stop_running_call()
        self._session.finish(handles, texts)

    def max_parallel(self, fitting: int) -> int:
        """See `Session.max_parallel`."""
        return int(self._session.max_parallel(fitting))

    def clear(self) -> None:
        """See `Session.clear`."""
        self._interruptible.stop_running_call()
        self._session.clear()

    def new_run_group(self) -> Any:
        """Return an empty group of runs of automata, in C++."""
        return self._extension.RunGroup(self._session, self._token_bytes)

    def advance_runs(self, group: Any) -> str:
        """Advance runs until one is done or needs a step, or `MAX_ADVANCE_SECONDS` have passed.

        :returns: the first error that llama.cpp logged.
        """
        call = partial(self._translate_errors, partial(_advance, group), lambda: "")
        return self._interruptible.run(call)

    def finish_run(self, group: Any, run: int, reason: str) -> None:
        """Remove a run.

        :param reason: the error that llama.cpp logged when the run ended.
        :raises EngineError: that ended the run.
        """
        self._translate_errors(partial(group.finish, run), lambda: reason)

    def _run(self, call: Callable[[], Result]) -> Result:
        """Call the extension on the thread that can be interrupted, and translate its errors."""
        return self._interruptible.run(partial(self._run_with_log, call))

    def _run_with_log(self, call: Callable[[], Result]) -> Result:
        with logs.Errors() as errors:
            return self._translate_errors(call, lambda: errors.reason)

    def _translate_errors(self, call: Callable[[], Result], reason: Callable[[], str]) -> Result:
        try:
            return call()
        except self._extension.DecodeError as error:
            translated = decode_error(error.args[0], reason())
            if isinstance(translated, NoSlotError):
                translated = full_context_error()
            raise translated from None
        except self._extension.RequestError as error:
            message, hint = error.args
            raise EngineError(message, hint=hint) from None
        except MemoryError:
            raise OutOfMemoryError("out of memory", hint="request less at once") from None
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"the extension refuses the arguments: {error}") from error


def _advance(group: Any) -> str:
    with logs.Errors() as errors:
        group.advance(MAX_ADVANCE_SECONDS)
    return errors.reason
