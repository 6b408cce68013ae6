"""Laws of state: caches are transparent, and models are independent of each other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from autocog_core.model.model import Model
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import (
    Row,
    max_difference,
)
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.law_notes import require_close
from autocog_core.testing.shared_engine import EngineWatch
from autocog_core.types.choice import ChoiceScore

CALLS_PER_THREAD = 4


@law("choices")
def two_models(subject: BackendUnderTest) -> None:
    """Two models of a backend share no state."""
    model, other = subject.model, subject.model_to_close()
    if other.client is model.client:
        raise LawViolation("`make` returns the same model twice", cause="return a new one")
    prompt = subject.prompts[-1]
    # The first call fills the caches.
    subject.choice_scores(prompt, model)
    expected = subject.choice_scores(prompt, model)
    of_other = subject.choice_scores(prompt, other)
    if not subject.agree_on_choices(expected, of_other) and subject.agree_on_choices(
        expected, subject.choice_scores(prompt, model)
    ):
        raise LawViolation(
            "two models of the same kind return different scores",
            given=prompt,
            expected=_logprobs(expected),
            got=_logprobs(of_other),
            cause="two loads differ: weights that are random with every load (seed them), or the "
            "second model uses what the first one left in a class or module",
        )
    other.choose(subject.prompts[0], subject.choices[::-1])
    if subject.offers("rows"):
        tokens = subject.encode_prompt(prompt)
        row = model.greedy(tokens).copy()
        other.greedy(subject.encode_prompt(prompt + subject.choices[0]))
        difference = max_difference(row, model.greedy(tokens))
        if not subject.is_tolerable(difference):
            limit = f"differences of at most {subject.tolerance:g}"
            raise _shared_state(prompt, limit, difference)
    for tested in (model, other):
        got = subject.choice_scores(prompt, tested)
        if not subject.agree_on_choices(expected, got):
            raise _shared_state(prompt, _logprobs(expected), _logprobs(got))
    other.close()
    try:
        got = subject.choice_scores(prompt, model)
    except Exception as error:
        raise LawViolation(
            f"after one model is closed, another fails: {type(error).__name__}: {error}",
            given=prompt,
            cause="`close_impl` frees an engine that models share, for example in a class or "
            "module: give each model an engine, or free the engine with the last model",
        ) from error
    if not subject.agree_on_choices(expected, got):
        raise _shared_state(prompt, _logprobs(expected), _logprobs(got))


def _logprobs(scores: Sequence[ChoiceScore]) -> list[float]:
    return [score.logprob for score in scores]


def _shared_state(prompt: str, expected: object, got: object) -> LawViolation:
    return LawViolation(
        "another model of the backend changes the results of this one",
        given=prompt,
        expected=expected,
        got=got,
        cause="state in a class attribute or module: store it in the instance, or in the engine "
        "that `create` returns, with a lock",
    )


@law("rows")
def cache_is_transparent(subject: BackendUnderTest) -> None:
    """Earlier calls do not change a row, even if they evaluated a prefix or an extension."""
    prompts = subject.prompts
    for prompt in prompts[-1:] if subject.is_quick else prompts:
        tokens = subject.encode_prompt(prompt + subject.choices[0])
        prefix = tokens[: max(2, len(tokens) // 2)]
        extension = [*prefix, tokens[0]]
        uncached_prefix = _row_after_another(subject, prefix)
        row = _row(subject, tokens)
        cases: list[tuple[str, Row, Row]] = [
            ("a prefix of the last sequence", uncached_prefix, _row(subject, prefix)),
            ("a sequence after another one", row, _row_after_another(subject, tokens)),
            ("a sequence that is evaluated twice", row, _row(subject, tokens)),
        ]
        uncached_extension = _row_after_another(subject, extension)
        _row(subject, prefix)
        cases.append(
            ("an extension of the last sequence", uncached_extension, _row(subject, extension))
        )
        for sequence, expected, got in cases:
            require_close(
                subject,
                expected,
                got,
                f"{sequence} has another row than alone",
                given=prompt,
                cause="a cache keeps rows or states of a longer sequence: cut it back to the "
                "shared prefix, and evaluate at least the last token again",
            )


def _row(subject: BackendUnderTest, tokens: list[int]) -> Row:
    return subject.model.greedy(tokens).copy()


def _row_after_another(subject: BackendUnderTest, tokens: list[int]) -> Row:
    """Return a row after a call with an unrelated sequence, so that no cache applies."""
    size = subject.model.info.vocabulary_size
    subject.model.greedy([(tokens[0] + 5) % size, (tokens[-1] + 3) % size])
    return _row(subject, tokens)


@law("choices")
def repeated_choices_match(subject: BackendUnderTest) -> None:
    """The same choice has the same scores after other calls."""
    model, prompts = subject.model, subject.prompts
    for prompt, other_prompt in zip(prompts, [*prompts[1:], prompts[0]], strict=True):
        first = model.choose(prompt, subject.choices)
        model.choose(other_prompt, subject.choices[::-1])
        repeated = model.choose(prompt, subject.choices)
        for expected, score in zip(first.scores, repeated.scores, strict=True):
            # The tokens of some backends have no scores.
            if not (
                subject.agree_on_choices([expected], [score])
                and subject.are_tolerable(expected.token_logprobs, score.token_logprobs)
            ):
                raise LawViolation(
                    "in a repeated call, a choice has another score",
                    given=(prompt, expected.choice),
                    expected=expected.logprob,
                    got=score.logprob,
                    cause="sampling, dropout, or state of the previous call",
                )


@law("choices")
def threads(subject: BackendUnderTest) -> None:
    """Calls from several threads return the same scores as calls in sequence."""
    prompts = subject.prompts
    expected = {prompt: subject.choice_scores(prompt) for prompt in prompts}
    results: list[tuple[str, Sequence[ChoiceScore]]] = []
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for call in range(subject.count(CALLS_PER_THREAD)):
                prompt = prompts[(first + call) % len(prompts)]
                results.append((prompt, subject.choice_scores(prompt)))
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            errors.append(error)

    workers = [threading.Thread(target=work, args=(first,)) for first in range(len(prompts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cause = "info.max_concurrency allows more calls at once than the engine accepts"
    if errors:
        raise LawViolation(f"calls from several threads fail: {errors[0]!r}", cause=cause)
    for prompt, scores in results:
        if not subject.agree_on_choices(expected[prompt], scores):
            raise LawViolation(
                "calls from several threads return other scores",
                given=prompt,
                expected=_logprobs(expected[prompt]),
                got=_logprobs(scores),
                cause=cause,
            )


@law("choices")
def two_models_of_one_engine(subject: BackendUnderTest) -> None:
    """Two models of one engine take turns, and each answers as alone."""
    models = subject.models_of_one_engine()
    prompts = subject.prompts
    expected = {prompt: subject.choice_scores(prompt, models[0]) for prompt in prompts}
    watch = EngineWatch()
    if models[0].info.max_concurrency == 1:
        watch.attach(models)
    start = threading.Barrier(len(models))
    results: list[tuple[str, Sequence[ChoiceScore]]] = []
    errors: list[BaseException] = []

    def work(model: Model, order: Sequence[str]) -> None:
        try:
            start.wait()
            for prompt in order:
                results.append((prompt, subject.choice_scores(prompt, model)))
                if subject.offers("rows") and subject.offers("tokens"):
                    model.greedy(prompt)
                if subject.offers("completions"):
                    model.complete(prompt, max_tokens=1, temperature=0)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            errors.append(error)

    orders = (prompts, prompts[::-1])
    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(models, orders, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cause = (
        "each model has a lock of its own: store the engine in the attribute `engine`, so that "
        "core gives its models one lock, or set `lock` to one that belongs to the engine"
    )
    if watch.has_met:
        raise LawViolation(
            "calls of two models are in their engine at the same time",
            expected="one call at a time, because info.max_concurrency is 1",
            cause=cause,
        )
    if errors:
        raise LawViolation(f"calls of two models of one engine fail: {errors[0]!r}", cause=cause)
    for prompt, scores in results:
        if not subject.agree_on_choices(expected[prompt], scores):
            raise LawViolation(
                "a model of a shared engine has other scores while the other one is called",
                given=prompt,
                expected=_logprobs(expected[prompt]),
                got=_logprobs(scores),
                cause="calls change what the engine keeps for other calls",
            )


@law("rows")
def new_model_same_rows(subject: BackendUnderTest) -> None:
    """A model that is made after another one was closed has the same rows."""
    if not subject.offers("tokens"):
        raise NotApplicableError("the backend has no tokenizer")
    prompt = subject.prompts[-1]
    tokens = subject.encode_prompt(prompt)
    if subject.is_quick and subject.has_closed_model:
        # Another law has closed one, so `second_model` was made after that.
        row = subject.model.greedy(tokens).copy()
    else:
        first = subject.take_second_model()
        row = first.greedy(tokens).copy()
        first.close()
    require_close(
        subject,
        row,
        subject.second_model.greedy(tokens),
        "a new model has other rows than the previous one",
        given=prompt,
        cause="weights that are random with every load, or state that outlives a model",
    )
