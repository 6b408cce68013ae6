"""Scores of the texts before an action, computed together with the action's own token tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.errors import InputError
from autocog_core.evaluation.branch import ActionResult, ActionSteps
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.text_tokens import TokenizedText, assign_tokens
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores

#: Texts, each with the log-probabilities of its tokens; none if it is not evaluated.
TextScores = tuple[tuple[TokenizedText, tuple[float, ...]], ...]


class ScoringContext:
    """The ids before an action, and the texts among them that are to be scored.

    :param client: the model's client.
    :param context: the path's context.
    :param base: all ids before the action's first decided token.
    :ivar base: the same.
    :ivar texts: the pending texts with their tokens.
    :ivar first_scored: index in `base` of the first token to score; `len(base)` if there is none.
    :raises InputError: if the first token of the sequence is to be scored.
    """

    def __init__(self, client: BackendClient, context: PathContext, base: Sequence[int]) -> None:
        self.base = tuple(base)
        self.texts = assign_tokens(client, context, self.base)
        starts = [text.start for text in self.texts if text.evaluate and text.tokens]
        self.first_scored = min(starts, default=len(self.base))
        if self.first_scored == 0:
            raise InputError(
                "is to be evaluated from its first token, and the model adds no BOS: there is "
                "nothing to condition on",
                where="text",
                hint="put some text before it",
            )

    @property
    def has_scored_texts(self) -> bool:
        """Whether any text is to be scored."""
        return self.first_scored < len(self.base)

    def with_texts(self, query: TreeQuery) -> TreeQuery:
        """Return a query with the texts to score as a chain of nodes before its own tree."""
        if not self.has_scored_texts:
            return query
        chain = np.array(self.base[self.first_scored :], dtype=np.int32)
        count = len(chain)
        parents = np.where(query.parents < 0, count - 1, query.parents + count)
        top_at = np.where(query.top_at < 0, count - 1, query.top_at + count)
        return TreeQuery(
            prefix=self.base[: self.first_scored],
            tokens=np.concatenate([chain, query.tokens]),
            parents=np.concatenate([np.arange(-1, count - 1), parents]).astype(np.int32),
            top_at=top_at.astype(np.int32),
            top_k=query.top_k,
            mask=query.mask,
            with_mask_logprobs=query.with_mask_logprobs,
        )

    def split_answer(self, answer: TreeScores) -> tuple[TreeScores, TextScores]:
        """Return the answer for the action's own tree, and the scores of the texts."""
        count = len(self.base) - self.first_scored
        values = np.minimum(answer.values, 0.0)
        action_answer = TreeScores(
            values=answer.values[count:],
            top_tokens=answer.top_tokens,
            top_logprobs=answer.top_logprobs,
            tokens_evaluated=answer.tokens_evaluated,
            mask_logprobs=answer.mask_logprobs,
        )
        scores: list[tuple[TokenizedText, tuple[float, ...]]] = []
        for text in self.texts:
            start = text.start - self.first_scored
            logprobs = values[start : start + len(text.tokens)] if text.evaluate else values[:0]
            scores.append((text, tuple(logprobs.tolist())))
        return action_answer, tuple(scores)

    def unscored_texts(self) -> TextScores:
        """Return the texts without scores."""
        return tuple((text, ()) for text in self.texts)


def finish_path(client: BackendClient, context: PathContext) -> ActionSteps:
    """Give the texts at the end of a path their tokens, and score those to evaluate."""
    if context.is_empty:
        return ActionResult(branches=())
    no_tokens = np.zeros(0, dtype=np.int32)
    scoring = ScoringContext(client, context, encode_prompt(client, context.prompt()))
    if not scoring.has_scored_texts:
        return ActionResult(branches=(), base=scoring.base, texts=scoring.unscored_texts())
    query = TreeQuery(prefix=scoring.base, tokens=no_tokens, parents=no_tokens)
    (answer,) = yield [scoring.with_texts(query)]
    _, texts = scoring.split_answer(answer)
    return ActionResult(branches=(), base=scoring.base, texts=texts)
