"""Scores of texts as tables."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.cli.output import (
    add_number,
    add_text,
    escape_controls,
    format_logprob,
    format_token,
    new_table,
    show,
)
from autocog_core.cli.text import Text
from autocog_core.errors import shorten
from autocog_core.types.text_score import PairScore, TextScore

_MAX_SHOWN_CHARACTERS = 60


def show_text_scores(scores: Sequence[TextScore]) -> None:
    """Print one row per text, and the sum over all of them below."""
    table = new_table()
    add_number(table, "#")
    add_text(table, "text")
    for header in ("tokens", "logprob", "bits/byte", "perplexity"):
        add_number(table, header)
    for number, score in enumerate(scores, start=1):
        table.add_row(
            str(number),
            _shown(score.text),
            str(len(score.tokens)),
            format_logprob(score.logprob),
            _format(score.bits_per_byte),
            _format(score.perplexity),
        )
    windows = max(score.windows for score in scores)
    notes = [f"{sum(score.tokens_evaluated for score in scores)} tokens evaluated"]
    if windows > 1:
        notes.append(f"up to {windows} windows")
    show(table, Text(", ".join(notes), style="dim"))


def show_tokens(scores: Sequence[TextScore]) -> None:
    """Print one row per token."""
    table = new_table()
    add_number(table, "#")
    add_text(table, "token")
    add_number(table, "id")
    add_number(table, "logprob")
    for number, score in enumerate(scores, start=1):
        for token in score.tokens:
            table.add_row(
                str(number), format_token(token.raw), str(token.id), format_logprob(token.logprob)
            )
    show(table)


def show_words(scores: Sequence[TextScore]) -> None:
    """Print one row per word."""
    table = new_table()
    add_number(table, "#")
    add_text(table, "word")
    add_number(table, "bits")
    add_number(table, "tokens")
    for number, score in enumerate(scores, start=1):
        for word in score.words:
            count = word.end_token - word.first_token
            table.add_row(str(number), _shown(word.text), _format(word.surprisal), str(count))
    show(table)


def show_pairs(pairs: Sequence[PairScore]) -> None:
    """Print one row per pair, and how often the first text is the likelier one below."""
    table = new_table()
    add_number(table, "#")
    add_text(table, "first")
    add_text(table, "second")
    for header in ("first logprob", "second logprob", "difference"):
        add_number(table, header)
    for number, pair in enumerate(pairs, start=1):
        table.add_row(
            str(number),
            _shown(pair.first.text),
            _shown(pair.second.text),
            format_logprob(pair.first.logprob),
            format_logprob(pair.second.logprob),
            "-" if pair.difference is None else f"{pair.difference:+.3f}",
        )
    differences = [pair.difference for pair in pairs if pair.difference is not None]
    likelier = sum(difference > 0 for difference in differences)
    note = f"the first text is likelier in {likelier} of {len(differences)} pairs"
    if len(differences) < len(pairs):
        others = len(pairs) - len(differences)
        note += f"; {others} are not comparable: their beginnings are scored differently"
    show(table, Text(note, style="dim"))


def _format(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _shown(text: str) -> str:
    return escape_controls(shorten(text.replace("\n", " "), _MAX_SHOWN_CHARACTERS))
