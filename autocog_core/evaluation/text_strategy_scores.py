"""What a path has said, for a backend that is asked in text: its tokens, and scores of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.evaluation.path_context import Context, PendingText, TokenizedText, settle
from autocog_core.evaluation.text_scoring import TextScores
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.prompt import Prompt, TextPiece

#: Of scores that a backend calls inexact without a reason.
INEXACT = "the backend says that its scores are not exact"


@dataclass(frozen=True, slots=True)
class ContextTokens:
    """The tokens that an action stands on, which the backend sees as text.

    :ivar ids: all of them; None where the backend has no tokenizer.
    :ivar doubt: why the backend may see others; empty where it sees these.
    """

    ids: tuple[int, ...] | None
    doubt: str = ""

    @classmethod
    def of(cls, client: BackendClient, context: Context) -> ContextTokens:
        """What comes before the next action on a path.

        :raises InputError: if that is nothing.
        """
        try:
            ids = encode(client, context.prompt())
            same = not context.ids or encode(client, Prompt(context.said or ())) == ids
        except (CapabilityError, ConfigError):
            return cls.unknown()
        return cls(tuple(ids), "" if same else "as text, what was decided before is other tokens")

    @classmethod
    def unknown(cls) -> ContextTokens:
        """What a backend without a tokenizer stands on."""
        return cls(None, "without a tokenizer nobody can tell which tokens were scored")

    def after(self, client: BackendClient, context: Context, text: str) -> Context:
        """What comes after a text of which no tokens are known: it is tokenized."""
        if self.ids is None:
            return Context((), (PendingText((*(context.said or ()), TextPiece(text))),))
        return Context(tuple(encode(client, context.plus(_as_text(text)).prompt())))


class ScoredTexts:
    """The texts before an action, some of which may be to be scored.

    A text is scored as a choice among nothing else: in one request, from the first token that is to
    be scored up to the action.

    :param base: the ids before the action's first decided one; None where they are not known.
    :ivar requests: what is to be asked for their scores: one request, or none.
    """

    def __init__(
        self,
        client: BackendClient,
        context: Context,
        footing: ContextTokens,
        base: Sequence[int] | None,
    ) -> None:
        self._why = footing.doubt
        if base is None:
            self._texts = [TokenizedText(one.node, (), 0, one.evaluate) for one in context.pending]
        else:
            self._texts = settle(client, context, base)
        starts = [text.start for text in self._texts if text.evaluate and text.tokens]
        self._wanted = bool(starts) or base is None
        self._tail = (footing.ids or ())[min(starts) :] if starts else ()
        self.requests: list[ChoiceRequest] = []
        if not starts or footing.doubt:
            return
        tail = client.detokenize(self._tail).decode("utf-8", errors="replace")
        before = _without(context.said or (), tail)
        if before is None:
            self._why = "the backend scores no special tokens, and no parts of characters"
        else:
            self.requests = [ChoiceRequest(Prompt(before), (tail,))]

    def scored(self, answers: Sequence[ChoiceScores]) -> tuple[TextScores, str]:
        """The texts with their tokens and scores, and why these are not exact.

        :param answers: to `requests`.
        """
        nothing = tuple((text, ()) for text in self._texts)
        if not answers:
            return nothing, self._why if self._wanted else ""
        (result,) = answers
        (score,) = result.scores
        # The end of what comes before may have been spelled anew, and scored with it.
        logprobs = score.token_logprobs[-len(self._tail) :]
        reason = "" if result.exact else result.reason or INEXACT
        if score.tokens[-len(self._tail) :] != self._tail or len(logprobs) != len(self._tail):
            return nothing, reason or "the backend did not score the tokens of the text"
        first = min(text.start for text in self._texts if text.evaluate and text.tokens)
        found = []
        for text in self._texts:
            begin = text.start - first
            values = logprobs[begin : begin + len(text.tokens)] if text.evaluate else ()
            found.append((text, tuple(min(0.0, value) for value in values)))
        return tuple(found), reason


def _without(pieces: Sequence[TextPiece], tail: str) -> tuple[TextPiece, ...] | None:
    """Pieces without the text that they end with; None if that is not what they end with."""
    kept = list(pieces)
    rest = len(tail)
    if not "".join(piece.text for piece in kept).endswith(tail):
        return None
    while rest > 0:
        last = kept.pop()
        if len(last.text) > rest:
            kept.append(replace(last, text=last.text[:-rest]))
        rest -= len(last.text)
    return tuple(kept)


def _as_text(text: str) -> PendingText:
    return PendingText((TextPiece(text),))
