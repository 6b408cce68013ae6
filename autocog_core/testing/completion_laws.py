"""Laws of completions: the hook `complete`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, get_args

from autocog_core.errors import CapabilityError
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import logprob_distance, require_equal
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.completion import Completion, FinishReason

MAX_TOKENS = 12
#: Length and number of the samples in which the model may write EOS.
EOS_MAX_TOKENS, EOS_SAMPLES = 32, 8
#: About this many stop strings of two characters are tested, spread over a text.
STOP_STRINGS = 12
MIN_TEXT_LENGTH = 4
#: A text that no model writes.
UNUSED_STOP = "\u2603 never \u2603"


@law("completions")
def max_tokens_respected(subject: BackendUnderTest) -> None:
    """A completion has at most `max_tokens` tokens, and the right finish reason."""
    for max_tokens in (1, 3, subject.free_tokens(MAX_TOKENS)):
        completion = greedy_completion(subject, max_tokens)
        if len(completion.tokens) > max_tokens:
            raise LawViolation(
                "a completion has more tokens than requested",
                given=f"max_tokens={max_tokens}",
                expected=f"at most {max_tokens}",
                got=len(completion.tokens),
            )
        if completion.finish_reason not in get_args(FinishReason):
            raise LawViolation("finish_reason has a wrong value", got=completion.finish_reason)
        if completion.finish_reason == "stop":
            raise LawViolation(
                "a completion ends at a stop string, but the request has none",
                given=f"max_tokens={max_tokens}",
                got=completion.stop_string,
                cause="an empty stop matches everywhere, or the end of the text is reported as a "
                "stop",
            )
        if completion.finish_reason == "length" and 0 < len(completion.tokens) < max_tokens:
            raise LawViolation(
                'finish_reason is "length", but the completion has fewer tokens',
                expected=max_tokens,
                got=len(completion.tokens),
            )


@law("completions", "tokens")
def stops_at_eos(subject: BackendUnderTest) -> None:
    """A completion ends at the first EOS, and its finish reason says so."""
    eos = set(subject.model.info.eos)
    if not eos and not subject.offers("rows"):
        raise NotApplicableError("no EOS is declared")
    completions = list(_various_completions(subject))
    if not eos:
        _check_no_eos(completions)
    for completion in completions:
        tokens, finish_reason = completion.tokens, completion.finish_reason
        if eos & set(tokens[:-1]):
            raise LawViolation(
                "the completion goes on after EOS",
                expected="EOS (one of info.eos) as the last token, or not at all",
                got=tokens,
                cause="ignore_eos is on, or only one of several EOS ids is compared",
            )
        if tokens and (tokens[-1] in eos) is not (finish_reason == "eos"):
            raise LawViolation(
                f'finish_reason is "{finish_reason}", which does not agree with the last token',
                expected='"eos" if the last token is one of info.eos, and only then',
                got=tokens,
                cause="EOS is left out of `tokens`, or info.eos lacks some of the ids that end a "
                "completion"
                if finish_reason == "eos"
                else "the last token is not looked at, or info.eos has too many ids",
            )
    if not any(completion.finish_reason == "eos" for completion in completions):
        raise NotApplicableError("the model never wrote EOS")


def _check_no_eos(completions: Sequence[Completion]) -> NoReturn:
    """Check completions of a backend that declares no EOS."""
    for completion in completions:
        if completion.finish_reason == "eos":
            raise LawViolation(
                'finish_reason is "eos", but the backend declares no EOS',
                expected="info.eos with the ids that end a sequence",
                got=completion.tokens,
                cause="info.eos is empty: token by token, core goes on where `complete` ends",
            )
    raise NotApplicableError("no EOS is declared")


def _various_completions(subject: BackendUnderTest) -> Iterator[Completion]:
    """Yield completions, some of which may end with EOS."""
    raw, max_tokens = subject.raw, subject.free_tokens(EOS_MAX_TOKENS)
    for prompt in subject.prompts[:2]:
        yield raw.complete(prompt, max_tokens=max_tokens, temperature=0)
    for seed in range(subject.count(EOS_SAMPLES)):
        try:
            yield raw.complete(subject.prompts[-1], max_tokens=max_tokens, temperature=1, seed=seed)
        except CapabilityError:
            return


@law("completions", "rows", "tokens")
def greedy_completion_is_scored(subject: BackendUnderTest) -> None:
    """At temperature 0, each token is the likeliest one and has its log-probability."""
    completion = greedy_completion(subject)
    logprobs = completion.logprobs
    if logprobs is None or len(logprobs) != len(completion.tokens):
        raise LawViolation(
            "tokens of a completion have no log-probability",
            expected=len(completion.tokens),
            got=None if logprobs is None else len(logprobs),
        )
    prompt = subject.prompts[-1]
    tokens = subject.model.encode(prompt)
    for index, (token, logprob) in enumerate(zip(completion.tokens, logprobs, strict=True)):
        row = subject.model.greedy(tokens)
        expected, top = float(row[token]), float(row.max())
        if not subject.is_tolerable(logprob_distance(expected, logprob)):
            is_negated = logprob_distance(-expected, logprob) <= subject.tolerance
            raise LawViolation(
                f"token {index} of a completion has another log-probability than in its row",
                given=prompt,
                expected=expected,
                got=logprob,
                cause="the sign" if is_negated else "values after temperature, masks or penalties",
            )
        if top - expected > subject.tolerance:
            raise LawViolation(
                f"token {index} of a greedy completion is not the likeliest",
                given=prompt,
                expected=top,
                got=expected,
                cause="sampling at temperature 0, or a repetition penalty by default",
            )
        tokens.append(token)


@law("completions", "tokens")
def tokens_spell_the_text(subject: BackendUnderTest) -> None:
    """The tokens of a completion spell its text."""
    completion = greedy_completion(subject)
    if not completion.tokens and completion.text:
        raise NotApplicableError("completions have no tokens")
    spelled = subject.model.detokenize(completion.tokens)
    require_equal(
        completion.text,
        spelled,
        "the tokens of a completion spell another text",
        cause="a blank at the start is lost: decode bytes, not words"
        if spelled.strip() == completion.text.strip()
        else "",
    )


@law("completions")
def stop_strings_match(subject: BackendUnderTest) -> None:
    """A completion ends before the first stop string, even inside tokens."""
    full = _long_completion(subject)
    last = len(full.text) - 1
    for start in range(0, last, max(1, last // subject.count(STOP_STRINGS))):
        stop = full.text[start : start + 2]
        if "\ufffd" not in stop:
            _check_stop(subject, full, stop)
    require_equal(
        full.text,
        greedy_completion(subject, stop=UNUSED_STOP).text,
        "a stop string that does not occur changes the text",
    )


def _check_stop(subject: BackendUnderTest, full: Completion, stop: str) -> None:
    """Check a completion with a stop string against the `full` one without."""
    stopped = greedy_completion(subject, stop=stop)
    expected = full.text[: full.text.find(stop)]
    given = f"stop={stop!r}"
    if stopped.text != expected:
        raise LawViolation(
            "a completion does not end where the stop string begins",
            given=given,
            expected=expected,
            got=stopped.text,
            cause=_diagnose_stop(stopped, full, expected, stop),
        )
    if stopped.finish_reason != "stop" or stopped.stop_string not in (stop, None):
        raise LawViolation(
            "finish_reason and stop_string do not name the stop string",
            given=given,
            expected=("stop", stop),
            got=(stopped.finish_reason, stopped.stop_string),
        )
    if full.tokens:
        require_equal(
            full.tokens[: len(stopped.tokens)],
            stopped.tokens,
            "with a stop string, the model writes other tokens",
            given=given,
            cause="the stop string is masked, or its tokens are appended without the model",
        )


def _diagnose_stop(stopped: Completion, full: Completion, expected: str, stop: str) -> str:
    if stopped.text == full.text:
        return "stop strings are ignored, or found only if they are a whole token"
    if stopped.text == expected + stop:
        return "the stop string is left in the text"
    if stop not in stopped.text:
        return "the stop string is masked: the completion must end there instead"
    return "the stop string is found too late: only where it ends with a token"


@law("completions")
def empty_stops(subject: BackendUnderTest) -> None:
    """An empty stop string is refused, because it would match everywhere."""
    try:
        completion = subject.model.complete(subject.prompts[-1], max_tokens=2, stop="")
    except ValueError:
        return
    raise LawViolation("an empty stop string is accepted", given="stop=''", got=completion.text)


@law("completions")
def streamed_text_matches(subject: BackendUnderTest) -> None:
    """The streamed pieces add up to the text, without the stop string."""
    full = _long_completion(subject)
    pieces = _stream(subject)
    if "".join(pieces) != full.text:
        raise LawViolation(
            "the streamed pieces do not add up to the text",
            expected=full.text,
            got=pieces,
            cause="on_text is called with parts of characters, or with the whole text each time"
            if pieces
            else "on_text is never called",
        )
    stop = full.text[2:MIN_TEXT_LENGTH]
    if "\ufffd" in stop:
        return
    require_equal(
        full.text[: full.text.find(stop)],
        "".join(_stream(subject, stop=stop)),
        "the streamed text does not end before the stop string",
        given=f"stop={stop!r}",
        cause="text is streamed while it may still be the beginning of a stop string",
    )


def _stream(subject: BackendUnderTest, **arguments: Any) -> list[str]:
    max_tokens = subject.free_tokens(MAX_TOKENS)
    return list(
        subject.model.stream(subject.prompts[-1], max_tokens=max_tokens, temperature=0, **arguments)
    )


@law("completions")
def unknown_options_refused(subject: BackendUnderTest) -> None:
    """An option that the engine does not know is refused."""
    try:
        subject.model.complete(subject.prompts[-1], max_tokens=1, no_such_option_anywhere=1)
    except (CapabilityError, ValueError):
        return
    raise LawViolation(
        "an unknown option is ignored",
        given="no_such_option_anywhere=1",
        cause="request.extra is not checked: call toolkit.reject_unknown_options",
    )


def _long_completion(subject: BackendUnderTest) -> Completion:
    """Return a greedy completion whose text is long enough to contain stop strings.

    :raises NotApplicableError: if it is shorter.
    """
    completion = greedy_completion(subject)
    if len(completion.text) < MIN_TEXT_LENGTH:
        raise NotApplicableError(
            f"the greedy completion of {subject.prompts[-1]!r} is too short: {completion.text!r}"
        )
    return completion


def greedy_completion(
    subject: BackendUnderTest, max_tokens: int | None = None, *, stop: str | None = None
) -> Completion:
    """Return the greedy completion of the last prompt.

    :param max_tokens: default: `MAX_TOKENS`, or fewer in a short context.
    :param stop: a stop string; default: none.
    """
    return subject.raw.complete(
        subject.prompts[-1],
        max_tokens=max_tokens or subject.free_tokens(MAX_TOKENS),
        temperature=0,
        stop=() if stop is None else (stop,),
    )
