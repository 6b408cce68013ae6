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


def top_notes(best: TopChoices) -> list[str]:
    """Return what a reader of the best choices must know: what proves them, and `score_notes`."""
    notes = [_describe_proof(best)]
    if any(choice.prob is None for choice in best.top):
        notes.append("the probability itself is not known, only an interval that holds it")
    if best.is_at_least is not None:
        answer = "yes" if best.is_at_least else "no"
        notes.append(f"at least the probability of --at-least: {answer}")
    return [*notes, *score_notes(best)]


def _describe_proof(best: TopChoices) -> str:
    parts = []
    if best.nodes_read is not None and best.nodes:
        share = best.nodes_read / best.nodes
        parts.append(f"{best.nodes_read} of {best.nodes} nodes read ({share:.0%})")
    else:
        parts.append("all choices scored")
    parts.append(f"{best.steps} step{'' if best.steps == 1 else 's'}")
    if best.tokens_evaluated is not None:
        parts.append(f"{best.tokens_evaluated} tokens")
    return ("proven: " if best.proven else "not proven: ") + ", ".join(parts)


def choice_notes(scores: ChoiceScores) -> list[str]:
    """Return what a reader of the scores of all choices must know: their numbers, `score_notes`."""
    evaluated = (
        "" if scores.tokens_evaluated is None else f", {scores.tokens_evaluated} tokens evaluated"
    )
    notes = [
        f"entropy {scores.entropy:.3f} nats, margin {scores.margin:.4f}, "
        f"boundary {scores.boundary}{evaluated}"
    ]
    notes += score_notes(scores)
    if scores.unseen_probability:
        notes.append(f"probability that the server hides: up to {scores.unseen_probability:.4f}")
    return notes
