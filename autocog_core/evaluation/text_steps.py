"""The steps of texts that a model writes: what is asked of the model before each decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.text_rules import TextRules
from autocog_core.types.token_tree import TreeQuery, TreeScores

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A text before the decision of its next token.

    :ivar text: the text. Its last tokens may be unscored: there was no alternative to them.
    :ivar mask: bool (V,), the tokens that may follow; None for all. Without meaning at the end.
    :ivar is_constrained: whether the text has a constraint.
    """

    text: Hypothesis
    mask: Mask | None
    is_constrained: bool

    @classmethod
    def of(cls, rules: TextRules, text: Hypothesis, *, take_single_tokens: bool) -> Step:
        """Return the next step of a text.

        :param rules: the rules of the text.
        :param text: the text; a finished one has no next step.
        :param take_single_tokens: whether tokens without an alternative are taken at once. The
            model then scores them together with the next decision.
        """
        if text.finish_reason is not None:
            return cls(text=text, mask=None, is_constrained=rules.language is not None)
        mask = rules.mask(text.state)
        if rules.language is None or mask is None:
            return cls(text=text, mask=mask, is_constrained=False)
        while take_single_tokens and np.count_nonzero(mask) == 1:
            text = text.extended(rules, int(np.argmax(mask)))
            if text.finish_reason is not None:
                return cls(text=text, mask=mask, is_constrained=True)
            mask = rules.mask(text.state)
            assert mask is not None
        if not mask.any():
            is_complete = rules.is_complete(text.state)
            text = replace(text, finish_reason="complete" if is_complete else "incomplete")
        return cls(text=text, mask=mask, is_constrained=True)

    @property
    def needs_answer(self) -> bool:
        """Whether the model has something to score or to decide."""
        return self.text.finish_reason is None or bool(self.text.unscored)

    def query(self, base: Sequence[int], top_k: int) -> TreeQuery:
        """Return the query of the unscored tokens and of the likeliest next ones.

        :param base: the ids before the text.
        :param top_k: the number of next tokens.
        """
        text = self.text
        chain = np.array(text.unscored, dtype=np.int32)
        is_open = text.finish_reason is None
        return TreeQuery(
            prefix=(*base, *text.tokens[: len(text.logprobs)]),
            tokens=chain,
            parents=np.arange(-1, len(chain) - 1, dtype=np.int32),
            top_at=np.array([len(chain) - 1] if is_open else [], dtype=np.int32),
            top_k=top_k if is_open else 0,
            mask=self.mask if is_open else None,
            with_mask_logprobs=self.is_constrained and is_open,
        )

    def scored_text(self, answer: TreeScores) -> Hypothesis:
        """Return the text with the scores of its tokens."""
        text = self.text
        for logprob in answer.values.tolist():
            # The mask held this token alone: the mass that it left is the token's probability.
            text = text.scored(logprob, logprob if self.is_constrained else None)
        return text

    def mask_logprob(self, answer: TreeScores) -> float | None:
        """Return the log of the mass of the tokens that may follow; None without a constraint."""
        if not self.is_constrained or answer.mask_logprobs is None:
            return None
        return float(answer.mask_logprobs[0])


def next_tokens(answer: TreeScores) -> list[tuple[int, float]]:
    """Return the likeliest next tokens with their log-probabilities, likeliest first."""
    ids: list[Any] = answer.top_tokens[0].tolist()
    logprobs = answer.top_logprobs[0].tolist()
    return [(token, min(0.0, lp)) for token, lp in zip(ids, logprobs, strict=True) if token >= 0]
