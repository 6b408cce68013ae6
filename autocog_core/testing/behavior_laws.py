"""Laws of behavior: the description is true, bad input is refused, and a closed model is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ContextOverflowError,
    InputError,
    OutOfMemoryError,
)
from autocog_core.hooks import manager
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.model.model import Model
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import require_equal
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError

#: Hooks that compute something; a backend needs one of them.
COMPUTING_HOOKS = {"complete", "choose", "greedy_impl", "greedy_tree_impl"}
MAX_TOLERANCE = 2
#: A context above `max_context` is filled if that takes at most so long, by a shorter sequence.
_MAX_FILL_SECONDS = 2.0
_TIMED_TOKENS = 1024


@law()
def description(subject: BackendUnderTest) -> None:
    """The description of the backend has valid values, which do not change."""
    info = subject.model.info
    size = info.vocabulary_size
    for field, tokens in (
        ("bos", () if info.bos is None else (info.bos,)),
        ("eos", info.eos),
        ("special_tokens", tuple(special.id for special in info.special_tokens)),
    ):
        outside = [token for token in tokens if not 0 <= token < size]
        if outside:
            raise LawViolation(
                f"info.{field} has an id outside the vocabulary",
                expected=f"0..{size - 1}",
                got=outside,
            )
    is_valid = {
        "name": bool(info.name),
        "vocabulary_size": size >= 1,
        "context_length": info.context_length is None or info.context_length >= 2,
        "tolerance": 0 <= info.tolerance <= MAX_TOLERANCE,
        "max_concurrency": info.max_concurrency >= 1,
    }
    for field, valid in is_valid.items():
        if not valid:
            raise LawViolation(f"info.{field} has an invalid value", got=getattr(info, field))
    if subject.second_model.info != info:
        raise LawViolation(
            "another model of the same kind has another description",
            cause="times, addresses or counts in info.details",
        )


@law()
def fingerprint(subject: BackendUnderTest) -> None:
    """Two models of the same kind have the same fingerprint, which is not empty."""
    expected, got = subject.model.info.fingerprint, subject.second_model.info.fingerprint
    if not expected:
        raise LawViolation(
            "the backend has no fingerprint",
            cause="set BackendInfo.compute_fingerprint: a digest of weights, tokenizer, dtype",
        )
    require_equal(
        expected,
        got,
        "the same model has two fingerprints",
        cause="hash() of strings, id(), times or paths in it",
    )


@law()
def capabilities(subject: BackendUnderTest) -> None:
    """The backend implements every capability that it declares."""
    backend = subject.model.backend
    hooks = set(manager.hooks_of(backend))
    for capability in subject.model.info.capabilities or ():
        if capability not in hooks:
            raise LawViolation(
                "the backend does not implement a capability that it declares",
                expected=sorted(hooks),
                got=capability,
            )
    if not hooks & COMPUTING_HOOKS:
        raise LawViolation(
            "the backend has none of the hooks " + ", ".join(sorted(COMPUTING_HOOKS)),
            got=sorted(hooks),
            cause="are the hooks marked with @hookimpl?",
        )
    require_equal(
        CONTRACT_VERSION,
        getattr(type(backend), "contract", None),
        "the class does not declare the contract version of core",
        cause="contract = CONTRACT_VERSION is missing (LM has it)",
    )


@law("rows")
def unknown_ids_refused(subject: BackendUnderTest) -> None:
    """Token ids outside the vocabulary are refused, and the next call works."""
    size = subject.model.info.vocabulary_size
    for token in (-1, size, size + 1000):
        _check_refusal(
            subject,
            f"greedy([{token}])",
            InputError,
            lambda token=token: subject.model.greedy([token]),  # type: ignore[misc]
        )


@law("rows")
def empty_prompt(subject: BackendUnderTest) -> None:
    """An empty prompt is refused, unless the model adds BOS."""
    if subject.model.info.adds_bos:
        subject.model.greedy("")
        return
    _check_refusal(subject, 'greedy("")', InputError, lambda: subject.model.greedy(""))


@law("rows", "tokens")
def context_limit(subject: BackendUnderTest) -> None:
    """A sequence of the declared context length works, and a longer one is refused."""
    context = _context_to_fill_once(subject)
    tokens = subject.sequence_of_length(context)
    # A failure here has another cause than the length.
    subject.model.greedy(tokens[:2])
    try:
        subject.model.greedy(tokens)
    except OutOfMemoryError as error:
        reason = f"the memory does not suffice for a context of {context} tokens"
        raise NotApplicableError(reason) from error
    except Exception as error:
        raise LawViolation(
            f"a sequence of the declared context length fails: {type(error).__name__}: {error}",
            given=f"{context} tokens",
            cause="info.context_length is longer than what the engine can take",
        ) from error
    _check_refusal(
        subject,
        f"{context + 1} tokens",
        ContextOverflowError,
        lambda: subject.model.greedy([*tokens, tokens[-1]]),
    )


def _context_to_fill_once(subject: BackendUnderTest) -> int:
    """Return the declared context length, also one above `max_context` that is filled quickly.

    :raises NotApplicableError: if none is declared, or one call of this length may take long.
    """
    try:
        return subject.fillable_context()
    except NotApplicableError as error:
        context = subject.model.info.context_length
        if context is None or subject.is_quick:
            raise
        # In another order than other laws, which may have left theirs in a cache.
        first, *others = subject.sequence_of_length(min(context, _TIMED_TOKENS))
        tokens = [first, *others[::-1]]
        start = time.perf_counter()
        subject.model.greedy(tokens)
        # At most: attention takes the square of the length, all else the length.
        seconds = (time.perf_counter() - start) * (context / len(tokens)) ** 2
        if seconds > _MAX_FILL_SECONDS:
            raise NotApplicableError(f"{error}: up to {seconds:.0f} s") from None
        return context


@law("completions", "tokens")
def completion_context_limit(subject: BackendUnderTest) -> None:
    """A completion that does not fit the context is refused, and the next call works."""
    context = subject.model.info.context_length
    if context is None:
        raise NotApplicableError("no context length is declared")
    _check_refusal(
        subject,
        f"max_tokens={context + 1}",
        ContextOverflowError,
        lambda: subject.model.complete(subject.prompts[0], max_tokens=context + 1),
        cause="get the ids from self.prompt_tokens(request): it refuses a prompt that does not "
        "fit the context together with max_tokens",
    )


def _check_refusal(
    subject: BackendUnderTest,
    given: str,
    error_class: type[AutocogError],
    call: Callable[[], Any],
    *,
    cause: str = "",
) -> None:
    """Check that a call is refused, and that it does not change later results."""
    before = _sample_result(subject)
    try:
        call()
    except error_class:
        pass
    except Exception as error:
        raise LawViolation(
            "bad input raises the wrong error",
            given=given,
            expected=error_class.__name__,
            got=f"{type(error).__name__}: {error}",
            cause=cause or "raise an error of autocog_core.errors, which callers can distinguish",
        ) from error
    else:
        raise LawViolation(
            "bad input is accepted", given=given, expected=error_class.__name__, cause=cause
        )
    after = _sample_result(subject)
    if not _are_same(subject, before, after):
        raise LawViolation(
            "after an error, results are different",
            given=given,
            expected=_short(before),
            got=_short(after),
            cause="the backend changes its state before it raises the error: restore the state",
        )


def _sample_result(subject: BackendUnderTest) -> Any:
    """Return the scores of two choices, or a short text, to compare before and after an error."""
    if subject.offers("choices"):
        return subject.model.choose(subject.prompts[0], subject.choices[:2]).scores
    return subject.model.complete(subject.prompts[0], max_tokens=3, temperature=0).text


def _are_same(subject: BackendUnderTest, before: Any, after: Any) -> bool:
    if isinstance(before, str):
        return bool(before == after)
    return subject.agree_on_choices(before, after)


def _short(result: Any) -> Any:
    return result if isinstance(result, str) else [score.logprob for score in result]


@law()
def closed_is_closed(subject: BackendUnderTest) -> None:
    """A closed model refuses calls, and closing it again does nothing."""
    model = subject.take_second_model()
    try:
        _call(subject, model)
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    model.close()
    try:
        _call(subject, model)
    except ClosedError:
        pass
    else:
        raise LawViolation("a call of a closed model works", expected="ClosedError")
    try:
        model.close()
    except Exception as error:
        raise LawViolation(
            f"closing a closed model fails: {error!r}", cause="the engine is released twice"
        ) from error


def _call(subject: BackendUnderTest, model: Model) -> None:
    if subject.offers("choices"):
        model.choose(subject.prompts[0], subject.choices[:2])
    else:
        model.complete(subject.prompts[0], max_tokens=1)
