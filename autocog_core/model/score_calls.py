"""The public calls that score given texts."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.errors import InputError
from autocog_core.model.calls import GreedyCalls
from autocog_core.scoring.score_texts import TextRequest, score_texts
from autocog_core.types.prompt import Prompt, PromptLike
from autocog_core.types.text_score import PairScore, TextScore


class ScoreCalls(GreedyCalls):
    """Calls of models that score given texts."""

    def score(
        self,
        text: str,
        context: PromptLike = "",
        *,
        words: bool = False,
        window: int | None = None,
        stride: int | None = None,
    ) -> TextScore:
        """Return the log-probability of a text, and of each of its tokens.

        A text that is longer than the model's context is evaluated in windows that overlap.

        :param text: the text.
        :param context: what stands before it, which is not scored.
        :param words: whether to give the surprisal of each word, too.
        :param window: maximum number of tokens to evaluate together; None for the model's context.
        :param stride: number of tokens that each window after the first scores; None for half a
            window. A smaller one gives each token more context, and takes longer.
        :raises InputError: for an empty text, invalid text, or a window or stride out of range.
        :raises ContextOverflowError: if `context` fills the window.
        :raises CapabilityError: if the backend has no log-probabilities, or, for words, no
            vocabulary.
        """
        return self.score_many([text], context, words=words, window=window, stride=stride)[0]

    def score_many(
        self,
        texts: Sequence[str],
        context: PromptLike = "",
        *,
        words: bool = False,
        window: int | None = None,
        stride: int | None = None,
    ) -> list[TextScore]:
        """Return the scores of several texts after one context, in the order of the texts.

        The engine receives them together, so that it can evaluate once what they share at their
        beginning. The arguments and errors are those of `score`.

        :param texts: the texts.
        :param context: what stands before each of them.
        """
        if isinstance(texts, str):
            raise InputError("got a string", where="texts", hint="give a list of strings")
        prompt = Prompt.of(context)
        requests = [
            TextRequest(context=prompt, text=text, where=f"text {index}")
            for index, text in enumerate(texts)
        ]
        client = self._call_context().client
        return score_texts(client, requests, words=words, window=window, stride=stride)

    def score_pairs(
        self, pairs: Sequence[tuple[str, str]], context: PromptLike = "", *, words: bool = False
    ) -> list[PairScore]:
        """Return the scores of pairs of texts, such as minimal pairs, in their order.

        :param pairs: the pairs.
        :param context: what stands before each text.
        :param words: whether to give the surprisal of each word, too.
        :raises InputError: for anything but pairs of texts.
        :raises CapabilityError: as `score`.
        """
        texts: list[str] = []
        for index, pair in enumerate(pairs):
            if isinstance(pair, str) or len(pair) != 2:
                raise InputError("is no pair of texts", where=f"pair {index}")
            texts += pair
        scores = self.score_many(texts, context, words=words)
        return [
            PairScore(first=first, second=second)
            for first, second in zip(scores[::2], scores[1::2], strict=True)
        ]
