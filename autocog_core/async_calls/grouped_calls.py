"""Calls that an engine takes together: choices, scores of texts and trees, runs of an automaton."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from autocog_core.async_calls.call import GroupedCall
from autocog_core.async_calls.stoppable_budget import StoppableBudget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.scoring.query_batches import score_queries
from autocog_core.types.prompt import Message, PromptLike
from autocog_core.types.token_tree import TreeQuery


class ChooseCall(GroupedCall):
    """A call of `Model.choose`; calls with the same options are one `choose_many`.

    :param model: the model.
    :param prompt: the prompt; None for a chat.
    :param choices: the choices.
    :param messages: the chat; None for a prompt.
    :param options: the other arguments of `choose`.
    """

    def __init__(
        self,
        model: Model,
        prompt: PromptLike | None,
        choices: Sequence[Any],
        messages: Sequence[Message] | None,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._model = model
        self._prompt = prompt
        # It may be made again, after an error of another call.
        self._choices = tuple(choices) if isinstance(choices, Iterator) else choices
        self._messages = messages
        self._options = options

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._model.choose(
            self._prompt, self._choices, messages=self._messages, **self._options
        )

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        if (self._prompt is None) == (self._messages is None):
            # An error, which the call alone describes.
            return None
        return ("choose", self._messages is None, _as_key(self._options))

    def make_together(self, calls: Sequence[ChooseCall]) -> Sequence[object]:
        """Make calls of one group."""
        choices = [call._choices for call in calls]
        given: dict[str, Any] = (
            {"prompts": [call._prompt for call in calls]}
            if self._messages is None
            else {"messages": [call._messages for call in calls]}
        )
        return self._model.choose_many(choices=choices, **given, **self._options)


class ScoreCall(GroupedCall):
    """A call of `Model.score`; calls with the same options are one `score_many`."""

    def __init__(self, model: Model, text: Any, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._model = model
        self._text = text
        self._options = options

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._model.score(self._text, **self._options)

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        return ("score", _as_key(self._options))

    def make_together(self, calls: Sequence[ScoreCall]) -> Sequence[object]:
        """Make calls of one group."""
        return self._model.score_many([call._text for call in calls], **self._options)


class TreeCall(GroupedCall):
    """A call that scores a token tree; trees of all clients go to the engine together."""

    def __init__(self, model: Model, query: TreeQuery) -> None:
        super().__init__()
        self._model = model
        self._query = query

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._model.client.greedy_tree([self._query])[0]

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        return "trees"

    def make_together(self, calls: Sequence[TreeCall]) -> Sequence[object]:
        """Make calls of one group."""
        return list(score_queries(self._model.client, [call._query for call in calls]))


class RunCall(GroupedCall):
    """A call of `Automaton.run`; runs of one automaton with the same options run together."""

    def __init__(
        self,
        model: Model,
        automaton: Automaton,
        inputs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._model = model
        self._automaton = automaton
        self._inputs = inputs
        self._options = options

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._automaton.run(self._model, self._inputs, **self._options_of([self]))

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        if self._options.keys() - {"budget", "strategy", "probs"}:
            # `run_many` has no such arguments.
            return None
        return ("run", id(self._automaton), _as_key(self._options))

    def make_together(self, calls: Sequence[RunCall]) -> Sequence[object]:
        """Make calls of one group."""
        return list(
            self._automaton.run_many(
                self._model,
                [call._inputs or {} for call in calls],
                concurrency=len(calls),
                **self._options_of(calls),
            )
        )

    def _options_of(self, calls: Sequence[RunCall]) -> dict[str, Any]:
        """Return the options, with a budget that ends once nobody waits for the calls."""
        return {**self._options, "budget": StoppableBudget.of(self._options.get("budget"), calls)}


def _as_key(options: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for equal options."""
    return tuple(sorted((name, repr(value)) for name, value in options.items()))
