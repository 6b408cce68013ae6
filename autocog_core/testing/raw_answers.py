"""Answers of a backend's hooks that core has not checked, so that laws can say what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from autocog_core.model.completion_arguments import make_completion_request, merge_arguments
from autocog_core.model.model import Model
from autocog_core.testing.law_errors import LawViolation
from autocog_core.types.choice import ChoiceRequest, ChoiceScores, EndOfSequence, Norm
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores

Answer = TypeVar("Answer")


class RawAnswers:
    """Calls of the hooks of a model without core's checks.

    :param model: the model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._call = model.client.call_unchecked

    def row(self, tokens: Sequence[int]) -> Any:
        """Return the result of `greedy_impl`, of any type."""
        return self._call("greedy_impl", tokens=list(tokens))

    def trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the result of `greedy_tree_impl`.

        :raises LawViolation: unless it has one `TreeScores` for each query.
        """
        answers = _require_type(self._call("greedy_tree_impl", queries=queries), list)
        if len(answers) != len(queries):
            raise LawViolation(
                "trees have the wrong number of answers", expected=len(queries), got=len(answers)
            )
        return [_require_type(scores, TreeScores) for scores in answers]

    def choose(
        self,
        prompt: str,
        choices: Sequence[str],
        *,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
    ) -> ChoiceScores:
        """Return the result of `choose`.

        :raises LawViolation: for a result of another type.
        """
        request = ChoiceRequest(
            prompt=Prompt.of(prompt), choices=tuple(choices), norm=norm, suffix=suffix
        )
        return _require_type(self._call("choose", request=request), ChoiceScores)

    def complete(self, prompt: str, **arguments: Any) -> Completion:
        """Return the result of `complete`; the arguments are those of `Model.complete`.

        :raises LawViolation: for a result of another type.
        """
        given = merge_arguments(self._model.defaults(), arguments)
        request = make_completion_request(Prompt.of(prompt), given)
        return _require_type(self._call("complete", request=request), Completion)


def _require_type(answer: object, kind: type[Answer]) -> Answer:
    if not isinstance(answer, kind):
        raise LawViolation(
            "a hook returns the wrong type", expected=kind.__name__, got=type(answer).__name__
        )
    return answer
