"""Compare two models on the same work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from autocog_core.comparison.distributions import Position, compare_positions
from autocog_core.comparison.item_result import Candidate, Decision, ItemResult
from autocog_core.comparison.measure import measure
from autocog_core.comparison.model_numbers import describe_model
from autocog_core.comparison.picks import Pairs, find_flips
from autocog_core.comparison.works import AnyWork
from autocog_core.errors import CapabilityError, InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import share_divergence, wilson_interval
from autocog_core.types.comparison import Comparison
from autocog_core.types.comparison_parts import (
    PositionDifference,
    Spread,
    TokenDifference,
    Vocabularies,
)

#: Tokens of the context that a message shows before a position.
_SHOWN_TOKENS = 12


def compare_models(
    work: AnyWork,
    first: BackendClient,
    second: BackendClient,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run two models on the same work, and compare their numbers.

    :param work: the work.
    :param first: a model's client.
    :param second: the other one's.
    :param on_progress: called with the number of finished items, and of all.
    :raises InputError: if there are no items.
    :raises CapabilityError: if a model cannot do the work.
    """
    if not len(work):
        raise InputError("has no items", where="work", hint="give at least one")
    first_measurement, second_measurement, errors = measure(work, first, second, on_progress)
    pairs = [
        (item, result, second_measurement.results[item])
        for item, result in first_measurement.results.items()
    ]
    notes = _Notes()
    for client, measurement in ((first, first_measurement), (second, second_measurement)):
        for result in measurement.results.values():
            notes.add(result.note, client.model_name)
    vocabularies = _compare_vocabularies(first, second, notes)
    spelling = _Spelling(first, second, vocabularies)
    tokens = list(_token_differences(pairs, spelling))
    positions = list(_positions(pairs, spelling, notes))
    flips, picks = find_flips(pairs)
    worst_item, worst = max(positions, key=lambda each: each[1].divergence, default=(0, None))
    return Comparison(
        kind=work.kind,
        items=len(pairs),
        errors=errors,
        vocabularies=vocabularies,
        equal_items=sum(_has_equal_tokens(a, b, spelling) for _, a, b in pairs),
        tokens=spread(_distance(each.first, each.second) for each in tokens),
        worst_token=max(tokens, key=lambda each: _distance(each.first, each.second), default=None),
        texts=spread(_sum_differences(pairs)),
        divergence=spread(position.divergence for _, position in positions),
        worst_position=None
        if worst is None
        else PositionDifference(
            item=worst_item,
            context=_shown(first, worst.ids),
            divergence=worst.divergence,
        ),
        top_agreement=sum(position.is_same_top for _, position in positions) / len(positions)
        if positions
        else None,
        share_divergence=spread(_share_divergences(pairs)),
        picks=picks,
        agreeing=picks - len(flips),
        interval=wilson_interval(picks - len(flips), picks) if picks else None,
        flips=tuple(flips),
        first=describe_model(first, first_measurement, work),
        second=describe_model(second, second_measurement, work),
        notes=tuple(notes.texts),
    )


