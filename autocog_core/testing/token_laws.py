"""Laws of tokens: what `tokenize`, `detokenize` and `vocabulary` answer."""

from __future__ import annotations

import unicodedata

from autocog_core.errors import CapabilityError, InputError
from autocog_core.testing.backend_under_test import BackendUnderTest, is_refused
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.shrink import shrink
from autocog_core.toolkit.word_boundaries import tokens_across_boundaries

#: Of a vocabulary, so many tokens are looked at one by one.
MOST = 3000
#: So many ids are detokenized together, and so many at the vocabulary's end by themselves.
PIECE, LAST = 4096, 16


@law("tokens")
def round_trip(subject: BackendUnderTest) -> None:
    """Text comes back from its tokens as it was, up to the declared normalizer.

    Where it begins a sequence, it may get a blank before its first word.
    """
    for text in dict.fromkeys((*subject.tricky_texts, *subject.prompts, *subject.choices)):
        if _loss(subject, text) is None:
            continue
        shown = shrink(
            text, lambda part: subject.can_tokenize(part) and _loss(subject, part) is not None
        )
        expected, got = subject.normalize(shown), _loss(subject, shown)
        if isinstance(got, Exception):
            raise LawViolation(
                "the tokenizer fails on a text",
                given=shown,
                expected=expected,
                got=f"{type(got).__name__}: {got}",
                cause="refuse what your vocabulary cannot write by an InputError"
                if isinstance(got, LookupError)
                else "",
            ) from got
        raise LawViolation(
            "a text does not come back from its tokens",
            given=shown,
            expected=expected,
            got=got,
            cause=_diagnose_loss(shown, expected, got or ""),
        )


def _loss(subject: BackendUnderTest, text: str) -> str | Exception | None:
    """What comes in place of a text, or the error that does; None where the text comes back."""
    expected, model = subject.normalize(text), subject.model
    refusal = None
    for at_start, right in ((False, (expected,)), (True, (expected, " " + expected))):
        try:
            tokens = model.tokenize(text, at_start=at_start)
            got = model.detokenize_bytes(tokens).decode("utf-8", errors="replace")
        except InputError as error:
            # Some words need a blank before them, unless they begin a sequence.
            if refusal is not None:
                return error
            refusal = error
        except Exception as error:  # noqa: BLE001 - told with the law
            return error
        else:
            if got not in right:
                return got
    return None


def _diagnose_loss(text: str, expected: str, got: str) -> str:
    if got.lstrip(" ") == expected.lstrip(" "):
        return "a blank at the start is dropped or added: give bytes as they are, not decoded words"
    if got.split() == expected.split():
        return "runs of whitespace are joined, or clean_up_tokenization_spaces is on"
    if got.lower() == expected.lower():
        return "letters are lowered"
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        if got == unicodedata.normalize(form, text):
            return f'the tokenizer normalizes: declare info.unicode_normalization = "{form}"'
    if "\ufffd" in got:
        return "tokens that are parts of a character are decoded one by one: join their bytes first"
    return "unknown tokens, or a decoder that leaves something out"


@law("tokens")
def token_bytes_add_up(subject: BackendUnderTest) -> None:
    """The bytes of tokens are those of each, joined: also where a character is split."""
    model = subject.model
    for text in subject.tricky_texts:
        tokens = model.tokenize(text)
        whole = model.detokenize_bytes(tokens)
        parts = b"".join(model.detokenize_bytes([token]) for token in tokens)
        if whole != parts:
            raise LawViolation(
                "the bytes of tokens are not those of each, joined",
                given=text,
                expected=parts,
                got=whole,
                cause="a decoder that looks at neighbours (it strips a blank at the start, cleans "
                "spaces up, or replaces parts of characters)",
            )


@law("tokens")
def text_batches_match(subject: BackendUnderTest) -> None:
    """Texts that are tokenized together have the tokens of each alone, in their order."""
    client = subject.model.client
    together = client.tokenize(list(subject.tricky_texts), at_start=True)
    for text, found in zip(subject.tricky_texts, together, strict=True):
        (alone,) = client.tokenize([text], at_start=True)
        if list(found) != list(alone):
            raise LawViolation(
                "beside others, a text has other tokens than alone",
                given=text,
                expected=alone,
                got=found,
                cause="padding, or an order of the answers that is not that of the texts",
            )
    if client.tokenize([], at_start=True) != []:
        raise LawViolation("no texts are not no answers", given=[])


