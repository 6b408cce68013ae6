"""Laws of special tokens: they come where core puts them, and from no text that people write."""

from __future__ import annotations

from autocog_core.scoring.prompt_encoding import split_prompt
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError, given
from autocog_core.types.prompt import Message, Prompt


@law("tokens")
def bos_once(subject: BackendUnderTest) -> None:
    """A sequence begins with BOS iff the model says so; no text brings another."""
    model = subject.model
    bos, adds = model.info.bos, model.info.adds_bos
    if adds and bos is None:
        raise LawViolation("info.adds_bos is true, but info.bos is None", cause="tell its id")
    for prompt in subject.prompts:
        with given(prompt):
            if bos is not None and bos in model.tokenize(prompt):
                raise LawViolation(
                    "`tokenize` adds BOS",
                    expected="ids of the text alone",
                    got=model.tokenize(prompt),
                    cause="add_special_tokens is on: core adds BOS itself, once",
                )
            tokens = model.encode(prompt)
            if bos is not None and tokens.count(bos) != int(adds):
                raise LawViolation(
                    "a sequence has the wrong number of BOS",
                    expected=int(adds),
                    got=tokens.count(bos),
                )


@law("tokens")
def special_text_stays_text(subject: BackendUnderTest) -> None:
    """What looks like a special token in a user's text is text, in prompts and in choices."""
    model = subject.model
    if not model.info.special_tokens:
        raise NotApplicableError("no special tokens are declared")
    for special in model.info.special_tokens:
        if not special.text:
            raise LawViolation("a special token has no text", got=special)
        text = f"{subject.prompts[0]} {special.text} {subject.prompts[0]}"
        subject.require_writable(text)
        tokens = model.tokenize(text)
        if special.id in tokens:
            raise LawViolation(
                "a special token in a user's text is parsed",
                given=text,
                expected="the tokens of its letters",
                got=tokens,
                cause="parse_special=False is ignored: split_special_tokens, or the like, is off",
            )
        if special.text not in model.detokenize(tokens):
            # Where its letters are lost also without the last one, it is not for being special.
            letters = special.text[:-1]
            if letters not in model.detokenize(model.tokenize(letters)):
                raise NotApplicableError(f"its vocabulary cannot write {letters!r}")
            raise LawViolation(
                "a special token's text is lost",
                given=text,
                expected=special.text,
                got=model.detokenize(tokens),
            )


@law("tokens")
def trusted_special_text(subject: BackendUnderTest) -> None:
    """In trusted text a special token's text is that token, which stands for no bytes."""
    model = subject.model
    if not model.info.special_tokens:
        raise NotApplicableError("no special tokens are declared")
    for special in model.info.special_tokens:
        tokens = model.tokenize(special.text, at_start=False, parse_special=True)
        if tokens != [special.id]:
            raise LawViolation(
                "a special token's own text is not parsed where it should be",
                given=special.text,
                expected=[special.id],
                got=tokens,
                cause="parse_special=True is ignored, or info.special_tokens is not true",
            )
        if model.detokenize_bytes([special.id]):
            raise LawViolation(
                "a special token stands for bytes",
                given=special.text,
                expected=b"",
                got=model.detokenize_bytes([special.id]),
                cause="skip_special_tokens is off",
            )


@law("chat")
def chat_content_stays_text(subject: BackendUnderTest) -> None:
    """A message that holds a special token's text does not end its turn."""
    model = subject.model
    for special in model.info.special_tokens:
        text = subject.prompts[0]
        subject.require_writable(f"{text} {special.text} {text}")
        plain: list[Message] = [{"role": "user", "content": f"{text} {text}"}]
        sly: list[Message] = [{"role": "user", "content": f"{text} {special.text} {text}"}]
        expected = _ids(subject, model.chat_prompt(plain)).count(special.id)
        got = _ids(subject, model.chat_prompt(sly)).count(special.id)
        if got != expected:
            raise LawViolation(
                "a message brings a special token of its own",
                given=sly[0]["content"],
                expected=expected,
                got=got,
                cause="the template's result is parsed as a whole: keep contents as untrusted text",
            )


def _ids(subject: BackendUnderTest, prompt: Prompt) -> list[int]:
    """The ids of a prompt, be it longer than the context."""
    client = subject.model.client
    prepared = split_prompt(client, prompt)
    (tail,) = client.tokenize([prepared.open_text], at_start=prepared.at_start)
    return [*prepared.fixed_ids, *tail]