class _Notes:
    """What could not be compared, and why: each reason once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, reason: str, where: str = "") -> None:
        text = f"{where}: {reason}" if where and reason else reason
        if text and text not in self.texts:
            self.texts.append(text)


class _Spelling:
    """Whether tokens of the two models are the same.

    :ivar are_ids_equal: whether an id is the same token in both models.
    """

    def __init__(
        self, first: BackendClient, second: BackendClient, vocabularies: Vocabularies
    ) -> None:
        self.first, self.second = first, second
        self.are_ids_equal = vocabularies == "equal"

    def is_equal(self, first: Sequence[int], second: Sequence[int]) -> bool:
        """Return whether two sequences are the same tokens."""
        if self.are_ids_equal:
            return first == second
        return len(first) == len(second) and all(
            self.first.token_bytes(one) == self.second.token_bytes(other)
            for one, other in zip(first, second, strict=True)
        )


def _compare_vocabularies(
    first: BackendClient, second: BackendClient, notes: _Notes
) -> Vocabularies:
    try:
        vocabularies = first.vocabulary(), second.vocabulary()
    except CapabilityError as error:
        notes.add(f"whole distributions are not compared: {error}")
        return "unknown"
    sizes = [len(vocabulary) for vocabulary in vocabularies]
    if sizes[0] != sizes[1]:
        notes.add(
            "whole distributions are not compared: the vocabularies have "
            f"{sizes[0]:,} and {sizes[1]:,} tokens"
        )
        return "different"
    different = sum(one != other for one, other in zip(*vocabularies, strict=True))
    if different:
        notes.add(
            "whole distributions are not compared: the vocabularies differ in "
            f"{different:,} of {sizes[0]:,} tokens"
        )
        return "different"
    return "equal"


def _shared_candidates(
    first: Decision, second: Decision, spelling: _Spelling
) -> Iterator[tuple[Candidate, Candidate]]:
    """Yield the texts of one decision that have the same tokens in both models, after the same."""
    if first.prefix is not None and second.prefix is not None:
        if not spelling.is_equal(first.prefix, second.prefix):
            return
    elif not spelling.are_ids_equal:
        return
    others = {candidate.text: candidate for candidate in second.candidates}
    for candidate in first.candidates:
        other = others.get(candidate.text)
        if other is not None and spelling.is_equal(candidate.tokens, other.tokens):
            yield candidate, other


def _decisions(first: ItemResult, second: ItemResult) -> Iterator[tuple[Decision, Decision]]:
    for key, decision in first.decisions.items():
        if key in second.decisions:
            yield decision, second.decisions[key]


def _has_equal_tokens(first: ItemResult, second: ItemResult, spelling: _Spelling) -> bool:
    """Return whether all that both models scored has the same tokens."""
    if not first.decisions or first.decisions.keys() != second.decisions.keys():
        return False
    pairs = list(_decisions(first, second))
    return all(
        bool(one.candidates)
        and len(list(_shared_candidates(one, other, spelling))) == len(one.candidates)
        for one, other in pairs
    )


def _token_differences(pairs: Pairs, spelling: _Spelling) -> Iterator[TokenDifference]:
    for item, first, second in pairs:
        for decisions in _decisions(first, second):
            for one, other in _shared_candidates(*decisions, spelling):
                for index, values in enumerate(zip(one.logprobs, other.logprobs, strict=True)):
                    # The first token of a sequence has no log-probability.
                    if not any(map(math.isnan, values)):
                        raw = spelling.first.token_bytes(one.tokens[index])
                        yield TokenDifference(
                            item=item,
                            text=one.text,
                            position=one.offset + index,
                            token=raw.decode("utf-8", errors="replace"),
                            first=values[0],
                            second=values[1],
                        )


def _sum_differences(pairs: Pairs) -> Iterator[float]:
    for _, first, second in pairs:
        for key, one in first.sums.items():
            other = second.sums.get(key)
            if other is not None and one.scored == other.scored:
                yield _distance(one.logprob, other.logprob)


def _positions(pairs: Pairs, spelling: _Spelling, notes: _Notes) -> list[tuple[int, Position]]:
    """Return the positions at which whole distributions can be compared, with their items."""
    if not spelling.are_ids_equal:
        return []
    for client in (spelling.first, spelling.second):
        if not {"greedy_impl", "greedy_tree_impl"} & set(client.capabilities):
            notes.add(
                "whole distributions are not compared: the backend does not return them",
                client.model_name,
            )
            return []
    positions = []
    for item, first, second in pairs:
        for one, other in _decisions(first, second):
            if not one.prefix or one.prefix != other.prefix:
                continue
            shared = _shared_candidates(one, other, spelling)
            sequences = [candidate.tokens for candidate, _ in shared]
            positions += [
                (item, position)
                for position in compare_positions(
                    spelling.first, spelling.second, one.prefix, sequences or [()]
                )
            ]
    return positions


def _share_divergences(pairs: Pairs) -> Iterator[float]:
    for _, first, second in pairs:
        for one, other in _decisions(first, second):
            if len(one.shares) > 1 and one.shares.keys() == other.shares.keys():
                shares = [other.shares[key] for key in one.shares]
                yield share_divergence([*one.shares.values()], shares)


def spread(values: Iterable[float]) -> Spread | None:
    """Return mean, 99th percentile and maximum; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        p99=ordered[math.ceil(0.99 * len(ordered)) - 1],
        max=ordered[-1],
    )


def _distance(first: float, second: float) -> float:
    # Both may be -inf.
    return 0.0 if first == second else abs(first - second)


def _shown(client: BackendClient, ids: Sequence[int]) -> str:
    special = {token.id: token.text.encode() for token in client.info.special_tokens}
    shown = (special.get(token) or client.token_bytes(token) for token in ids[-_SHOWN_TOKENS:])
    return b"".join(shown).decode("utf-8", errors="replace")
