"""Laws of tokens: what `tokenize`, `detokenize` and `vocabulary` answer."""

from __future__ import annotations

import unicodedata

from autocog_core.pieces import Message
from autocog_core.testing.law import LawBrokenError, NotApplicableError, given, law
from autocog_core.testing.smallest import smallest
from autocog_core.testing.subject import Subject, refused

#: Of a vocabulary, so many tokens are looked at one by one.
MOST = 3000


@law("tokens")
def round_trip(subject: Subject) -> None:
    """Text comes back from its tokens as it was, up to the declared normalizer.

    Where it begins a sequence, it may get a blank before its first word.
    """
    for text in subject.hard:
        if _comes_back(subject, text):
            continue
        shown = smallest(text, lambda part: not _comes_back(subject, part))
        expected, got = subject.normalized(shown), _there_and_back(subject, shown)
        if got == expected:
            got = _there_and_back(subject, shown, at_start=True)
        raise LawBrokenError(
            "a text does not come back from its tokens",
            given=shown,
            expected=expected,
            got=got,
            cause=_cause_of_loss(shown, expected, got),
        )


def _comes_back(subject: Subject, text: str) -> bool:
    expected = subject.normalized(text)
    begun = _there_and_back(subject, text, at_start=True)
    return _there_and_back(subject, text) == expected and begun in (expected, " " + expected)


def _there_and_back(subject: Subject, text: str, *, at_start: bool = False) -> str:
    model = subject.model
    tokens = model.tokenize(text, at_start=at_start)
    return model.detokenize_bytes(tokens).decode("utf-8", errors="replace")


def _cause_of_loss(text: str, expected: str, got: str) -> str:
    if got.lstrip(" ") == expected.lstrip(" "):
        return "a blank at the start is dropped or added: give bytes as they are, not decoded words"
    if got.split() == expected.split():
        return "runs of whitespace are joined, or clean_up_tokenization_spaces is on"
    if got.lower() == expected.lower():
        return "letters are lowered"
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        if got == unicodedata.normalize(form, text):
            return f'the tokenizer normalizes: declare info.normalizer = "{form}"'
    if "\ufffd" in got:
        return "tokens that are parts of a character are decoded one by one: join their bytes first"
    return "unknown tokens, or a decoder that leaves something out"


@law("tokens")
def bytes_add_up(subject: Subject) -> None:
    """The bytes of tokens are those of each, joined: also where a character is split."""
    model = subject.model
    for text in subject.hard:
        tokens = model.tokenize(text)
        whole = model.detokenize_bytes(tokens)
        parts = b"".join(model.detokenize_bytes([token]) for token in tokens)
        if whole != parts:
            raise LawBrokenError(
                "the bytes of tokens are not those of each, joined",
                given=text,
                expected=parts,
                got=whole,
                cause="a decoder that looks at neighbours (it strips a blank at the start, cleans "
                "spaces up, or replaces parts of characters)",
            )


@law("tokens")
def texts_together(subject: Subject) -> None:
    """Texts that are tokenized together have the tokens of each alone, in their order."""
    caller = subject.model.caller
    together = caller.tokenize(list(subject.hard), at_start=True)
    for text, found in zip(subject.hard, together, strict=True):
        (alone,) = caller.tokenize([text], at_start=True)
        if list(found) != list(alone):
            raise LawBrokenError(
                "beside others, a text has other tokens than alone",
                given=text,
                expected=alone,
                got=found,
                cause="padding, or an order of the answers that is not that of the texts",
            )
    if caller.tokenize([], at_start=True) != []:
        raise LawBrokenError("no texts are not no answers", given=[])


@law("tokens")
def tokens_are_ids(subject: Subject) -> None:
    """Tokens are whole numbers inside the vocabulary."""
    size = subject.model.info.vocabulary_size
    for text in subject.hard:
        for token in subject.model.tokenize(text):
            if not isinstance(token, int) or not 0 <= token < size:
                raise LawBrokenError(
                    "a token is no id",
                    given=text,
                    expected=f"int in 0..{size - 1}",
                    got=token,
                    cause="give plain ints (.tolist()); info.vocabulary_size is the logits' width",
                )


@law("tokens")
def bad_text(subject: Subject) -> None:
    """Text that is no Unicode is refused, and what comes next works."""
    model = subject.model
    before = model.tokenize("a b")
    for text in ("\ud800", "a\udfffb"):
        if not refused(lambda text=text: model.tokenize(text)):  # type: ignore[misc]
            raise LawBrokenError("half a surrogate pair is taken for text", given=text)
    if model.tokenize("a b") != before:
        raise LawBrokenError("after an error, a text has other tokens", given="a b")


