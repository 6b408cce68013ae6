"""Tokens and text scores of a path, for a backend that receives it as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.evaluation.branch import ActionResult, Branch
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.text_scoring import TextScores
from autocog_core.evaluation.text_tokens import TokenizedText, assign_tokens
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece, join_text

#: The reason for scores that a backend marks as inexact without a reason.
INEXACT = "the backend says that its scores are not exact"


@dataclass(frozen=True, slots=True)
class ContextTokens:
    """The tokens before an action, which the backend receives as text.

    :ivar ids: all of them; None if the backend has no tokenizer.
    :ivar inexact_reason: why the backend may see other tokens; empty if it sees these.
    """

    ids: tuple[int, ...] | None
    inexact_reason: str = ""

    @classmethod
    def for_context(cls, client: BackendClient, context: PathContext) -> ContextTokens:
        """Return the tokens of a path's context.

        :raises InputError: if there are none.
        """
        try:
            ids = encode_prompt(client, context.prompt())
            is_same = not context.ids or encode_prompt(client, Prompt(context.text or ())) == ids
        except (CapabilityError, ConfigError):
            return cls.unknown()
        reason = (
            "" if is_same else "the text so far has other tokens than those decided on the path"
        )
        return cls(tuple(ids), reason)

    @classmethod
    def unknown(cls) -> ContextTokens:
        """Return the tokens of a backend without a tokenizer."""
        return cls(None, "the backend has no tokenizer: the scored tokens are unknown")

    def context_after(self, client: BackendClient, context: PathContext, text: str) -> PathContext:
        """Return the context after a text whose tokens are unknown: core tokenizes it."""
        if self.ids is None:
            texts = (piece for piece in context.text or () if isinstance(piece, TextPiece))
            return PathContext((), (PendingText((*texts, TextPiece(text))),))
        prompt = context.with_texts(PendingText((TextPiece(text),))).prompt()
        return PathContext(tuple(encode_prompt(client, prompt)))


class ScoredTexts:
    """The pending texts before an action, and the request for their scores.

    The request has one choice: the text from the first token to score up to the action.

    :param client: the model's client.
    :param context: the path's context.
    :param tokens: the tokens of the context.
    :param base: the ids before the action's first decided token; None if they are unknown.
    :ivar requests: the request for the scores; empty if there is nothing to score, or no way to.
    """

    def __init__(
        self,
        client: BackendClient,
        context: PathContext,
        tokens: ContextTokens,
        base: Sequence[int] | None,
    ) -> None:
        self._reason = tokens.inexact_reason
        self._base = None if base is None else tuple(base)
        if base is None:
            self._texts = [
                TokenizedText(node=text.node, tokens=(), start=0, evaluate=text.evaluate)
                for text in context.pending_texts
            ]
        else:
            self._texts = assign_tokens(client, context, base)
        starts = [text.start for text in self._texts if text.evaluate and text.tokens]
        self._may_need_scores = bool(starts) or base is None
        self._scored_ids = (tokens.ids or ())[min(starts) :] if starts else ()
        self.requests: list[ChoiceRequest] = []
        if not starts or tokens.inexact_reason:
            return
        scored_text = client.detokenize(self._scored_ids).decode("utf-8", errors="replace")
        before = _without_suffix(context.text or (), scored_text)
        if before is None:
            self._reason = "the backend scores no special tokens, and no parts of characters"
        else:
            self.requests = [ChoiceRequest(prompt=Prompt(before), choices=(scored_text,))]

    def result(self, branches: Sequence[Branch], answers: Sequence[ChoiceScores]) -> ActionResult:
        """Return the result of an action, with the tokens and scores of the texts.

        :param branches: the action's branches.
        :param answers: the answers to `requests`.
        """
        texts, reason = self._scores_from(answers)
        return ActionResult(branches=tuple(branches), base=self._base, texts=texts, reason=reason)

    def _scores_from(self, answers: Sequence[ChoiceScores]) -> tuple[TextScores, str]:
        """Return the texts with their scores, and why these are not exact."""
        unscored = tuple((text, ()) for text in self._texts)
        if not answers:
            return unscored, self._reason if self._may_need_scores else ""
        (answer,) = answers
        (score,) = answer.scores
        count = len(self._scored_ids)
        # The choice may begin with tokens of the prompt that were healed.
        logprobs = score.token_logprobs[-count:]
        reason = "" if answer.exact else answer.reason or INEXACT
        if score.tokens[-count:] != self._scored_ids or len(logprobs) != count:
            return unscored, reason or "the backend did not score the tokens of the text"
        first = min(text.start for text in self._texts if text.evaluate and text.tokens)
        scores = []
        for text in self._texts:
            start = text.start - first
            values = logprobs[start : start + len(text.tokens)] if text.evaluate else ()
            scores.append((text, tuple(min(0.0, value) for value in values)))
        return tuple(scores), reason


def _without_suffix(
    pieces: Sequence[TextPiece | TokenPiece], suffix: str
) -> tuple[TextPiece | TokenPiece, ...] | None:
    """Return pieces without the text at their end; None if they do not end with it."""
    remaining = list(pieces)
    length = len(suffix)
    if not join_text(remaining).endswith(suffix):
        return None
    while length > 0:
        last = remaining.pop()
        if isinstance(last, TokenPiece):
            return None
        if len(last.text) > length:
            remaining.append(replace(last, text=last.text[:-length]))
        length -= len(last.text)
    return tuple(remaining)