@law("tokens")
def tokens_are_valid_ids(subject: BackendUnderTest) -> None:
    """Tokens are whole numbers inside the vocabulary."""
    size = subject.model.info.vocabulary_size
    for text in subject.tricky_texts:
        for token in subject.model.tokenize(text):
            if not isinstance(token, int) or not 0 <= token < size:
                raise LawViolation(
                    "a token is no id",
                    given=text,
                    expected=f"int in 0..{size - 1}",
                    got=token,
                    cause="give plain ints (.tolist()); info.vocabulary_size is the logits' width",
                )


@law("tokens")
def invalid_text_refused(subject: BackendUnderTest) -> None:
    """Text that is no Unicode is refused, and what comes next works."""
    model = subject.model
    plain = subject.prompts[0]
    before = model.tokenize(plain)
    for text in ("\ud800", f"{plain}\udfff{plain}"):
        if not is_refused(lambda text=text: model.tokenize(text)):  # type: ignore[misc]
            raise LawViolation("half a surrogate pair is taken for text", given=text)
    if model.tokenize(plain) != before:
        raise LawViolation("after an error, a text has other tokens", given=plain)


@law("rows", "tokens")
def every_id_has_bytes(subject: BackendUnderTest) -> None:
    """Every id of the vocabulary stands for bytes: those that no text has, too."""
    size = subject.model.info.vocabulary_size
    # In large pieces, for there may be very many; those at the end by themselves as well.
    pieces = [range(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE)]
    pieces += [range(token, token + 1) for token in range(max(0, size - LAST), size)]
    for piece in pieces:
        if (failure := _no_bytes(subject, piece)) is None:
            continue
        while len(piece) > 1:
            middle = len(piece) // 2
            halves = ((half, _no_bytes(subject, half)) for half in (piece[:middle], piece[middle:]))
            found = next(((half, reason) for half, reason in halves if reason is not None), None)
            if found is None:
                break
            piece, failure = found
        raise LawViolation(
            "an id of the vocabulary stands for no bytes",
            given=piece[0] if len(piece) == 1 else piece,
            expected="bytes, of which there may be none",
            got=failure,
            cause="rows are wider than the tokenizer's vocabulary: ids that it does not know stand "
            'for b""'
            if piece[-1] >= size - LAST
            else "",
        )


def _no_bytes(subject: BackendUnderTest, piece: range) -> str | None:
    """What came in place of the ids' bytes; None where these came."""
    try:
        found: object = subject.model.client.detokenize(list(piece))
    except CapabilityError:
        raise
    except Exception as error:  # noqa: BLE001 - told with the law
        return f"{type(error).__name__}: {error}"
    return None if isinstance(found, bytes) else type(found).__name__


@law("vocabulary")
def vocabulary(subject: BackendUnderTest) -> None:
    """The vocabulary has V entries, each the bytes that its token stands for."""
    model = subject.model
    surfaces = model.client.vocabulary()
    size = model.info.vocabulary_size
    if len(surfaces) != size:
        raise LawViolation(
            "the vocabulary has another size than the rows", expected=size, got=len(surfaces)
        )
    for token in range(0, size, max(1, size // MOST)):
        if surfaces[token] != model.detokenize_bytes([token]):
            raise LawViolation(
                "a token's surface is not what it stands for",
                given=token,
                expected=model.detokenize_bytes([token]),
                got=surfaces[token],
                cause="give the bytes of `detokenize([token])`, not the tokenizer's own spelling",
            )


@law("vocabulary")
def word_boundaries(subject: BackendUnderTest) -> None:
    """No token spans a border between words, if that is declared: text is then cut there."""
    model = subject.model
    if not model.info.splits_at_word_boundaries:
        raise NotApplicableError("splits_at_word_boundaries is not declared")
    found = next(tokens_across_boundaries(model.client.vocabulary()), None)
    if found is not None:
        raise LawViolation(
            "a token spans a border between words",
            given=found,
            cause="declare splits_at_word_boundaries only where the vocabulary keeps to it",
        )
