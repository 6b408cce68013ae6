"""Pages of choices, completions and records: their numbers, and that all is only text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Literal

import pytest

from autocog_core import Model
from autocog_core.backends.random import RandomLM
from autocog_core.errors import CapabilityError
from autocog_core.html.tokens import prob_text, token_level, view_tokens
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.top_choices import TopChoices
from tests.support.browser import OpenPage, check_widths_and_colors
from tests.support.trees import HOSTILE


class HostileTexts:
    """A tokenizer whose tokens are markup and commands."""

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        return "".join(HOSTILE[token % 5] for token in tokens).encode()


class NoTokenizer:
    """A server without a tokenizer."""

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        raise CapabilityError("no tokenizer")


@dataclass
class Person:
    """A record."""

    color: Literal["red", "<b>blue</b>", "green", "black", "white", "gray"]
    is_tall: bool


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(RandomLM(seed=3))


def texts_of(page: str) -> str:
    """The visible text of a page without scripts, roughly."""
    return unescape(re.sub(r"<[^>]*>", "", page.partition("<main>")[2].partition("</main>")[0]))


def test_a_choice_shows_its_numbers(model: Model) -> None:
    scores = model.choose("It is", [" a", " b", " cd"], norm="mean")
    for page in (scores.to_html(model), scores.to_html(), scores.to_html(NoTokenizer())):
        text = texts_of(page)
        for score in scores.scores:
            assert prob_text(score.prob) in text
            assert f"{score.logprob:.3f}" in text
            assert f"{score.mean_logprob:.3f}" in text
        assert f"entropy {scores.entropy:.3f} nats" in text
        assert "ranked by mean" in text


def test_the_best_choices_show_their_bounds(model: Model) -> None:
    best = model.choose("It is", [" a", " b", " cd"], top=2)
    assert isinstance(best, TopChoices)
    first, second = best.top
    unread = replace(
        best,
        top=(replace(first, prob=None, prob_bounds=(0.25, 0.75)), second),
        score_bounds=(-1.0, -2.5, -0.5) if first.index == 0 else (-2.5, -1.0, -0.5),
        nodes_read=3,
        nodes=12,
    )
    text = texts_of(unread.to_html(model))
    assert "0.2500 to 0.7500" in text
    assert prob_text(second.prob) in text
    assert "3 of 12 nodes read (25%)" in text
    assert "1 other choice: the score of none is above" in text


def test_a_completion_and_a_record_show_their_numbers(model: Model) -> None:
    completion = model.complete("It is", max_tokens=5, n=2, temperature=1.0, seed=1)
    text = texts_of(completion.to_html(model))
    for each in (completion, *completion.alternatives):
        assert each.logprobs is not None
        for token, logprob in zip(each.tokens, each.logprobs, strict=True):
            assert str(token) in text
            assert f"{logprob:.3f}" in text
    unknown = Completion(text="<b>", tokens=(), logprobs=None, finish_reason="unknown", reason="r")
    assert "<b>" in texts_of(unknown.to_html())
    record = model.record("Who?", schema=Person)
    text = texts_of(record.to_html(model))
    for field in record.fields.values():
        for alternative in field.alternatives:
            assert prob_text(alternative.prob) in text
    assert "1 more" in text


def test_colors_follow_the_probability() -> None:
    levels = [
        token_level(math.log(prob)) for prob in (1, 0.9, 0.8, 0.5, 0.3, 0.2, 0.05, 0.01, 0.001)
    ]
    assert levels == [0, 0, 1, 1, 2, 2, 3, 4, 5]
    assert token_level(-math.inf) == 5
    (token,) = view_tokens((), (-1.0,), None)
    assert (token.label, token.level) == ("", 2)


def test_pages_of_results_are_only_text(open_page: OpenPage, tmp_path: Path, model: Model) -> None:
    scores = ChoiceScores.from_logprobs(
        ChoiceRequest(prompt=Prompt((TextPiece(""),)), choices=HOSTILE[:5]),
        [(-float(index),) for index in range(5)],
        tokens=[(index,) for index in range(5)],
    )
    scores = replace(scores, exact=False, reason=HOSTILE[0])
    completion = replace(
        model.complete("It is", max_tokens=3), text="".join(HOSTILE), reason=HOSTILE[1]
    )
    pages = {
        "choice": scores.to_html(HostileTexts(), title=HOSTILE[0]),
        "completion": completion.to_html(HostileTexts()),
        "completion without ids": completion.to_html(),
        "record": model.record("Who?", schema=Person).to_html(HostileTexts()),
    }
    for name, text in pages.items():
        path = tmp_path / f"{name}.html"
        path.write_text(text, encoding="utf-8")
        with open_page(path) as page:
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            check_widths_and_colors(page, is_short=name != "choice")
            assert page.title() != "taken"
            assert page.locator("main img, main script, main b").count() == 0
            assert not set("\x1b\x00\x7f\x9b\u202e\u2066\u200f\u2028") & set(
                page.inner_text("main")
            )
