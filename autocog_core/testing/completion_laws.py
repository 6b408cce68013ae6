"""Laws of completions: what `complete` answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autocog_core.errors import CapabilityError
from autocog_core.testing.backend_under_test import BackendUnderTest, logprob_distance
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.completion import Completion

LENGTH = 12
#: So far, and in so many samples, a model is waited for to end by itself.
FAR, SAMPLES = 32, 8
#: About so many stop strings are tried, of two characters, all along a text.
STOPS = 12
#: Says nothing that a model would say.
NEVER = "\u2603 never \u2603"


@law("completions")
def max_tokens_respected(subject: BackendUnderTest) -> None:
    """A completion is no longer than asked, and says why it ended."""
    for length in (1, 3, subject.free_tokens(LENGTH)):
        found = greedy_completion(subject, length)
        if len(found.tokens) > length:
            raise LawViolation(
                "more tokens came than were asked for",
                given=f"max_tokens={length}",
                expected=f"at most {length}",
                got=len(found.tokens),
            )
        if found.finish_reason not in ("stop", "eos", "length"):
            raise LawViolation("it does not say why it ended", got=found.finish_reason)
        if found.finish_reason == "stop":
            raise LawViolation(
                "it ended at a stop string, where none was given",
                given=f"max_tokens={length}",
                got=found.stop_string,
                cause="an empty stop matches everywhere, or the end of the text is called a stop",
            )
        if found.finish_reason == "length" and found.tokens and len(found.tokens) < length:
            raise LawViolation(
                "it ended early, and calls it the asked length",
                expected=length,
                got=len(found.tokens),
            )


@law("completions", "tokens")
def stops_at_eos(subject: BackendUnderTest) -> None:
    """A completion ends with the first EOS, and says so."""
    eos = set(subject.model.info.eos)
    if not eos:
        raise NotApplicableError("no EOS is declared")
    found = list(_several(subject))
    for each in found:
        if eos & set(each.tokens[:-1]):
            raise LawViolation(
                "the model has said EOS, and it goes on",
                expected="EOS (one of info.eos) as the last token, or not at all",
                got=each.tokens,
                cause="ignore_eos is on, or only one of several EOS ids is looked for",
            )
        if each.tokens and (each.tokens[-1] in eos) is not (each.finish_reason == "eos"):
            raise LawViolation(
                'it says that it ended by "'
                + each.finish_reason
                + '", and its last token says otherwise',
                expected='"eos" where the last token is one of info.eos, and only there',
                got=each.tokens,
                cause="EOS is left out of `tokens`, or info.eos is not all of the ids that end it"
                if each.finish_reason == "eos"
                else "the last token of all is not looked at, or info.eos names too many ids",
            )
    if not any(each.finish_reason == "eos" for each in found):
        raise NotApplicableError("it never said EOS")


def _several(subject: BackendUnderTest) -> Iterator[Completion]:
    """Completions of which some may end by themselves."""
    model, length = subject.model, subject.free_tokens(FAR)
    for prompt in subject.prompts[:2]:
        yield model.complete(prompt, max_tokens=length, temperature=0)
    for seed in range(SAMPLES):
        try:
            yield model.complete(subject.prompts[-1], max_tokens=length, temperature=1, seed=seed)
        except CapabilityError:
            return


@law("completions", "rows", "tokens")
def greedy_completion_is_scored(subject: BackendUnderTest) -> None:
    """At temperature 0 each token is the likeliest, and comes with its log-probability."""
    found = greedy_completion(subject, subject.free_tokens(LENGTH))
    if found.logprobs is None or len(found.logprobs) != len(found.tokens):
        raise LawViolation(
            "not every token has its log-probability",
            expected=len(found.tokens),
            got=None if found.logprobs is None else len(found.logprobs),
        )
    tokens = subject.model.encode(subject.prompts[-1])
    for place, (token, logprob) in enumerate(zip(found.tokens, found.logprobs, strict=True)):
        row = subject.model.greedy(tokens)
        if logprob_distance(float(row[token]), logprob) > subject.tolerance:
            near = logprob_distance(-float(row[token]), logprob) <= subject.tolerance
            raise LawViolation(
                f"token {place} of a completion has another log-probability than its row says",
                given=subject.prompts[-1],
                expected=float(row[token]),
                got=logprob,
                cause="the sign" if near else "values after temperature, masks or penalties",
            )
        if float(row.max()) - float(row[token]) > subject.tolerance:
            raise LawViolation(
                f"token {place} of a greedy completion is not the likeliest",
                given=subject.prompts[-1],
                expected=float(row.max()),
                got=float(row[token]),
                cause="sampling at temperature 0, or a repetition penalty that nobody asked for",
            )
        tokens.append(token)


@law("completions", "tokens")
def tokens_spell_the_text(subject: BackendUnderTest) -> None:
    """The tokens of a completion spell its text."""
    found = greedy_completion(subject, subject.free_tokens(LENGTH))
    if not found.tokens and found.text:
        raise NotApplicableError("it tells no tokens")
    said = subject.model.detokenize(found.tokens)
    if said != found.text:
        raise LawViolation(
            "the tokens of a completion spell another text",
            expected=found.text,
            got=said,
            cause="a blank at the start is lost: decode bytes, not words"
            if said.strip() == found.text.strip()
            else "",
        )


@law("completions")
def stop_strings_match(subject: BackendUnderTest) -> None:
    """A stop string ends the text before it, wherever tokens begin or end; it is never made up."""
    free = _telling(subject)
    last = len(free.text) - 1
    for start in range(0, last, max(1, last // STOPS)):
        stop = free.text[start : start + 2]
        if "\ufffd" in stop:
            continue
        ended = greedy_completion(subject, subject.free_tokens(LENGTH), stop=stop)
        expected = free.text[: free.text.find(stop)]
        if ended.text != expected:
            raise LawViolation(
                "a stop string does not end the text where it begins",
                given=f"stop={stop!r}",
                expected=expected,
                got=ended.text,
                cause=_diagnose_stop(ended, free, expected, stop),
            )
        if ended.finish_reason != "stop" or ended.stop_string not in (stop, None):
            raise LawViolation(
                "it does not say that a stop string came",
                given=f"stop={stop!r}",
                expected=("stop", stop),
                got=(ended.finish_reason, ended.stop_string),
            )
        if free.tokens and ended.tokens != free.tokens[: len(ended.tokens)]:
            raise LawViolation(
                "with a stop string, other tokens were decided",
                given=f"stop={stop!r}",
                expected=free.tokens,
                got=ended.tokens,
                cause="the stop is forbidden to the model, or its tokens are made up",
            )
    unseen = greedy_completion(subject, subject.free_tokens(LENGTH), stop=NEVER)
    if unseen.text != free.text:
        raise LawViolation(
            "a stop that never came changes the text", expected=free.text, got=unseen.text
        )


def _diagnose_stop(ended: Completion, free: Completion, expected: str, stop: str) -> str:
    if ended.text == free.text:
        return "stop strings are ignored, or seen only where they are a whole token"
    if ended.text == expected + stop:
        return "the stop string is left in the text"
    if stop not in ended.text:
        return "the model is kept from saying it, in place of ending there"
    return "seen too late: only where a token ends as the stop does"


@law("completions")
def empty_stops(subject: BackendUnderTest) -> None:
    """An empty stop string, which would match everywhere, is refused."""
    try:
        found = subject.model.complete(subject.prompts[-1], max_tokens=2, stop="")
    except ValueError:
        return
    raise LawViolation("an empty stop string is accepted", given="stop=''", got=found.text)


@law("completions")
def streamed_text_matches(subject: BackendUnderTest) -> None:
    """What is streamed adds up to the text, and no stop string is among it."""
    whole = _telling(subject)
    pieces = _pieces(subject)
    if "".join(pieces) != whole.text:
        raise LawViolation(
            "the pieces of a stream are not the text",
            expected=whole.text,
            got=pieces,
            cause="on_text is called with parts of characters, or with the whole text each time"
            if pieces
            else "on_text is never called",
        )
    stop = whole.text[2:4]
    if "\ufffd" in stop:
        return
    text = "".join(_pieces(subject, stop=stop))
    if text != whole.text[: whole.text.find(stop)]:
        raise LawViolation(
            "what is streamed does not end before the stop string",
            given=f"stop={stop!r}",
            expected=whole.text[: whole.text.find(stop)],
            got=text,
            cause="text is shown before it is known not to begin a stop string",
        )


def _pieces(subject: BackendUnderTest, **arguments: Any) -> list[str]:
    length = subject.free_tokens(LENGTH)
    stream = subject.model.stream(
        subject.prompts[-1], max_tokens=length, temperature=0, **arguments
    )
    return list(stream)


@law("completions")
def unknown_options_refused(subject: BackendUnderTest) -> None:
    """An option that the engine does not know is refused, not ignored."""
    try:
        subject.model.complete(subject.prompts[-1], max_tokens=1, no_such_option_anywhere=1)
    except (CapabilityError, ValueError):
        return
    raise LawViolation(
        "an option that nobody knows is ignored",
        given="no_such_option_anywhere=1",
        cause="request.extra is not looked at: call completion.reject_unknown_options",
    )


def _telling(subject: BackendUnderTest) -> Completion:
    """A completion that says enough to be cut.

    :raises NotApplicableError: where the model says nothing.
    """
    found = greedy_completion(subject, subject.free_tokens(LENGTH))
    if len(found.text) < 4:
        said, prompt = found.text, subject.prompts[-1]
        raise NotApplicableError(f"greedily it says only {said!r} after {prompt!r}")
    return found


def greedy_completion(
    subject: BackendUnderTest, length: int, stop: str | None = None
) -> Completion:
    """What the model finds likeliest after the last prompt."""
    stops = () if stop is None else (stop,)
    return subject.model.complete(subject.prompts[-1], max_tokens=length, temperature=0, stop=stops)
