"""Questions about a text, answered by a model: one call of `choose` for each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from autocog_core.errors import AutocogError, InputError
from autocog_core.model.model import Model
from autocog_core.server.decisions.answer import DecidedQuestion
from autocog_core.server.decisions.chat_frame import ChatFrame, plain_prompt
from autocog_core.server.decisions.question import Question
from autocog_core.server.decisions.served_templates import ServedTemplates
from autocog_core.server.decisions.settings import DecisionSettings
from autocog_core.server.decisions.template import DecisionTemplate, QuestionText
from autocog_core.server.named_calls import check_count, name_errors
from autocog_core.server.request_calls import RequestCalls
from autocog_core.server.request_errors import RequestError

#: Nats per token: with a larger tolerance, the numbers of a model depend on what is evaluated with
#: them, as with quantized weights.
MAX_EXACT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class DecisionUsage:
    """What a request cost.

    :ivar prompt_tokens: tokens of all prompts, shared beginnings counted each time.
    :ivar cached_tokens: of these, how many the model did not evaluate, at least.
    :ivar answer_tokens: tokens of all options, which were scored.
    """

    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The answers to all questions of a request.

    :ivar model: the name of the model.
    :ivar answers: the answers, in the order of the questions.
    :ivar usage: what they cost.
    :ivar template: the version of the template.
    :ivar settings: the settings, with `isolate` as it was.
    """

    model: str
    answers: Sequence[DecidedQuestion]
    usage: DecisionUsage
    template: str
    settings: DecisionSettings

    @property
    def option_count(self) -> int:
        """How many options all questions have."""
        return sum(len(answer.question.options) for answer in self.answers)

    def extensions(self) -> dict[str, Any]:
        """Return the fields that neither protocol has."""
        return {
            "x_template": self.template,
            "x_method": self.settings.method,
            "x_isolate": self.settings.isolate,
        }


async def decide(
    calls: RequestCalls,
    templates: ServedTemplates,
    model_name: str | None,
    state: str,
    questions: Sequence[Question],
    settings: DecisionSettings,
) -> Decided:
    """Answer questions about a text.

    Each question is a prompt of its own: nothing of another question is in it. All are given to the
    model together, so that it reads the text once.

    :param calls: the calls of the request.
    :param templates: the templates of the models.
    :param model_name: the name of the model in the request.
    :param state: the text.
    :param questions: the questions.
    :param settings: how they are answered.
    :raises RequestError: for too many questions or options, and as `RequestCalls.make`.
    :raises AutocogError: names the question that is wrong.
    """
    _check_counts(calls, questions)
    model = await calls.model(model_name)
    template, frame = await templates.get(model)
    # Templates of hundreds of questions take a while: other requests go on.
    texts = await asyncio.to_thread(_texts_of, template, questions, settings)
    prompts = [
        plain_prompt(state, text)
        if frame is None or not text.has_turn
        else frame.prompt(state, text)
        for text in texts
    ]
    settings = settings.resolved(is_exact=model.model.info.tolerance <= MAX_EXACT_TOLERANCE)
    options = settings.choose_options()
    works: list[Coroutine[Any, Any, Any]] = [
        name_errors(partial(model.calls.choose, prompt, text.answers, **options), question.place)
        for question, prompt, text in zip(questions, prompts, texts, strict=True)
    ]
    count = partial(_count_tokens, state=state, texts=texts, frame=frame)
    made: list[Any] = await calls.make(model, [*works, model.calls.call(count)])
    *results, prompt_tokens = made
    answers = list(map(DecidedQuestion, questions, results))
    return Decided(
        model=model.name,
        answers=answers,
        usage=_usage_of(answers, prompt_tokens),
        template=template.version,
        settings=settings,
    )


def _check_counts(calls: RequestCalls, questions: Sequence[Question]) -> None:
    limits = calls.state.config.limits
    check_count("questions", len(questions), limits, "questions", status=422)
    for question in questions:
        if len(question.options) > limits.options:
            raise RequestError(
                f"{len(question.options):,} options; this server takes {limits.options:,}",
                status=422,
                parameter=question.place,
            )
    total = sum(len(question.options) for question in questions)
    if total > limits.choices:
        raise RequestError(
            f"{total:,} options of all questions; this server takes {limits.choices:,}",
            status=422,
            parameter="questions",
        )


def _texts_of(
    template: DecisionTemplate, questions: Sequence[Question], settings: DecisionSettings
) -> list[QuestionText]:
    texts = []
    for question in questions:
        try:
            texts.append(template.text_of(question, settings.method))
        except InputError as error:
            where = ", ".join(filter(None, (question.place, error.where)))
            raise InputError(error.message, where=where, hint=error.hint) from error
    return texts


def _count_tokens(
    model: Model, state: str, texts: Sequence[QuestionText], frame: ChatFrame | None
) -> int | None:
    """Return how many tokens all prompts have; None if the model's tokenizer is not known.

    The state is counted once and taken for each question, and so are the parts around it. Tokens
    that cross the border of two parts make a difference of a few.
    """
    parts = [(text.before_state, text.question, text.answer_start) for text in texts]
    around = frame.texts if frame is not None and texts[0].has_turn else ()
    try:
        fixed = sum(
            len(model.tokenize(part, at_start=False, parse_special=is_special))
            for part, is_special in ((state, False), *((part, True) for part in around))
            if part
        )
        sizes = {
            part: len(model.tokenize(part, at_start=False))
            for part in dict.fromkeys(chain.from_iterable(parts))
            if part
        }
    except AutocogError:
        return None
    return fixed * len(texts) + sum(sizes.get(part, 0) for part in chain.from_iterable(parts))


def _usage_of(answers: Sequence[DecidedQuestion], prompt_tokens: int | None) -> DecisionUsage:
    scores = [answer.scores for answer in answers]
    evaluated = [result.tokens_evaluated for result in scores]
    known = sum(count for count in evaluated if count is not None)
    if prompt_tokens is None:
        prompt_tokens = known
    cached = 0 if None in evaluated else max(0, prompt_tokens - known)
    answer_tokens = sum(len(score.tokens) for result in scores for score in result.scores)
    return DecisionUsage(prompt_tokens, cached, answer_tokens)
