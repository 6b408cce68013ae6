"""Calls that an engine takes together: choices, scores of texts, and runs of an automaton."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from autocog_core.async_calls.call import Call, make_each
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.types.prompt import Message, PromptLike


class ChooseCall(Call):
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
        self._choices = choices
        self._messages = messages
        self._options = options

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._model.choose(
            self._prompt, self._choices, messages=self._messages, **self._options
        )

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        return ("choose", self._messages is None, _as_key(self._options))

    def make_together(self, calls: Sequence[ChooseCall]) -> Sequence[object]:
        """Make calls of one group. If one has an error, all are made alone."""
        choices = [call._choices for call in calls]
        chats = [call._messages for call in calls]
        try:
            if self._messages is None:
                prompts = [call._prompt for call in calls]
                if any(prompt is None for prompt in prompts):
                    return make_each(calls)
                return self._model.choose_many(prompts, choices, **self._options)  # type: ignore[arg-type]
            if any(call._prompt is not None for call in calls):
                return make_each(calls)
            return self._model.choose_many(messages=chats, choices=choices, **self._options)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - each call alone shows whose error it is
            return make_each(calls)


class ScoreCall(Call):
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
        """Make calls of one group. If one has an error, all are made alone."""
        try:
            return self._model.score_many([call._text for call in calls], **self._options)
        except Exception:  # noqa: BLE001 - each call alone shows whose error it is
            return make_each(calls)


class RunCall(Call):
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
        return self._automaton.run(self._model, self._inputs, **self._options)

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together."""
        if self._options.keys() - {"budget", "strategy", "probs"}:
            # `run_many` has no such arguments.
            return None
        return ("run", id(self._automaton), _as_key(self._options))

    def make_together(self, calls: Sequence[RunCall]) -> Sequence[object]:
        """Make calls of one group."""
        try:
            return list(
                self._automaton.run_many(
                    self._model,
                    [call._inputs or {} for call in calls],
                    concurrency=len(calls),
                    **self._options,
                )
            )
        except Exception:  # noqa: BLE001 - each call alone shows whose error it is
            return make_each(calls)


def _as_key(options: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for equal options."""
    return tuple(sorted((name, repr(value)) for name, value in options.items()))
