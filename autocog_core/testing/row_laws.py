"""Laws of distributions: what `greedy_impl` and `greedy_tree_impl` answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from autocog_core.testing.causes import OFF_BY_ONE, cause_of_row, cause_of_scores, kind_of
from autocog_core.testing.law import LawBrokenError, NotApplicableError, given, law
from autocog_core.testing.subject import Row, Subject, difference, require_near
from autocog_core.types import TreeQuery

#: How far a row's probabilities may be from 1 together.
WITHIN = 1e-3
#: Of `TreeQuery.top_k`.
TOP = 5


@law("rows")
def distribution(subject: Subject) -> None:
    """A row is float32 (V,), at most 0, and its probabilities sum to 1."""
    size = subject.model.info.vocabulary_size
    for prompt in subject.prompts:
        row = subject.raw_row(subject.encoded(prompt))
        with given(prompt):
            _check_row(row, size)


def _check_row(row: object, size: int) -> None:
    if not isinstance(row, np.ndarray) or row.shape != (size,):
        raise LawBrokenError(
            "a row has the wrong shape",
            expected=f"float32 ({size},)",
            got=kind_of(row),
            cause="info.vocabulary_size is not the width of the model's logits, or more than the "
            "last position is returned",
        )
    if row.dtype != np.float32:
        raise LawBrokenError(
            "a row has the wrong type",
            expected="float32",
            got=str(row.dtype),
            cause="convert it: row.astype(numpy.float32), after a softmax in at least float32",
        )
    if np.isnan(row).any() or np.isposinf(row).any():
        raise LawBrokenError(
            "a row holds NaN or +inf",
            expected="numbers, or -inf",
            got=float(row.max()),
            cause=cause_of_row(row),
        )
    if row.max() > 0:
        raise LawBrokenError(
            "a log-probability is above 0",
            expected="at most 0",
            got=float(row.max()),
            cause=cause_of_row(row),
        )
    total = float(np.exp(row.astype(np.float64)).sum())
    if abs(total - 1) > WITHIN:
        raise LawBrokenError(
            "the probabilities of a row do not sum to 1",
            expected=1.0,
            got=total,
            cause=cause_of_row(row),
        )


@law("rows")
def last_token(subject: Subject) -> None:
    """Prefixes that differ only in their last token have different rows."""
    if not any(_changes(subject, subject.encoded(prompt), -1) for prompt in subject.prompts):
        raise LawBrokenError(
            "the last token changes nothing",
            given=subject.prompts[0],
            expected="another row after another last token",
            got="the same row, after every prompt",
            cause=f"rows are read at a position before the last: {OFF_BY_ONE}",
        )


@law("rows")
def first_tokens(subject: Subject) -> None:
    """What comes earlier counts: prefixes that differ only before the last token differ too."""
    if subject.model.info.details.get("order") == 1:
        raise NotApplicableError("it looks at one token only")
    prompts = [(prompt, subject.encoded(prompt)) for prompt in subject.prompts]
    longer = [(prompt, tokens) for prompt, tokens in prompts if len(tokens) > 1]
    if longer and not any(_changes(subject, tokens, -2) for _, tokens in longer):
        raise LawBrokenError(
            "the token before the last changes nothing",
            given=longer[0][0],
            expected="another row after another token",
            got="the same row, after every prompt",
            cause="only the last token is evaluated; a model that looks at no more says so by "
            'info.details["order"] = 1',
        )


def _changes(subject: Subject, tokens: list[int], place: int) -> bool:
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


def _same(subject: Subject, one: Row, other: Row) -> bool:
    # Engines that round otherwise each time must not hide behind it.
    return difference(one, other) <= 2 * subject.tolerance


@law("rows")
def determinism(subject: Subject) -> None:
    """The same sequence has the same row, whenever it is asked for."""
    model = subject.model
    for prompt in subject.prompts:
        tokens = subject.encoded(prompt)
        rows = [model.greedy(tokens).copy() for _ in range(3)]
        for one, other in pairwise(rows):
            require_near(
                subject,
                one,
                other,
                "asked again, a row is another",
                given=prompt,
                cause="dropout (model.eval()), sampling, or state left over from the call before",
            )


@law("rows")
def rows_are_the_callers(subject: Subject) -> None:
    """A row that was handed out is not changed by later calls."""
    model = subject.model
    tokens = subject.encoded(subject.prompts[-1])
    row = subject.raw_row(tokens)
    before = np.array(row)
    for prompt in subject.prompts[:-1]:
        model.greedy(subject.encoded(prompt))
    if difference(before, np.asarray(row)) > 0:
        raise LawBrokenError(
            "a later call has changed a row",
            given=subject.prompts[-1],
            cause="it is a view of the engine's own buffer: return a copy",
        )


@law("rows")
def bos_counts(subject: Subject) -> None:
    """Where sequences begin with BOS, the model sees it."""
    model = subject.model
    if not model.info.adds_bos:
        raise NotApplicableError("the model adds no BOS")
    # Before short sequences: much later nothing of it may be left.
    begun = [tokens[:2] for prompt in subject.prompts if len(tokens := subject.encoded(prompt)) > 1]
    if all(_same(subject, model.greedy(first), model.greedy(first[1:])) for first in begun):
        raise LawBrokenError(
            "sequences have the same rows with and without BOS",
            given=subject.prompts[0],
            cause="BOS is stripped, or added where it is missing: evaluate the ids as they are "
            "given. (Or the model takes no notice of it, or of anything.)",
        )


@law("rows")
def reference(subject: Subject) -> None:
    """The log-probabilities are those that the author's own reference gives."""
    if subject.reference is None:
        raise NotApplicableError("no reference is given")
    model = subject.model
    for prompt in subject.prompts:
        tokens = subject.encoded(prompt)
        expected = [float(value) for value in subject.reference(prompt)]
        got = [
            float(model.greedy(tokens[:place])[tokens[place]]) for place in range(1, len(tokens))
        ]
        far = [
            place
            for place, (one, other) in enumerate(zip(expected, got, strict=False))
            if abs(one - other) > subject.tolerance
        ]
        if len(expected) != len(got) or far:
            raise LawBrokenError(
                "the log-probabilities of a text are not the reference's",
                given=prompt,
                expected=[round(value, 4) for value in expected],
                got=[round(value, 4) for value in got],
                cause=_against_reference(expected, got, subject.tolerance),
            )


