"""Laws of tokens: the hooks `tokenize`, `detokenize` and `vocabulary`."""

from __future__ import annotations

import unicodedata

from autocog_core.errors import CapabilityError, InputError
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import is_refused, require_equal
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.shrink import shrink
from autocog_core.tokenizers.word_boundaries import tokens_across_boundaries

#: At most about this many tokens of a vocabulary are compared.
MAX_COMPARED_TOKENS = 3000
#: Size of the chunks in which `every_id_has_bytes` detokenizes the vocabulary.
CHUNK_TOKENS = 4096
#: Number of ids at the vocabulary's end that it also detokenizes one by one.
SINGLE_TOKENS = 16


@law("tokens")
def round_trip(subject: BackendUnderTest) -> None:
    """Detokenizing the tokens of a text returns the text.

    The declared Unicode normalization may apply. At the start of a sequence, the tokenizer may add
    a blank before the first word.
    """
    for text in dict.fromkeys((*subject.tricky_texts, *subject.prompts, *subject.choices)):
        if _round_trip_error(subject, text) is None:
            continue
        smallest = shrink(
            text,
            lambda part: (
                subject.can_tokenize(part) and _round_trip_error(subject, part) is not None
            ),
        )
        expected, got = subject.normalize(smallest), _round_trip_error(subject, smallest)
        if isinstance(got, Exception):
            raise LawViolation(
                "the tokenizer fails on a text",
                given=smallest,
                expected=expected,
                got=f"{type(got).__name__}: {got}",
                cause="raise InputError for a text that your vocabulary cannot express"
                if isinstance(got, LookupError)
                else "",
            ) from got
        raise LawViolation(
            "detokenizing the tokens of a text returns another text",
            given=smallest,
            expected=expected,
            got=got,
            cause=_diagnose_round_trip(smallest, expected, got or ""),
        )


def _round_trip_error(subject: BackendUnderTest, text: str) -> str | Exception | None:
    """Return the wrong text or the error that a round trip ends in, or None if it works."""
    expected, model = subject.normalize(text), subject.model
    refusal = None
    for at_start, correct in ((False, (expected,)), (True, (expected, " " + expected))):
        try:
            tokens = model.tokenize(text, at_start=at_start)
            got = model.detokenize_bytes(tokens).decode("utf-8", errors="replace")
        except InputError as error:
            # Some words need a blank before them unless they begin a sequence.
            if refusal is not None:
                return error
            refusal = error
        except Exception as error:  # noqa: BLE001 - the law reports it
            return error
        else:
            if got not in correct:
                return got
    return None


def _diagnose_round_trip(text: str, expected: str, got: str) -> str:
    if got.lstrip(" ") == expected.lstrip(" "):
        return "a blank at the start is removed or added: return the bytes, not decoded words"
    if got.split() == expected.split():
        return "whitespace is merged, or clean_up_tokenization_spaces is on"
    if got.lower() == expected.lower():
        return "letters are lowercased"
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        if got == unicodedata.normalize(form, text):
            return f'the tokenizer normalizes: declare info.unicode_normalization = "{form}"'
    if "\ufffd" in got:
        return "tokens that are parts of a character are decoded one by one: join their bytes first"
    return "unknown tokens, or a decoder that omits something"


@law("tokens")
def token_bytes_add_up(subject: BackendUnderTest) -> None:
    """The bytes of a token sequence are the joined bytes of its tokens."""
    model = subject.model
    for text in subject.tricky_texts:
        tokens = model.tokenize(text)
        require_equal(
            b"".join(model.detokenize_bytes([token]) for token in tokens),
            model.detokenize_bytes(tokens),
            "the bytes of a sequence are not the joined bytes of its tokens",
            given=text,
            cause="a decoder that depends on neighbours (it strips a blank at the start, cleans "
            "spaces up, or replaces parts of characters)",
        )


@law("tokens")
def text_batches_match(subject: BackendUnderTest) -> None:
    """A text has the same tokens in a batch as alone."""
    client = subject.model.client
    batch = client.tokenize(list(subject.tricky_texts), at_start=True)
    for text, got in zip(subject.tricky_texts, batch, strict=True):
        (alone,) = client.tokenize([text], at_start=True)
        require_equal(
            list(alone),
            list(got),
            "in a batch, a text has other tokens than alone",
            given=text,
            cause="padding, or results in another order than the texts",
        )
    if client.tokenize([], at_start=True) != []:
        raise LawViolation("an empty batch does not return an empty list", given=[])


