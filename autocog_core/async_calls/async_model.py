"""AsyncModel: the calls of a model for asyncio."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack, overload

from autocog_core.async_calls.call import Call, PlainCall
from autocog_core.async_calls.call_threads import CallThreads
from autocog_core.async_calls.grouped_calls import ChooseCall, RunCall, ScoreCall, TreeCall
from autocog_core.async_calls.stoppable_budget import StoppableBudget
from autocog_core.model.automaton import Automaton
from autocog_core.model.choice_arguments import ChoiceLike
from autocog_core.model.model import Model
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceScores, EndOfSequence, Norm
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Message, PromptLike
from autocog_core.types.text_score import TextScore
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.types.top_choices import TopChoices

Result = TypeVar("Result")

#: How many calls are made together at most.
MAX_TOGETHER = 256


class ChoiceOptions(TypedDict, total=False):
    """Options of `AsyncModel.choose`; see `Model.choose`."""

    template_arguments: Mapping[str, Any] | None
    norm: Norm
    suffix: str | EndOfSequence | None
    boundary: Literal["heal", "strict"]
    method: str | None
    unconditional_prompt: str | None
    isolate: bool


class AsyncModel:
    """A model whose calls are awaited.

    In short:

        async with AsyncModel(autocog.load("smol")) as model:
            results = await asyncio.gather(*(model.choose(p, choices) for p in prompts))

    Calls of an engine wait for one thread, which makes those that wait together as one: `choose`,
    `score` and `run` with the same options. A model that takes several calls at once, such as one
    on a server, has a thread for each.

    A call that is cancelled while it waits is not made. A completion that is cancelled ends at its
    next piece of text, a record or a run before its next call of the engine. A choice that is being
    made is finished, and its result is dropped.

    :param model: the model; `close` closes it.
    :param max_together: how many calls are made together at most.
    """

    def __init__(self, model: Model, *, max_together: int = MAX_TOGETHER) -> None:
        self._model = model
        self._threads = CallThreads(
            model.name, max(1, model.info.max_concurrency), max(1, max_together)
        )
        # Of a model that nobody has closed.
        weakref.finalize(self, self._threads.end)
        self._arriving: list[Call] = []
        self._arriving_lock = threading.Lock()

    @property
    def model(self) -> Model:
        """The model itself, for calls that block."""
        return self._model

    @property
    def info(self) -> BackendInfo:
        """The backend's description."""
        return self._model.info

    @property
    def busy_seconds(self) -> float:
        """The time in which the model made calls, of all its threads together."""
        return self._threads.busy_seconds

    @overload
    async def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        top: None = None,
        **options: Unpack[ChoiceOptions],
    ) -> ChoiceScores: ...

    @overload
    async def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        top: int,
        within: float | None = None,
        at_least: float | None = None,
        **options: Unpack[ChoiceOptions],
    ) -> TopChoices: ...

    async def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        top: int | None = None,
        within: float | None = None,
        at_least: float | None = None,
        **options: Unpack[ChoiceOptions],
    ) -> ChoiceScores | TopChoices:
        """Score strings that continue the prompt; see `Model.choose`, also for its errors."""
        wanted = {"top": top, "within": within, "at_least": at_least}
        arguments = {**options, **{name: v for name, v in wanted.items() if v is not None}}
        result: ChoiceScores | TopChoices = await self._make(
            ChooseCall(self._model, prompt, choices, messages, arguments)
        )
        return result

    async def complete(self, prompt: PromptLike | None = None, **arguments: Any) -> Completion:
        """Continue the prompt; see `Model.complete`, also for its arguments and errors."""
        on_text = arguments.pop("on_text", None)
        number = {"n": arguments["n"]} if "n" in arguments else {}
        is_single = self._model.defaults(**number).get("n", 1) == 1

        def make(check: Callable[[str], None]) -> Completion:
            def note(piece: str) -> None:
                check(piece)
                if on_text is not None:
                    on_text(piece)

            # Several completions have no pieces: they end by themselves.
            listen = note if is_single else on_text
            return self._model.complete(prompt, on_text=listen, **arguments)

        result: Completion = await self._make(PlainCall(make))
        return result

    async def stream(
        self, prompt: PromptLike | None = None, **arguments: Any
    ) -> AsyncGenerator[str, None]:
        """Yield the text of one completion in pieces; see `Model.stream`.

        Closing the iterator ends the completion.
        """
        async with aclosing(self.stream_completion(prompt, **arguments)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield piece

    async def stream_completion(
        self, prompt: PromptLike | None = None, **arguments: Any
    ) -> AsyncGenerator[str | Completion, None]:
        """Yield the text of one completion in pieces, and then the completion itself.

        Closing the iterator ends the completion.

        :param prompt: see `Model.stream`, also for the arguments and errors.
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def put(piece: str) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        task = asyncio.ensure_future(self.complete(prompt, **{"n": 1, **arguments}, on_text=put))
        # The pieces were put before: their callbacks run first.
        task.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            yield await task
        finally:
            task.cancel()

    async def score(self, text: PromptLike, **options: Any) -> TextScore:
        """Return how likely a text is; see `Model.score`, also for its arguments and errors."""
        result: TextScore = await self._make(ScoreCall(self._model, text, options))
        return result

    async def score_tree(self, query: TreeQuery) -> TreeScores:
        """Return the log-probabilities of a token tree's tokens.

        :param query: a tree that fits the model's vocabulary and context, which is not checked.
        :raises CapabilityError: if the backend has no log-probabilities.
        """
        result: TreeScores = await self._make(TreeCall(self._model, query))
        return result

    async def call(self, function: Callable[[Model], Result]) -> Result:
        """Make any other call of the model on its thread, such as one of its tokenizer.

        :param function: makes the call, and returns its result.
        """
        result: Result = await self._make(PlainCall(lambda _: function(self._model)))
        return result

    async def record(self, *arguments: Any, **options: Any) -> Any:
        """Let the model write a record; see `Model.record`, also for its arguments and errors."""

        def make(check: Callable[[str], None]) -> object:
            budget = StoppableBudget.of(options.get("budget"), [call])
            return self._model.record(*arguments, **{**options, "budget": budget})

        call = PlainCall(make)
        return await self._make(call)

    async def run(
        self, automaton: Automaton, inputs: Mapping[str, Any] | None = None, **options: Any
    ) -> ThoughtTree:
        """Run an automaton; see `Automaton.run`, also for its arguments and errors."""
        result: ThoughtTree = await self._make(RunCall(self._model, automaton, inputs, options))
        return result

    async def close(self) -> None:
        """Release the model after the calls that are being made; waiting ones raise ClosedError."""
        # In one function: a task that is cancelled meanwhile leaves nothing half closed.
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._threads.close()
        self._model.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _make(self, call: Call) -> Any:
        self._add(call)
        try:
            return await asyncio.wrap_future(call.future)
        except asyncio.CancelledError:
            call.stop()
            raise

    def _add(self, call: Call) -> None:
        """Hand a call to the threads with those of all tasks that are ready to run now."""
        with self._arriving_lock:
            self._arriving.append(call)
        asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        with self._arriving_lock:
            calls, self._arriving = self._arriving, []
        if calls:
            self._threads.add(calls)
