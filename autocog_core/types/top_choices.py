"""The best of many choices, proven by a part of the token choice tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from autocog_core.types.brief import brief
from autocog_core.types.choice import Boundary, Norm
from autocog_core.types.choice_logprobs import ChoiceLogprobs
from autocog_core.types.choice_value import Value
from autocog_core.types.json_number import to_json_number
from autocog_core.types.shown_result import ShownResult


@dataclass(frozen=True, kw_only=True, slots=True)
class TopChoice(ChoiceLogprobs):
    """One of the best choices and its exact log-probabilities, in nats.

    :ivar index: its index among the choices that were given.
    :ivar score: the log-probability that ranks it, by the request's norm.
    :ivar prob: its share among all choices, as in `ChoiceScore`; None unless the whole tree was
        read.
    :ivar prob_bounds: the lowest and the highest value that `prob` can have.
    """

    index: int
    score: float
    prob: float | None
    prob_bounds: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "index": self.index,
            **self.logprobs_to_dict(self.prob),
            "score": to_json_number(self.score),
            "prob_bounds": list(self.prob_bounds),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TopChoices(ShownResult):
    """The best choices of a request, best first, and upper bounds for all others.

    :ivar top: the best choices, best first (ties: the lower index first).
    :ivar score_bounds: for each choice in the order given, the highest value that its score can
        have, in nats. For a choice of which all tokens were read, it is the score.
    :ivar norm: the norm that ranks the choices.
    :ivar boundary: see `ChoiceScores`.
    :ivar healed_text: see `ChoiceScores`.
    :ivar has_prefix_choices: see `ChoiceScores`.
    :ivar proven: whether no other choice can have a higher score than those of `top`.
    :ivar nodes_read: nodes of the token choice tree after which the model's distribution was read;
        None if the backend scored the choices by its own method.
    :ivar nodes: nodes after which the whole tree needs it; None likewise.
    :ivar steps: the number of calls of the engine, for other requests of the same call too.
    :ivar entropy: as in `ChoiceScores`; None unless the whole tree was read.
    :ivar margin: as in `ChoiceScores`; None unless the whole tree was read.
    :ivar is_at_least: whether the best choice has at least the probability `at_least`; None unless
        that was asked, and if the backend cannot settle it.
    :ivar exact: see `ChoiceScores`.
    :ivar method: see `ChoiceScores`.
    :ivar reason: why `prob` is None, or why the scores are not exact.
    :ivar tokens_evaluated: tokens that the model evaluated for the search, without those of the
        unconditional prompt and its choices, which are kept; None if the engine does not say.
    :ivar unconditional_prompt: see `ChoiceScores`.
    """

    page_name: ClassVar = ("choice_page", "Choice")
    cell_name: ClassVar = "choices_in_cell"

    top: tuple[TopChoice, ...]
    score_bounds: tuple[float, ...]
    norm: Norm
    boundary: Boundary
    healed_text: str
    has_prefix_choices: bool
    proven: bool
    nodes_read: int | None
    nodes: int | None
    steps: int
    entropy: float | None = None
    margin: float | None = None
    is_at_least: bool | None = None
    exact: bool = True
    method: str = "tree"
    reason: str = ""
    tokens_evaluated: int | None = None
    unconditional_prompt: str | None = None

    @property
    def best(self) -> TopChoice:
        """The best choice."""
        return self.top[0]

    @property
    def index(self) -> int:
        """Index of the best choice among those that were given."""
        return self.best.index

    @property
    def choice(self) -> str:
        """Text of the best choice."""
        return self.best.choice

    @property
    def value(self) -> Value:
        """Value of the best choice."""
        return self.best.value

    @property
    def prob(self) -> float | None:
        """Share of the best choice among all; None unless the whole tree was read."""
        return self.best.prob

    @property
    def prob_bounds(self) -> tuple[float, float]:
        """The lowest and the highest share that the best choice can have."""
        return self.best.prob_bounds

    def __repr__(self) -> str:
        """Return the best choice with its probability, or its bounds, as one line."""
        low, high = self.prob_bounds
        prob = f"{low:.4f}" if self.prob is not None else f"{low:.4f} to {high:.4f}"
        count = f"{len(self.top):,} of {len(self.score_bounds):,} choices"
        proven = ", proven" if self.proven else ""
        return f"<TopChoices {brief(self.choice)} {prob}, {count}{proven}, norm {self.norm}>"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        data = {
            "index": self.index,
            "choice": self.choice,
            "value": self.value,
            "norm": self.norm,
            "boundary": self.boundary,
            "healed_text": self.healed_text,
            "has_prefix_choices": self.has_prefix_choices,
            "proven": self.proven,
            "nodes_read": self.nodes_read,
            "nodes": self.nodes,
            "steps": self.steps,
            "prob": self.prob,
            "prob_bounds": list(self.prob_bounds),
            "entropy": self.entropy,
            "margin": self.margin,
            "exact": self.exact,
            "method": self.method,
            "reason": self.reason,
            "tokens_evaluated": self.tokens_evaluated,
            "top": [choice.to_dict() for choice in self.top],
            "score_bounds": [to_json_number(bound) for bound in self.score_bounds],
        }
        if self.is_at_least is not None:
            data["is_at_least"] = self.is_at_least
        if self.unconditional_prompt is not None:
            data["unconditional_prompt"] = self.unconditional_prompt
        return data
