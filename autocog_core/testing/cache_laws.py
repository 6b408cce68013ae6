"""Laws of what is kept between calls: it never changes an answer, and no model sees another's."""

from __future__ import annotations

import threading

import numpy as np

from autocog_core.model.model import Model
from autocog_core.testing.backend_under_test import (
    BackendUnderTest,
    Row,
    max_difference,
    require_near,
)
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError

#: Calls of each thread.
CALLS = 4


@law("choices")
def two_models(subject: BackendUnderTest) -> None:
    """Two models of a backend share no state: calls of one change nothing for the other."""
    model, other = subject.model, subject.new_model()
    if other.client is model.client:
        raise LawViolation("the factory gives the same model twice", cause="make a new one")
    prompt = subject.prompts[-1]
    _logprobs(subject, model)
    expected = _logprobs(subject, model)
    mine = _logprobs(subject, other)
    if _far(subject, expected, mine) and not _far(subject, expected, _logprobs(subject, model)):
        raise LawViolation(
            "two models of the same kind give different answers",
            given=prompt,
            expected=expected,
            got=mine,
            cause="two loads differ: weights that are random with every load (seed them), or one "
            "takes over what the other has left in a class or module",
        )
    other.choose(subject.prompts[0], subject.choices[::-1])
    if subject.offers("rows"):
        tokens = subject.encode_prompt(prompt)
        row = model.greedy(tokens).copy()
        other.greedy(subject.encode_prompt(prompt + subject.choices[0]))
        far = max_difference(row, model.greedy(tokens))
        if far > subject.tolerance:
            raise _shared(prompt, f"differences of at most {subject.tolerance:g}", far)
    for each in (model, other):
        if _far(subject, expected, found := _logprobs(subject, each)):
            raise _shared(prompt, expected, found)
    other.close()
    try:
        after = _logprobs(subject, model)
    except Exception as error:
        raise LawViolation(
            f"when one model is closed, another fails: {type(error).__name__}: {error}",
            given=prompt,
            cause="`close_impl` frees an engine that models share, in a class or module say: let "
            "each model have its own, or free it with the last of them",
        ) from error
    if _far(subject, expected, after):
        raise _shared(prompt, expected, after)


def _logprobs(subject: BackendUnderTest, model: Model) -> list[float]:
    scores = model.choose(subject.prompts[-1], subject.choices).scores
    return [score.logprob for score in scores]


def _far(subject: BackendUnderTest, one: list[float], other: list[float]) -> bool:
    # A choice has several tokens, each of which may be so far off.
    return max_difference(np.array(one), np.array(other)) > 20 * subject.tolerance


def _shared(prompt: str, expected: object, got: object) -> LawViolation:
    return LawViolation(
        "another model of the backend has changed this one's answers",
        given=prompt,
        expected=expected,
        got=got,
        cause="state in a class attribute or module: keep it on the instance, or in what `create` "
        "returns with a lock around it",
    )


@law("rows")
def cache_is_transparent(subject: BackendUnderTest) -> None:
    """What was asked before changes no row: not of a strict prefix, not of an extension."""
    model = subject.model
    for prompt in subject.prompts:
        tokens = subject.encode_prompt(prompt + subject.choices[0])
        short = tokens[: max(2, len(tokens) // 2)]
        fresh = _elsewhere(subject, short)
        whole = model.greedy(tokens).copy()
        steps: list[tuple[str, Row, Row]] = [
            ("a strict prefix of what was asked before", fresh, model.greedy(short).copy()),
            ("the same again", whole, _elsewhere(subject, tokens)),
            ("what was asked before, asked at once again", whole, model.greedy(tokens).copy()),
        ]
        extended = [*short, tokens[0]]
        steps.append(
            (
                "an extension of what was asked before",
                _elsewhere(subject, extended),
                _after(subject, short, extended),
            )
        )
        for which, expected, got in steps:
            require_near(
                subject,
                expected,
                got,
                f"{which} has another row than alone",
                given=prompt,
                cause="a cache keeps rows or states of a longer sequence: cut it back to the "
                "prefix that both share, and evaluate at least the last token anew",
            )


def _elsewhere(subject: BackendUnderTest, tokens: list[int]) -> Row:
    """The row after something else altogether."""
    model = subject.model
    size = model.info.vocabulary_size
    model.greedy([(tokens[0] + 5) % size, (tokens[-1] + 3) % size])
    return model.greedy(tokens).copy()


def _after(subject: BackendUnderTest, before: list[int], tokens: list[int]) -> Row:
    subject.model.greedy(before)
    return subject.model.greedy(tokens).copy()


@law("choices")
def repeated_choices_match(subject: BackendUnderTest) -> None:
    """The same choice has the same scores, whatever was asked in between."""
    model, prompts = subject.model, subject.prompts
    for prompt, other_prompt in zip(prompts, [*prompts[1:], prompts[0]], strict=True):
        first = model.choose(prompt, subject.choices)
        model.choose(other_prompt, subject.choices[::-1])
        again = model.choose(prompt, subject.choices)
        for one, other in zip(first.scores, again.scores, strict=True):
            far = max(
                [0.0]
                + [
                    abs(a - b)
                    for a, b in zip(one.token_logprobs, other.token_logprobs, strict=True)
                    if a != b
                ]
            )
            if far > subject.tolerance:
                raise LawViolation(
                    "asked again, a choice has another score",
                    given=(prompt, one.choice),
                    expected=one.logprob,
                    got=other.logprob,
                    cause="sampling, dropout, or state left over from the call before",
                )


@law("choices")
def threads(subject: BackendUnderTest) -> None:
    """Calls from several threads have the answers of calls one after the other."""
    model = subject.model
    prompts = subject.prompts
    expected = {
        prompt: [score.logprob for score in model.choose(prompt, subject.choices).scores]
        for prompt in prompts
    }
    found: list[tuple[str, list[float]]] = []
    errors: list[BaseException] = []

    def work(begin: int) -> None:
        try:
            for number in range(CALLS):
                prompt = prompts[(begin + number) % len(prompts)]
                scores = model.choose(prompt, subject.choices).scores
                found.append((prompt, [score.logprob for score in scores]))
        except BaseException as error:  # noqa: BLE001 - handed on
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(prompts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cause = "info.max_concurrency promises more calls at once than the engine can take"
    if errors:
        raise LawViolation(f"calls from several threads fail: {errors[0]!r}", cause=cause)
    for prompt, logprobs in found:
        if not np.allclose(logprobs, expected[prompt], atol=subject.tolerance * 20):
            raise LawViolation(
                "calls from several threads have other answers",
                given=prompt,
                expected=expected[prompt],
                got=logprobs,
                cause=cause,
            )


@law("rows")
def new_model_same_rows(subject: BackendUnderTest) -> None:
    """A model that is made after another was closed has the same rows."""
    if not subject.offers("tokens"):
        raise NotApplicableError("it has no tokens")
    prompt = subject.prompts[-1]
    tokens = subject.encode_prompt(prompt)
    first = subject.new_model()
    row = first.greedy(tokens).copy()
    first.close()
    require_near(
        subject,
        row,
        subject.new_model().greedy(tokens),
        "a new model has other rows than the one before",
        given=prompt,
        cause="weights that are random at every start, or state that outlives a model",
    )
