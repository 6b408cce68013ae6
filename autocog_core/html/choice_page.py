"""The page of a choice: its alternatives as bars, their numbers and tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass

from markupsafe import Markup

from autocog_core.html.page import render_page, render_template
from autocog_core.html.tokens import TokenView, logprob_text, prob_text, view_tokens
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceScore, ChoiceScores
from autocog_core.types.choice_logprobs import ChoiceLogprobs
from autocog_core.types.choice_notes import choice_notes, top_notes
from autocog_core.types.choice_value import default_value, value_text
from autocog_core.types.token_texts import Detokenizer
from autocog_core.types.top_choices import TopChoice, TopChoices


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceView:
    """A choice as a page shows it.

    :ivar text: its text in quotes.
    :ivar value: its value, if that is not the text.
    :ivar is_best: whether it is the best one.
    :ivar share: its probability among the choices, as text.
    :ivar low: the lowest value of the probability.
    :ivar high: the highest one.
    :ivar logprob: its log-probability, as text.
    :ivar score: what ranks it, as text, if that is another number.
    :ivar tokens: its tokens.
    :ivar texts: the views of its texts, if it has several.
    """

    text: str
    value: str
    is_best: bool
    share: str
    low: float
    high: float
    logprob: str
    score: str
    tokens: list[TokenView]
    texts: list[ChoiceView]


def choice_page(
    scores: ChoiceScores | TopChoices, model: Detokenizer | None, title: str = "Choice"
) -> str:
    """Return a page that shows the scores of choices, the likeliest first.

    :param scores: the scores of all choices, or the best ones with what bounds them.
    :param model: the model, which knows the texts of tokens.
    :param title: the page's title.
    """
    return render_page(title, choice_body(scores, model, title))


def choice_body(scores: ChoiceScores | TopChoices, model: Detokenizer | None, title: str) -> Markup:
    """Return the content of `choice_page`."""
    if isinstance(scores, TopChoices):
        choices = [
            _view(choice, model, scores.norm, is_best=choice.index == scores.index)
            for choice in scores.top
        ]
        notes, others = top_notes(scores), _describe_others(scores)
    else:
        best = scores.best
        # Stable: of equally likely ones, the first. The best one may share its rounded number.
        order = sorted(scores.scores, key=lambda each: (each is not best, -each.prob))
        choices = [_view(each, model, scores.norm, is_best=each is best) for each in order]
        notes, others = choice_notes(scores), ""
    return render_template(
        "choice.html",
        title=title,
        choices=choices,
        notes=notes,
        others=others,
        score_name=_score_name(scores),
    )


def _score_name(scores: ChoiceScores | TopChoices) -> str:
    """Return the score that ranks the choices; "" if it is their log-probability."""
    is_plain = scores.norm == "sum" and not scores.has_prefix_choices
    return "" if is_plain else SCORE_FIELD_OF_NORM[scores.norm]


def _view(
    choice: ChoiceLogprobs, model: Detokenizer | None, norm: str, *, is_best: bool
) -> ChoiceView:
    low, high = _bounds(choice)
    share = prob_text(low) if low == high else f"{prob_text(low)} to {prob_text(high)}"
    # A choice that was picked without tokens has no log-probability.
    has_numbers = bool(choice.token_logprobs)
    score = getattr(choice, SCORE_FIELD_OF_NORM[norm])  # type: ignore[index]
    texts = choice.texts if isinstance(choice, ChoiceScore) else ()
    is_text = choice.value in (choice.choice, default_value(choice.choice))
    return ChoiceView(
        text=_quoted(choice.choice),
        value="" if is_text else value_text(choice.value),
        is_best=is_best,
        share=share,
        low=low,
        high=high,
        logprob=logprob_text(choice.logprob) if has_numbers else "",
        score=logprob_text(score) if has_numbers else "",
        tokens=view_tokens(choice.tokens, choice.token_logprobs, model),
        texts=[_view(each, model, norm, is_best=False) for each in texts],
    )


def _bounds(choice: ChoiceLogprobs) -> tuple[float, float]:
    if isinstance(choice, TopChoice) and choice.prob is None:
        return choice.prob_bounds
    assert isinstance(choice, ChoiceScore | TopChoice)
    assert choice.prob is not None
    return choice.prob, choice.prob


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _describe_others(best: TopChoices) -> str:
    """Return what is known of the choices that are not shown."""
    shown = {choice.index for choice in best.top}
    bounds = [bound for index, bound in enumerate(best.score_bounds) if index not in shown]
    if not bounds:
        return ""
    count = f"{len(bounds):,} other choice{'' if len(bounds) == 1 else 's'}"
    return f"{count}: the score of none is above {logprob_text(max(bounds))}"
