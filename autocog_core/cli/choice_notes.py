"""Notes below the tables of scores, for all choices and for the best ones."""

from __future__ import annotations

from collections.abc import Iterator

from autocog_core.types.choice import ChoiceScores
from autocog_core.types.top_choices import TopChoices


def score_notes(scores: ChoiceScores | TopChoices) -> Iterator[str]:
    """Yield what a reader of the scores must know: how they rank, and what they include."""
    if scores.norm != "sum":
        over = scores.unconditional_prompt
        gain = "" if over is None else f", the gain over {repr(over) if over else 'BOS alone'}"
        yield f"ranked by {scores.norm}{gain}"
    if scores.boundary == "healed":
        yield f"healed: the end of the prompt, {scores.healed_text!r}, is scored with the choices"
    if scores.has_prefix_choices:
        yield (
            "one choice begins another: exclusive_logprob is the log-probability of a choice that "
            "does not continue to a longer one"
        )
    if not scores.exact:
        reason = scores.reason or "the scores are not the model's own log-probabilities"
        yield f"not exact (method {scores.method}): {reason}"