@law("tokens")
def bos_once(subject: Subject) -> None:
    """A sequence begins with BOS iff the model says so; no text brings another."""
    model = subject.model
    bos, adds = model.info.bos, model.info.adds_bos
    if adds and bos is None:
        raise LawBrokenError("info.adds_bos is true, but info.bos is None", cause="tell its id")
    for prompt in subject.prompts:
        with given(prompt):
            if bos is not None and bos in model.tokenize(prompt):
                raise LawBrokenError(
                    "`tokenize` adds BOS",
                    expected="ids of the text alone",
                    got=model.tokenize(prompt),
                    cause="add_special_tokens is on: core adds BOS itself, once",
                )
            tokens = model.encode(prompt)
            if bos is not None and tokens.count(bos) != int(adds):
                raise LawBrokenError(
                    "a sequence has the wrong number of BOS",
                    expected=int(adds),
                    got=tokens.count(bos),
                )


@law("tokens")
def special_text_stays_text(subject: Subject) -> None:
    """What looks like a special token in a user's text is text, in prompts and in choices."""
    model = subject.model
    if not model.info.special_tokens:
        raise NotApplicableError("no special tokens are declared")
    for special in model.info.special_tokens:
        if not special.text:
            raise LawBrokenError("a special token has no text", got=special)
        text = f"I say {special.text} and more"
        tokens = model.tokenize(text)
        if special.id in tokens:
            raise LawBrokenError(
                "a special token in a user's text is parsed",
                given=text,
                expected="the tokens of its letters",
                got=tokens,
                cause="parse_special=False is ignored: split_special_tokens, or the like, is off",
            )
        if special.text not in model.detokenize(tokens):
            raise LawBrokenError(
                "a special token's text is lost",
                given=text,
                expected=special.text,
                got=model.detokenize(tokens),
            )


@law("tokens")
def trusted_special_text(subject: Subject) -> None:
    """In trusted text a special token's text is that token, which stands for no bytes."""
    model = subject.model
    if not model.info.special_tokens:
        raise NotApplicableError("no special tokens are declared")
    for special in model.info.special_tokens:
        tokens = model.tokenize(special.text, at_start=False, parse_special=True)
        if tokens != [special.id]:
            raise LawBrokenError(
                "a special token's own text is not parsed where it should be",
                given=special.text,
                expected=[special.id],
                got=tokens,
                cause="parse_special=True is ignored, or info.special_tokens is not true",
            )
        if model.detokenize_bytes([special.id]):
            raise LawBrokenError(
                "a special token stands for bytes",
                given=special.text,
                expected=b"",
                got=model.detokenize_bytes([special.id]),
                cause="skip_special_tokens is off",
            )


@law("vocabulary")
def vocabulary(subject: Subject) -> None:
    """The vocabulary has V entries, each the bytes that its token stands for."""
    model = subject.model
    surfaces = model.caller.vocabulary()
    size = model.info.vocabulary_size
    if len(surfaces) != size:
        raise LawBrokenError(
            "the vocabulary has another size than the rows", expected=size, got=len(surfaces)
        )
    for token in range(0, size, max(1, size // MOST)):
        if surfaces[token] != model.detokenize_bytes([token]):
            raise LawBrokenError(
                "a token's surface is not what it stands for",
                given=token,
                expected=model.detokenize_bytes([token]),
                got=surfaces[token],
                cause="give the bytes of `detokenize([token])`, not the tokenizer's own spelling",
            )


@law("chat")
def chat_content_stays_text(subject: Subject) -> None:
    """A message that holds a special token's text does not end its turn."""
    model = subject.model
    for special in model.info.special_tokens:
        plain: list[Message] = [{"role": "user", "content": "I say and more"}]
        sly: list[Message] = [{"role": "user", "content": f"I say {special.text} and more"}]
        expected = model.encode(model.chat_prompt(plain)).count(special.id)
        got = model.encode(model.chat_prompt(sly)).count(special.id)
        if got != expected:
            raise LawBrokenError(
                "a message brings a special token of its own",
                given=sly[0]["content"],
                expected=expected,
                got=got,
                cause="the template's result is parsed as a whole: keep contents as untrusted text",
            )