@law("tokens")
def tokens_are_valid_ids(subject: BackendUnderTest) -> None:
    """Tokens are integers in the range of the vocabulary."""
    size = subject.model.info.vocabulary_size
    for text in subject.tricky_texts:
        for token in subject.model.tokenize(text):
            if not isinstance(token, int) or not 0 <= token < size:
                raise LawViolation(
                    "a token is not a valid id",
                    given=text,
                    expected=f"int in 0..{size - 1}",
                    got=token,
                    cause="return plain ints (.tolist()); info.vocabulary_size is the width of "
                    "the logits",
                )


@law("tokens")
def invalid_text_refused(subject: BackendUnderTest) -> None:
    """Text that is not valid Unicode is refused, and the next call works."""
    model = subject.model
    prompt = subject.prompts[0]
    before = model.tokenize(prompt)
    for text in ("\ud800", f"{prompt}\udfff{prompt}"):
        if not is_refused(lambda text=text: model.tokenize(text)):  # type: ignore[misc]
            raise LawViolation("half a surrogate pair is accepted as text", given=text)
    require_equal(
        before, model.tokenize(prompt), "after an error, a text has other tokens", given=prompt
    )


@law("rows", "tokens")
def every_id_has_bytes(subject: BackendUnderTest) -> None:
    """Every id of the vocabulary can be detokenized, even if no text contains it."""
    size = subject.model.info.vocabulary_size
    # Vocabularies are large, so most ids are tested in chunks.
    chunks = [
        range(start, min(start + CHUNK_TOKENS, size)) for start in range(0, size, CHUNK_TOKENS)
    ]
    chunks += [range(token, token + 1) for token in range(max(0, size - SINGLE_TOKENS), size)]
    for chunk in chunks:
        if (error := _detokenize_error(subject, chunk)) is None:
            continue
        ids, error = _bisect(subject, chunk, error)
        raise LawViolation(
            "an id of the vocabulary has no bytes",
            given=ids[0] if len(ids) == 1 else ids,
            expected="bytes, possibly empty",
            got=error,
            cause='rows are wider than the tokenizer\'s vocabulary: return b"" for ids that the '
            "tokenizer does not know"
            if ids[-1] >= size - SINGLE_TOKENS
            else "",
        )


def _bisect(subject: BackendUnderTest, ids: range, error: str) -> tuple[range, str]:
    """Return the smallest range of ids that still fails, and its error."""
    while len(ids) > 1:
        middle = len(ids) // 2
        halves = ((half, _detokenize_error(subject, half)) for half in (ids[:middle], ids[middle:]))
        failing = next(((half, reason) for half, reason in halves if reason is not None), None)
        if failing is None:
            break
        ids, error = failing
    return ids, error


def _detokenize_error(subject: BackendUnderTest, ids: range) -> str | None:
    """Return what `detokenize` raised or returned instead of bytes; None if it returned bytes."""
    try:
        result: object = subject.model.client.detokenize(list(ids))
    except CapabilityError:
        raise
    except Exception as error:  # noqa: BLE001 - the law reports it
        return f"{type(error).__name__}: {error}"
    return None if isinstance(result, bytes) else type(result).__name__


@law("vocabulary")
def vocabulary(subject: BackendUnderTest) -> None:
    """The vocabulary lists the bytes of every token."""
    model = subject.model
    token_bytes = model.client.vocabulary()
    size = model.info.vocabulary_size
    require_equal(size, len(token_bytes), "the vocabulary has another size than the rows")
    for token in range(0, size, max(1, size // MAX_COMPARED_TOKENS)):
        require_equal(
            model.detokenize_bytes([token]),
            token_bytes[token],
            "the vocabulary has other bytes for a token than `detokenize`",
            given=token,
            cause="return the bytes of `detokenize([token])`, not the tokenizer's own spelling",
        )


@law("vocabulary")
def word_boundaries(subject: BackendUnderTest) -> None:
    """No token crosses a word boundary, if the backend declares this."""
    model = subject.model
    if not model.info.splits_at_word_boundaries:
        raise NotApplicableError("splits_at_word_boundaries is not declared")
    token = next(tokens_across_boundaries(model.client.vocabulary()), None)
    if token is not None:
        raise LawViolation(
            "a token crosses a word boundary",
            given=token,
            cause="set splits_at_word_boundaries only if respects_word_boundaries(vocabulary) is "
            "true",
        )
