"""Laws of manners: what a backend says of itself is true, errors are typed, the end is final."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ContextOverflowError,
    InputError,
)
from autocog_core.hooks import manager
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.testing.backend_under_test import BackendUnderTest, logprob_distance
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError


@law()
def description(subject: BackendUnderTest) -> None:
    """What the backend says of itself is in range, and stays the same."""
    model = subject.model
    info = model.info
    size = info.vocabulary_size
    for field, tokens in (
        ("bos", () if info.bos is None else (info.bos,)),
        ("eos", info.eos),
        ("special_tokens", tuple(special.id for special in info.special_tokens)),
    ):
        outside = [token for token in tokens if not 0 <= token < size]
        if outside:
            raise LawViolation(
                f"info.{field} names a token outside the vocabulary",
                expected=f"0..{size - 1}",
                got=outside,
            )
    wrong = {
        "name": not info.name,
        "vocabulary_size": size < 1,
        "context_length": info.context_length is not None and info.context_length < 2,
        "tolerance": not 0 <= info.tolerance <= 2,
        "concurrency": info.max_concurrency < 1,
    }
    for field, bad in wrong.items():
        if bad:
            raise LawViolation(f"info.{field} makes no sense", got=getattr(info, field))
    if subject.new_model().info != info:
        raise LawViolation(
            "another model of the same kind describes itself differently",
            cause="times, addresses or counts in info.details",
        )


@law()
def fingerprint(subject: BackendUnderTest) -> None:
    """Two models of the same kind have one fingerprint, and it is not empty."""
    one, other = subject.model.info.fingerprint, subject.new_model().info.fingerprint
    if not one:
        raise LawViolation(
            "there is no fingerprint",
            cause="give BackendInfo a `compute_fingerprint`: a digest of weights, tokenizer, dtype",
        )
    if one != other:
        raise LawViolation(
            "the same model has two fingerprints",
            expected=one,
            got=other,
            cause="hash() of strings, id(), times or paths in it",
        )


@law()
def capabilities(subject: BackendUnderTest) -> None:
    """Every hook that is declared is there."""
    info = subject.model.info
    own = set(manager.hooks_of(subject.model.backend))
    for name in info.capabilities or ():
        if name not in own:
            raise LawViolation(
                "a capability is declared that the backend does not implement",
                expected=sorted(own),
                got=name,
            )
    if not own & {"complete", "choose", "greedy_impl", "greedy_tree_impl"}:
        raise LawViolation(
            "nothing can be asked of it",
            got=sorted(own),
            cause="are the hooks marked with @hookimpl?",
        )
    contract = getattr(type(subject.model.backend), "contract", None)
    if contract != CONTRACT_VERSION:
        raise LawViolation(
            "the class does not declare the contract that core speaks",
            expected=CONTRACT_VERSION,
            got=contract,
            cause="contract = CONTRACT_VERSION is missing (LM has it)",
        )


@law("rows")
def unknown_ids_refused(subject: BackendUnderTest) -> None:
    """Ids outside the vocabulary are refused, and the next call works."""
    size = subject.model.info.vocabulary_size
    for token in (-1, size, size + 1000):
        _refuses(subject, f"greedy([{token}])", InputError, partial(_greedy, subject, [token]))


@law("rows")
def empty_prompt(subject: BackendUnderTest) -> None:
    """An empty prompt is refused where there is nothing to condition on."""
    if subject.model.info.adds_bos:
        subject.model.greedy("")
        return
    _refuses(subject, 'greedy("")', InputError, lambda: subject.model.greedy(""))


def _greedy(subject: BackendUnderTest, tokens: list[int]) -> Any:
    return subject.model.greedy(tokens)


@law("rows", "tokens")
def context_limit(subject: BackendUnderTest) -> None:
    """The declared context is real: it can be filled, and what is longer is refused."""
    limit = subject.fillable_limit()
    tokens = subject.sequence_of_length(limit)
    # What fails with few tokens as well is not the length's fault.
    subject.model.greedy(tokens[:2])
    try:
        subject.model.greedy(tokens)
    except Exception as error:
        raise LawViolation(
            f"a sequence as long as the context fails: {type(error).__name__}: {error}",
            given=f"{limit} tokens",
            cause="info.context_length is longer than what the engine can take",
        ) from error
    _refuses(
        subject,
        f"{limit + 1} tokens",
        ContextOverflowError,
        lambda: subject.model.greedy([*tokens, tokens[-1]]),
    )


@law("completions", "tokens")
def completion_context_limit(subject: BackendUnderTest) -> None:
    """A completion that does not fit the context is refused, and the next one works."""
    limit = subject.model.info.context_length
    if limit is None:
        raise NotApplicableError("no limit is declared")
    _refuses(
        subject,
        f"max_tokens={limit + 1}",
        ContextOverflowError,
        lambda: subject.model.complete(subject.prompts[0], max_tokens=limit + 1),
        cause="get the ids by self.prompt_tokens(request): it refuses a prompt that, with "
        "max_tokens to follow, does not fit the context",
    )


def _refuses(
    subject: BackendUnderTest,
    given: str,
    kind: type[AutocogError],
    call: Callable[[], Any],
    cause: str = "",
) -> None:
    before = _works(subject)
    try:
        call()
    except kind:
        pass
    except Exception as error:
        raise LawViolation(
            "bad input ends in the wrong error",
            given=given,
            expected=kind.__name__,
            got=f"{type(error).__name__}: {error}",
            cause=cause or "raise autocog_core.errors, so that it is told apart from a mistake",
        ) from error
    else:
        raise LawViolation(
            "bad input is accepted", given=given, expected=kind.__name__, cause=cause
        )
    after = _works(subject)
    if not _alike(subject, before, after):
        raise LawViolation(
            "after an error, answers are others",
            given=given,
            expected=before,
            got=after,
            cause="state is changed before the error is raised, and not set back",
        )


def _alike(subject: BackendUnderTest, before: Any, after: Any) -> bool:
    if isinstance(before, str):
        return bool(before == after)
    # A choice has several tokens, each of which may be so far off.
    return all(
        logprob_distance(one, other) <= 20 * subject.tolerance
        for one, other in zip(before, after, strict=True)
    )


def _works(subject: BackendUnderTest) -> Any:
    """An answer that tells whether all is well."""
    if subject.offers("choices"):
        scores = subject.model.choose(subject.prompts[0], subject.choices[:2]).scores
        return [score.logprob for score in scores]
    return subject.model.complete(subject.prompts[0], max_tokens=3, temperature=0).text


@law()
def closed_is_closed(subject: BackendUnderTest) -> None:
    """Closing is final: a later call is refused, and closing again does nothing."""
    model = subject.new_model()
    if subject.offers("choices"):
        call: Callable[[], Any] = lambda: model.choose(subject.prompts[0], subject.choices[:2])  # noqa: E731
    else:
        call = lambda: model.complete(subject.prompts[0], max_tokens=1)  # noqa: E731
    try:
        call()
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    model.close()
    try:
        call()
    except ClosedError:
        pass
    else:
        raise LawViolation("a closed model answers", expected="ClosedError")
    try:
        model.close()
    except Exception as error:
        raise LawViolation(f"closing again fails: {error!r}", cause="close once only") from error
