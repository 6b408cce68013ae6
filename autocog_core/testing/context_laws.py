"""Laws of context: which tokens a row depends on."""

from __future__ import annotations

from autocog_core.errors import InputError
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import Row, max_difference
from autocog_core.testing.diagnosis import OFF_BY_ONE
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError

#: A model that uses fewer tokens is taken for a short-range model: truncation is never so short.
MIN_TRUNCATED_TOKENS = 32
#: Offsets between an id and the ids that replace it.
ID_OFFSETS = (1, 7, 31)


@law("rows")
def last_token_matters(subject: BackendUnderTest) -> None:
    """The last token of a prompt changes the distribution."""
    _require_order(subject, 1)
    if not any(_row_depends_on(subject, tokens, -1) for _, tokens in subject.encoded_prompts()):
        raise LawViolation(
            "the last token does not change the row",
            given=subject.prompts[0],
            expected="another row after another last token",
            got="the same row, after every prompt",
            cause=f"rows are read at a position before the last: {OFF_BY_ONE}; or the model knows "
            "none of the prompts: give those that it knows, with `prompts` or --prompt",
        )


@law("rows")
def first_tokens_matter(subject: BackendUnderTest) -> None:
    """Tokens before the last one change the distribution."""
    _require_order(subject, 2)
    prompts = [(prompt, tokens) for prompt, tokens in subject.encoded_prompts() if len(tokens) > 1]
    if prompts and not any(_row_depends_on(subject, tokens, -2) for _, tokens in prompts):
        raise LawViolation(
            "the token before the last does not change the row",
            given=prompts[0][0],
            expected="another row after another token",
            got="the same row, after every prompt",
            cause="only the last token is evaluated; a model that uses one token must declare "
            'info.details["order"] = 1',
        )


def _row_depends_on(subject: BackendUnderTest, tokens: list[int], position: int) -> bool:
    """Return whether another token at `position` changes the row.

    Several tokens are tried, because a model may treat tokens that it never saw alike.
    """
    model = subject.model
    row = model.greedy(tokens)
    for offset in ID_OFFSETS:
        changed = list(tokens)
        changed[position] = (changed[position] + offset) % model.info.vocabulary_size
        if not _is_same_row(subject, row, model.greedy(changed)):
            return True
    return False


def _is_same_row(subject: BackendUnderTest, first: Row, second: Row) -> bool:
    # Twice the tolerance: the noise of an engine must not count as a difference.
    return max_difference(first, second) <= 2 * subject.tolerance


@law("rows")
def bos_counts(subject: BackendUnderTest) -> None:
    """BOS changes the distribution, if the model adds it."""
    model = subject.model
    if not model.info.adds_bos:
        raise NotApplicableError("the model adds no BOS")
    _require_order(subject, 1)
    # Two tokens, because a model may forget BOS in longer sequences.
    starts = [tokens[:2] for _, tokens in subject.encoded_prompts() if len(tokens) > 1]
    if not starts:
        # The prompts are BOS alone.
        starts = [model.encode(choice)[:2] for choice in subject.choices]
    if all(_is_same_row(subject, model.greedy(start), model.greedy(start[1:])) for start in starts):
        raise LawViolation(
            "sequences have the same rows with and without BOS",
            given=subject.prompts[0],
            cause="BOS is stripped, or added where it is missing: evaluate exactly the given ids "
            "(or the model ignores BOS, or all tokens)",
        )


@law("rows", "tokens")
def whole_context_matters(subject: BackendUnderTest) -> None:
    """The beginning and the end of a full context, or a long one, change the distribution."""
    context = subject.long_context()
    if (order := _declared_order(subject)) is not None:
        raise NotApplicableError(f"the model declares that it uses {order} tokens only")
    tokens = subject.sequence_of_length(context)
    try:
        row = subject.model.greedy(tokens).copy()
    except InputError as error:
        if subject.model.info.context_length is not None:
            raise
        raise NotApplicableError(f"the model refuses {context} tokens") from error

    def difference(last: int) -> float:
        """Return how much the row changes if only the `last` tokens stay the same."""
        return max_difference(row, subject.model.greedy(_change_all_but(tokens, last)))

    noise = 2 * subject.tolerance
    if difference(0) <= noise:
        raise NotApplicableError("after long sequences, all rows are the same")
    # Many tokens are changed, so that the effect exceeds rounding.
    unchanged = context - max(2, context // 8)
    if difference(unchanged) > noise:
        _check_last_token(subject, tokens)
        return
    # The row depends on the last `seen` tokens, but not on those before the last `unseen`.
    seen, unseen = 0, unchanged
    while unseen - seen > 1:
        middle = (seen + unseen) // 2
        if difference(middle) > noise:
            seen = middle
        else:
            unseen = middle
    # Models forget gradually. Truncation is a sharp cut.
    if unseen < MIN_TRUNCATED_TOKENS or difference(seen) < 10 * difference(unseen):
        raise NotApplicableError(f"the model forgets tokens more than {unseen} positions back")
    raise LawViolation(
        "the beginning of a long sequence does not change the row",
        given=f"{context} tokens",
        expected="another row after another beginning",
        got=f"the row depends on the last {unseen} tokens only",
        cause="the beginning is cut off by a limit of the engine below info.context_length; a "
        f'model that uses fewer tokens must declare info.details["order"] = {unseen}',
    )


def _check_last_token(subject: BackendUnderTest, tokens: list[int]) -> None:
    if not _row_depends_on(subject, tokens, -1):
        raise LawViolation(
            "the last token of a long sequence does not change the row",
            given=f"{len(tokens)} tokens",
            expected="another row after another last token",
            got="the same row",
            cause="the end is cut off: truncation=True of a tokenizer, or an engine's limit "
            "below info.context_length",
        )


def _require_order(subject: BackendUnderTest, order: int) -> None:
    """Check that the model uses so many tokens, unless it declares that it uses fewer.

    :raises NotApplicableError: with the declared number.
    """
    declared = _declared_order(subject)
    if declared is not None and declared < order:
        used = "no token" if declared == 0 else "one token only"
        raise NotApplicableError(f"the model declares that its rows depend on {used}")


def _declared_order(subject: BackendUnderTest) -> int | None:
    """Return how many tokens the model declares to use, or None for the whole context."""
    order = subject.model.info.details.get("order")
    return order if isinstance(order, int) else None


def _change_all_but(tokens: list[int], last: int) -> list[int]:
    """Return a sequence of the same length that shares only the first and the `last` tokens."""
    # Only ids that occur in texts: some servers do not report the size of the vocabulary.
    ids = sorted(set(tokens[1:]))
    replacement = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
    end = max(1, len(tokens) - last)
    # The first token may be BOS, which some engines require.
    return [tokens[0], *(replacement[token] for token in tokens[1:end]), *tokens[end:]]
