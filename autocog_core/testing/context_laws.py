"""Laws of what a row depends on: the last token, those before it, BOS, and all of the context."""

from __future__ import annotations

from autocog_core.testing.backend_under_test import BackendUnderTest, Row, max_difference
from autocog_core.testing.diagnosis import OFF_BY_ONE
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError

#: Models that look at so few tokens only are of a kind that does; none cuts sequences so short.
FEW = 32


@law("rows")
def last_token_matters(subject: BackendUnderTest) -> None:
    """Prefixes that differ only in their last token have different rows."""
    if not any(_changes(subject, subject.encode_prompt(prompt), -1) for prompt in subject.prompts):
        raise LawViolation(
            "the last token changes nothing",
            given=subject.prompts[0],
            expected="another row after another last token",
            got="the same row, after every prompt",
            cause=f"rows are read at a position before the last: {OFF_BY_ONE}",
        )


@law("rows")
def first_tokens_matter(subject: BackendUnderTest) -> None:
    """What comes earlier counts: prefixes that differ only before the last token differ too."""
    if _order(subject) == 1:
        raise NotApplicableError("it looks at one token only")
    prompts = [(prompt, subject.encode_prompt(prompt)) for prompt in subject.prompts]
    longer = [(prompt, tokens) for prompt, tokens in prompts if len(tokens) > 1]
    if longer and not any(_changes(subject, tokens, -2) for _, tokens in longer):
        raise LawViolation(
            "the token before the last changes nothing",
            given=longer[0][0],
            expected="another row after another token",
            got="the same row, after every prompt",
            cause="only the last token is evaluated; a model that looks at no more says so by "
            'info.details["order"] = 1',
        )


def _changes(subject: BackendUnderTest, tokens: list[int], place: int) -> bool:
    """Whether another token at `place` makes another row.

    Of what it never saw, a model may say the same: several tokens are tried.
    """
    model = subject.model
    row = model.greedy(tokens)
    for step in (1, 7, 31):
        other = list(tokens)
        other[place] = (other[place] + step) % model.info.vocabulary_size
        if not _same(subject, row, model.greedy(other)):
            return True
    return False


def _same(subject: BackendUnderTest, one: Row, other: Row) -> bool:
    # Engines that round otherwise each time must not hide behind it.
    return max_difference(one, other) <= 2 * subject.tolerance


@law("rows")
def bos_counts(subject: BackendUnderTest) -> None:
    """Where sequences begin with BOS, the model sees it."""
    model = subject.model
    if not model.info.adds_bos:
        raise NotApplicableError("the model adds no BOS")
    # Before short sequences: much later nothing of it may be left.
    begun = [
        tokens[:2] for prompt in subject.prompts if len(tokens := subject.encode_prompt(prompt)) > 1
    ]
    if all(_same(subject, model.greedy(first), model.greedy(first[1:])) for first in begun):
        raise LawViolation(
            "sequences have the same rows with and without BOS",
            given=subject.prompts[0],
            cause="BOS is stripped, or added where it is missing: evaluate the ids as they are "
            "given. (Or the model takes no notice of it, or of anything.)",
        )


@law("rows", "tokens")
def whole_context_matters(subject: BackendUnderTest) -> None:
    """All of the declared context counts: no end of a long sequence is cut off unsaid."""
    limit = subject.fillable_limit()
    if (order := _order(subject)) is not None:
        raise NotApplicableError(f"it looks at {order} tokens only, and says so")
    tokens = subject.sequence_of_length(limit)
    row = subject.model.greedy(tokens).copy()

    def far(last: int) -> float:
        """How far the row is from that of a sequence with the same `last` tokens alone."""
        return max_difference(row, subject.model.greedy(_others(tokens, last)))

    if far(0) <= 2 * subject.tolerance:
        raise NotApplicableError("after long sequences it says the same, whatever these are")
    # Where much is changed, what comes of it is not lost in rounding.
    begin = limit - max(2, limit // 8)
    if far(begin) > 2 * subject.tolerance:
        if not _changes(subject, tokens, -1):
            raise LawViolation(
                "the last token of a long sequence changes nothing",
                given=f"{limit} tokens",
                expected="another row after another last token",
                got="the same row",
                cause="the end is cut off: truncation=True of a tokenizer, or an engine's limit "
                "below info.context_length",
            )
        return
    seen, unseen = 0, begin
    while unseen - seen > 1:
        middle = (seen + unseen) // 2
        if far(middle) > 2 * subject.tolerance:
            seen = middle
        else:
            unseen = middle
    # What forgets does so by and by; a cut is sharp.
    if unseen < FEW or far(seen) < 10 * far(unseen):
        raise NotApplicableError(f"of what is {unseen} tokens before, nothing is left in its rows")
    raise LawViolation(
        "the beginning of a long sequence changes nothing",
        given=f"{limit} tokens",
        expected="another row after another beginning",
        got=f"the last {unseen} tokens alone make the row",
        cause="the beginning is cut off, by a limit of the engine below info.context_length; a "
        f'model that looks at no more says so by info.details["order"] = {unseen}',
    )


def _order(subject: BackendUnderTest) -> int | None:
    """How many tokens the model says that it looks at; None: all that its context holds."""
    found = subject.model.info.details.get("order")
    return found if isinstance(found, int) else None


def _others(tokens: list[int], last: int) -> list[int]:
    """As many tokens, of which the `last` are the same and those before them others."""
    # Ids that texts have: some servers do not tell how many there are.
    ids = sorted(set(tokens[1:]))
    following = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
    cut = max(1, len(tokens) - last)
    # The first may be BOS, which some engines want.
    return [tokens[0], *(following[token] for token in tokens[1:cut]), *tokens[cut:]]
