"""The public call `compare`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocog_core.automaton.checks.action_checks import require_sound
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import AutocogError, InputError
from autocog_core.model.calls import GreedyCalls
from autocog_core.model.choice_arguments import (
    ChoiceLike,
    choices_per_prompt,
    make_choice_request,
    require_list,
)
from autocog_core.model.choice_scoring import choose_one
from autocog_core.scoring.score_texts import TextRequest
from autocog_core.types.choice import Norm
from autocog_core.types.prompt import Prompt, PromptLike

# Most models are never compared: the modules of comparisons are imported by a call.
if TYPE_CHECKING:
    from autocog_core.comparison.program_work import Row
    from autocog_core.comparison.works import AnyWork, ChoiceWork, TextWork
    from autocog_core.types.comparison import Comparison


class CompareCalls(GreedyCalls):
    """Calls of models that are compared with others."""

    def compare(
        self,
        other: CompareCalls,
        work: Sequence[PromptLike] | AutomatonGraph,
        *,
        choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]] | None = None,
        rows: Sequence[Mapping[str, Any] | AutocogError] | None = None,
        context: PromptLike = "",
        norm: Norm = "sum",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Comparison:
        """Compare this model with another one on the same work.

        The work is a list of texts to score, a list of prompts with `choices`, or a program with
        `rows`. Each item goes to both models, one after the other, and the other one first the
        next time; an item on which a model fails counts for neither.

        :param other: the other model.
        :param work: texts, prompts, or a program.
        :param choices: for prompts: one list for all of them, or one list a prompt.
        :param rows: for a program: the inputs of each row; None for one run without inputs. An
            error stands for a row that could not be read.
        :param context: for texts: what stands before each of them, which is not scored.
        :param norm: for prompts: what ranks the choices.
        :param on_progress: called with the number of finished items, and of all.
        :raises InputError: for work that is empty, or wrong for any model.
        :raises CapabilityError: if a model cannot do the work.
        :raises AutocogError: if no item succeeds on both models, the first error.
        """
        from autocog_core.comparison.compare import compare_models
        from autocog_core.comparison.program_work import ProgramWork

        first, second = self._call_context().client, other._call_context().client
        if isinstance(work, AutomatonGraph):
            _reject("a program", choices=choices, context=context or None)
            require_sound(work)
            job: AnyWork = ProgramWork(work, [{}] if rows is None else _as_rows(rows))
        elif choices is not None:
            _reject("prompts", rows=rows, context=context or None)
            job = _choice_work(work, choices, norm)
        else:
            _reject("texts", rows=rows)
            # A text that is too long for one model is cut into the same windows for both.
            limits = (first.info.context_length, second.info.context_length)
            job = _text_work(work, context, min(filter(None, limits), default=None))
        return compare_models(job, first, second, on_progress)


def _reject(work: str, **arguments: object) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise InputError(f"is not an argument for {work}", where=name, hint="leave it out")


def _as_rows(rows: Sequence[Any]) -> Sequence[Row]:
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping | AutocogError):
            message = f"got {type(row).__name__}"
            hint = "give a mapping of the inputs"
            raise InputError(message, where=f"row {index}", hint=hint)
    return rows


def _choice_work(
    prompts: Sequence[PromptLike],
    choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]],
    norm: Norm,
) -> ChoiceWork:
    from autocog_core.comparison.works import ChoiceWork

    prompts = require_list(prompts)
    requests = []
    for prompt, prompt_choices in zip(prompts, choices_per_prompt(prompts, choices), strict=True):
        requests.append(
            make_choice_request(
                Prompt.of(prompt),
                prompt_choices,
                norm=norm,
                suffix=None,
                boundary="heal",
                method=None,
                unconditional_prompt=None,
            )
        )
    return ChoiceWork(requests, choose_one)


def _text_work(texts: Sequence[PromptLike], context: PromptLike, window: int | None) -> TextWork:
    from autocog_core.comparison.works import TextWork

    before = Prompt.of(context)
    requests = []
    for index, text in enumerate(require_list(texts)):
        where = f"text {index}"
        if not isinstance(text, str):
            hint = "give a string; prompts need `choices`"
            raise InputError(f"got {type(text).__name__}", where=where, hint=hint)
        if not text:
            raise InputError("is empty", where=where, hint="there is nothing to score")
        requests.append(TextRequest(context=before, text=text, where=where))
    return TextWork(requests, window)
