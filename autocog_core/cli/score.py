"""`autocog score`: log-probability, surprisal and perplexity of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.inputs import read_lines, read_text_file
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson
from autocog_core.cli.output import show_json
from autocog_core.cli.score_table import show_pairs, show_text_scores, show_tokens, show_words
from autocog_core.cli.session import session
from autocog_core.errors import InputError
from autocog_core.types.prompt import TextPiece
from autocog_core.types.text_score import TextScore


def score(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="File with one text per line; - reads standard input."),
    ],
    *,
    context: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Text before each text, which is not scored itself."),
    ] = "",
    special: Annotated[
        bool,
        typer.Option(
            "--special", help="Parse special tokens in --context; only for text you trust."
        ),
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Score the whole file as one text.")
    ] = False,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="Each line has two texts with a tab between: compare their log-probabilities.",
        ),
    ] = False,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show the log-probability of every token.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words", help="Show the surprisal of every word, in bits.")
    ] = False,
    window: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="TOKENS",
            help="Evaluate a long text in windows of this size (default: the model's context).",
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="Tokens that each window after the first scores (default: half a window).",
        ),
    ] = None,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Show how likely texts are: log-probability, surprisal and perplexity.

    Example: autocog score sentences.txt --words
    """
    _check_options(whole=whole, pairs=pairs, tokens=tokens, words=words, window=window or stride)
    lines = [read_text_file(file)] if whole else read_lines(file)
    if not any(lines):
        raise InputError("has no text", where=str(file))
    split = [_split_pair(line, number) for number, line in enumerate(lines, 1)] if pairs else []
    before = TextPiece(context, trusted=special)
    with model_options.open() as model:
        if pairs:
            compared = model.score_pairs(split, before, words=words)
            scores = [score for pair in compared for score in (pair.first, pair.second)]
        else:
            scores = model.score_many(lines, before, words=words, window=window, stride=stride)
    _warn(scores)
    if as_json:
        if pairs:
            show_json({"pairs": [pair.to_dict() for pair in compared]})
        else:
            show_json({"texts": [score.to_dict() for score in scores]})
    elif pairs:
        show_pairs(compared)
    elif tokens:
        show_tokens(scores)
    elif words:
        show_words(scores)
    else:
        show_text_scores(scores)


def _check_options(
    *, whole: bool, pairs: bool, tokens: bool, words: bool, window: int | None
) -> None:
    conflicts = [
        (whole and pairs, "--whole", "--pairs"),
        (tokens and words, "--tokens", "--words"),
        (pairs and tokens, "--pairs", "--tokens"),
        (pairs and window is not None, "--pairs", "--window and --stride"),
    ]
    for conflict, option, other in conflicts:
        if conflict:
            raise InputError(f"cannot be combined with {other}", where=option, hint="leave one out")


def _split_pair(line: str, number: int) -> tuple[str, str]:
    texts = line.split("\t")
    if len(texts) != 2 or "" in texts:
        raise InputError(
            f"expected two texts with one tab between, got {len(texts)}", where=f"line {number}"
        )
    return texts[0], texts[1]


def _warn(scores: list[TextScore]) -> None:
    unscored = sum(score.unscored > 0 for score in scores)
    if unscored:
        session.warn(
            f"the first token of {unscored} text{'s' * (unscored > 1)} has no log-probability, "
            "because this model adds no BOS: give a --context, such as a newline"
        )
