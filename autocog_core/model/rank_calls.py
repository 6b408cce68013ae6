"""The public call `rank`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from autocog_core.errors import InputError, shorten
from autocog_core.model.choice_arguments import make_choice_request
from autocog_core.model.choice_calls import ChoiceCalls, score_choices
from autocog_core.scoring.score_texts import TextRequest, score_texts
from autocog_core.types.prompt import Prompt, check_text
from autocog_core.types.ranking import RankedItem
from autocog_core.types.text_score import TextScore


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
        tokens of the prompt after each item, so that neither the length of an item nor how common
        it is counts. The texts between them are not scored.

        :param prompt: the text, such as a query.
        :param items: different texts, such as titles.
        :param top: number of items to return; None for all.
        :param by: what ranks them: "prompt" is log P(prompt | item), "item" is log P(item | prompt)
            per token. Of equal ones, the lower index comes first.
        :param before_item: text between the prompt and the item, for P(item | prompt).
        :param before_prompt: text between the item and the prompt, for P(prompt | item).
        :raises InputError: for no, empty or equal items, an empty prompt, or an item whose end the
            tokenizer joins with the prompt, so that its score would include a part of the item.
        :raises ContextOverflowError: if prompt and the longest item do not fit.
        """
        if by not in ("prompt", "item"):
            raise InputError(f"got {by!r}", where="by", hint='"prompt" or "item"')
        if top is not None and top < 1:
            raise InputError(f"got {top}", where="top", hint="at least 1, or None for all")
        check_text(prompt, "prompt")
        context = self._call_context()
        request, texts = make_choice_request(
            Prompt.of(prompt + before_item),
            items,
            norm="sum",
            suffix=None,
            boundary="heal",
            method=None,
            unconditional_prompt=None,
        )
        # Items may differ in length: nobody picks the shortest here, so there is no warning.
        scores = score_choices(context, request, texts).scores
        requests = [
            TextRequest(context=Prompt.of(item + before_prompt), text=prompt, where="prompt")
            for item in items
        ]
        reverse = score_texts(context.client, requests)
        _require_equal_tokens(items, reverse)
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


def _require_equal_tokens(items: Sequence[str], scores: Sequence[TextScore]) -> None:
    """Check that the same part of the text before the prompt is scored with it after each item.

    :raises InputError: naming an item after which it is more.
    """
    healed = [score.healed_text for score in scores]
    if len(set(healed)) > 1:
        item = items[healed.index(max(healed, key=len))]
        raise InputError(
            f"the tokenizer joins the end of {shorten(repr(item), 60)} with the prompt, "
            "which would be scored together",
            where="before_prompt",
            hint='give a before_prompt such as "\\n"',
        )
