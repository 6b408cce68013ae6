"""Two models over one engine, and whether their calls take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from autocog_core.hooks.manager import register
from autocog_core.hooks.specs import hookimpl
from autocog_core.model.model import Model
from autocog_core.testing.law_errors import NotApplicableError
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.token_tree import TreeQuery

#: How long a call stays in the engine at least, so that calls that do not take turns meet.
SECONDS_INSIDE = 0.002


def second_on_engine(first: Model) -> Model:
    """Return another model of the same class over the engine of the first one.

    :raises NotApplicableError: if its backend has no attribute `engine` that its class accepts.
    """
    backend = first.backend
    engine = getattr(backend, "engine", None)
    if engine is None:
        raise NotApplicableError(
            "two models of one engine are needed: define `make_pair`, for example "
            "return MyLM(**created), MyLM(**created)"
        )
    try:
        return Model(type(backend)(engine=engine))  # type: ignore[call-arg]
    except TypeError as error:
        raise NotApplicableError(f"define `make_pair`: {error}") from error


class EngineWatch:
    """Hooks around those of models of one engine: notes whether calls of two threads meet.

    :ivar has_met: whether two threads were in the engine at once.
    """

    def __init__(self) -> None:
        self.has_met = False
        self._inside: list[int] = []
        self._lock = threading.Lock()

    def attach(self, models: Sequence[Model]) -> None:
        """Watch the calls of these models."""
        for model in models:
            register(model._manager, self, "engine watch")

    @hookimpl(wrapper=True)
    def choose(self, request: ChoiceRequest) -> Any:
        """Watch the call."""
        return (yield from self._watch())

    @hookimpl(wrapper=True)
    def complete(self, request: CompletionRequest) -> Any:
        """Watch the call."""
        return (yield from self._watch())

    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        """Watch the call."""
        return (yield from self._watch())

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Any:
        """Watch the call."""
        return (yield from self._watch())

    def _watch(self) -> Any:
        thread = threading.get_ident()
        with self._lock:
            # A hook may call others, in the same thread.
            is_outermost = thread not in self._inside
            self.has_met |= any(other != thread for other in self._inside)
            self._inside.append(thread)
        try:
            if is_outermost:
                time.sleep(SECONDS_INSIDE)
            return (yield)
        finally:
            with self._lock:
                self._inside.remove(thread)
