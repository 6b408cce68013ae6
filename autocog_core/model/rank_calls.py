"""The public call `rank`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from autocog_core.errors import InputError
from autocog_core.model.calls import ChoiceCalls
from autocog_core.scoring.score_texts import TextRequest, score_texts
from autocog_core.types.prompt import Prompt, check_text
from autocog_core.types.ranking import RankedItem


class RankCalls(ChoiceCalls):
    """Calls of models that rank items by how well they fit a prompt."""

    def rank(
        self,
        prompt: str,
        items: Sequence[str],
        *,
        top: int | None = 5,
        by: Literal["prompt", "item"] = "prompt",
        before_item: str = "\n",
        before_prompt: str = "\n",
    ) -> list[RankedItem]:
        """Return the items that fit a prompt best, best first, with both conditional probabilities.

        P(item | prompt) is read from one token tree of all items. P(prompt | item) scores the same
        prompt after each item, so that neither the length of an item nor how common it is counts.

        :param prompt: the text, such as a query.
        :param items: different texts, such as titles.
        :param top: number of items to return; None for all.
        :param by: what ranks them: "prompt" is log P(prompt | item), "item" is log P(item | prompt)
            per token. Of equal ones, the lower index comes first.
        :param before_item: text between the prompt and the item, for P(item | prompt).
        :param before_prompt: text between the item and the prompt, for P(prompt | item).
        :raises InputError: for no, empty or equal items, or an empty prompt.
        :raises ContextOverflowError: if prompt and the longest item do not fit.
        """
        if by not in ("prompt", "item"):
            raise InputError(f"got {by!r}", where="by", hint='"prompt" or "item"')
        if top is not None and top < 1:
            raise InputError(f"got {top}", where="top", hint="at least 1, or None for all")
        check_text(prompt, "prompt")
        scores = self.choose(prompt + before_item, items).scores
        requests = [
            TextRequest(context=Prompt.of(item), text=before_prompt + prompt, where="prompt")
            for item in items
        ]
        reverse = score_texts(self._call_context().client, requests)
        # Each text has a context, so that all its tokens have log-probabilities.
        ranked = [
            RankedItem(
                item=score.choice,
                index=index,
                logprob=score.logprob,
                mean_logprob=score.mean_logprob,
                prompt_logprob=math.fsum(text.logprobs),
            )
            for index, (score, text) in enumerate(zip(scores, reverse, strict=True))
        ]
        field = "prompt_logprob" if by == "prompt" else "mean_logprob"
        ranked.sort(key=lambda each: getattr(each, field), reverse=True)
        return ranked[:top]