def _against_reference(expected: list[float], got: list[float], tolerance: float) -> str:
    if len(expected) != len(got):
        return "the reference scores other tokens: it must score all but the first of model.encode"
    if all(abs(a + b) <= tolerance for a, b in zip(expected, got, strict=True)):
        return "the sign: one of the two gives negative log-likelihoods"
    for which, one, other in (("next", expected[1:], got[:-1]), ("previous", expected, got[1:])):
        pairs = list(zip(one, other, strict=False))
        if pairs and all(abs(a - b) <= tolerance for a, b in pairs):
            return f"scores are those of the {which} position: {OFF_BY_ONE}"
    return "other weights, another precision, or another tokenization of the same text"


@law("trees")
def trees(subject: Subject) -> None:
    """A token tree's scores are those of its nodes, each asked for by itself."""
    model = subject.model
    for prompt in subject.prompts:
        prefix = subject.encoded(prompt)
        query = _tree(subject, prefix)
        (found,) = model.caller.greedy_tree([query])
        paths = _paths(query)
        for node, (token, parent) in enumerate(
            zip(query.tokens.tolist(), query.parents.tolist(), strict=True)
        ):
            sequence = paths[parent]
            expected = subject.logprob(sequence, token)
            got = float(found.values[node])
            if not abs(got - expected) <= subject.tolerance and got != expected:
                raise LawBrokenError(
                    f"node {node} of a tree has another score than by itself",
                    given=prompt,
                    expected=expected,
                    got=got,
                    cause=cause_of_scores(subject, [*sequence, token], len(sequence), [got])
                    or "a node sees tokens that are not on its path: its siblings?",
                )


@law("trees", "rows")
def likeliest(subject: Subject) -> None:
    """The likeliest tokens at a tree's nodes are those of the rows, also under a mask."""
    model = subject.model
    size = model.info.vocabulary_size
    mask = np.arange(size) % 3 == 0
    for prompt in subject.prompts:
        prefix = subject.encoded(prompt)
        row = model.greedy(prefix)
        nothing = np.zeros(0, dtype=np.int32)
        at = np.array([-1], dtype=np.int32)
        for allowed in (None, mask):
            query = TreeQuery(prefix, nothing, nothing, at, min(TOP, size // 3), allowed)
            (found,) = model.caller.greedy_tree([query])
            kept = row if allowed is None else np.where(allowed, row, -np.inf)
            expected = np.sort(kept)[::-1][: query.top_k]
            got = found.top_logprobs[0][: len(expected)]
            tokens = found.top_tokens[0]
            possible = int(np.isfinite(expected).sum())
            right = difference(expected[:possible], got[:possible]) <= subject.tolerance and all(
                abs(float(kept[token]) - value) <= subject.tolerance
                for token, value in zip(tokens[:possible].tolist(), got[:possible], strict=True)
            )
            if possible and not right:
                raise LawBrokenError(
                    "the likeliest tokens"
                    + (" under a mask" if allowed is not None else "")
                    + " are others than those of the row",
                    given=prompt,
                    expected=[round(float(value), 4) for value in expected],
                    got=[round(float(value), 4) for value in got],
                    cause="sorted the wrong way, or normalised after the mask",
                )


@law("trees")
def trees_together(subject: Subject) -> None:
    """Trees that are asked for together have the scores of each alone."""
    model = subject.model
    # Neither from short to long nor back: engines sort them, and may forget to sort back.
    prompts = [*subject.prompts[1:], subject.prompts[0]]
    queries = [_tree(subject, subject.encoded(prompt)) for prompt in prompts]
    together = model.caller.greedy_tree(queries)
    for prompt, query, found in zip(prompts, queries, together, strict=True):
        (alone,) = model.caller.greedy_tree([query])
        require_near(
            subject,
            alone.values,
            found.values,
            "beside others, a tree has other scores than alone",
            given=prompt,
            cause="padding that is not masked, positions that count it, or answers in another "
            "order than the queries",
        )


def _tree(subject: Subject, prefix: list[int]) -> TreeQuery:
    """Two levels below the prefix: the same tokens below different ones."""
    # Ids that texts have: some servers do not tell how many there are.
    ids = sorted({token for prompt in subject.prompts for token in subject.model.encode(prompt)})
    first, last = (ids * 4)[:2], (ids * 4)[1:3]
    tokens = [*first, *last, *last]
    parents = [-1, -1, 0, 0, 1, 1]
    nothing = np.zeros(0, dtype=np.int32)
    return TreeQuery(
        prefix, np.array(tokens, dtype=np.int32), np.array(parents, dtype=np.int32), nothing, 0
    )


def _paths(query: TreeQuery) -> dict[int, list[int]]:
    paths = {-1: list(query.prefix)}
    for node, parent in enumerate(query.parents.tolist()):
        paths[node] = [*paths[parent], int(query.tokens[node])]
    return paths
