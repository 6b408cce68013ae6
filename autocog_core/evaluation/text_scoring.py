"""Settling what comes before an action, and scoring its texts along with the action's own tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.errors import InputError
from autocog_core.evaluation.branch import Outcome, Steps
from autocog_core.evaluation.path_context import Context, TokenizedText, settle
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode
from autocog_core.types.token_tree import TreeQuery, TreeScores

TextScores = tuple[tuple[TokenizedText, tuple[float, ...]], ...]


class ScoringContext:
    """The ids that an action stands on, and the texts among them that are to be scored.

    :param base: all ids before the action's first decided one.
    :ivar texts: what is settled in them. `first`: where the first begins that is to be scored.
    :raises InputError: if the first token of all is to be scored: nothing comes before it.
    """

    def __init__(self, client: BackendClient, context: Context, base: Sequence[int]) -> None:
        self.base = tuple(base)
        self.texts = settle(client, context, self.base)
        starts = [text.start for text in self.texts if text.evaluate and text.tokens]
        self.first = min(starts, default=len(self.base))
        if self.first == 0:
            raise InputError(
                "is to be evaluated from its first token, and the model adds no BOS: there is "
                "nothing to condition on",
                where="text",
                hint="put some text before it",
            )

    @property
    def scores_text(self) -> bool:
        """Whether any text is to be scored."""
        return self.first < len(self.base)

    def query(self, query: TreeQuery) -> TreeQuery:
        """A query after `base`, with the texts to be scored before its own tree."""
        if not self.scores_text:
            return query
        chain = np.array(self.base[self.first :], dtype=np.int32)
        count = len(chain)
        parents = np.where(query.parents < 0, count - 1, query.parents + count)
        at = np.where(query.top_at < 0, count - 1, query.top_at + count)
        return TreeQuery(
            self.base[: self.first],
            np.concatenate([chain, query.tokens]),
            np.concatenate([np.arange(-1, count - 1), parents]).astype(np.int32),
            at.astype(np.int32),
            query.top_k,
            query.mask,
        )

    def read(self, answer: TreeScores) -> tuple[TreeScores, TextScores]:
        """The answer for the action's own tree, and the texts with their log-probabilities."""
        count = len(self.base) - self.first
        values = np.minimum(answer.values, 0.0)
        own = TreeScores(
            answer.values[count:], answer.top_tokens, answer.top_logprobs, answer.tokens_evaluated
        )
        scored = []
        for text in self.texts:
            begin = text.start - self.first
            inside = text.evaluate and text.tokens
            found = values[begin : begin + len(text.tokens)].tolist() if inside else []
            scored.append((text, tuple(found)))
        return own, tuple(scored)

    def unscored(self) -> TextScores:
        """The texts, where none is to be scored."""
        return tuple((text, ()) for text in self.texts)


def finish_path(client: BackendClient, context: Context) -> Steps:
    """The end of a path: what is pending gets its tokens, and its scores where asked for."""
    nothing = np.zeros(0, dtype=np.int32)
    ground = ScoringContext(client, context, encode(client, context.prompt()))
    if not ground.scores_text:
        return Outcome((), ground.unscored())
    answers = yield [ground.query(TreeQuery(ground.base, nothing, nothing))]
    _, scored = ground.read(answers[0])
    return Outcome((), scored)
