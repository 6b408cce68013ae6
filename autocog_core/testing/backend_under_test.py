"""A backend under test: a model of it, how another one is made, and what it is asked."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContextOverflowError, InputError
from autocog_core.lazy import lazy
from autocog_core.model.model import Model
from autocog_core.testing.law_errors import Capability, LawViolation, NotApplicableError
from autocog_core.testing.texts import BUILT_IN_TEXTS, CHOICES, PROMPTS, TRICKY_TEXTS
from autocog_core.types.token_tree import TreeQuery

#: log P of each token of a text, by the author's own means; see `BackendUnderTest.reference`.
Reference = Callable[[str], Sequence[float]]
Row = NDArray[np.float32]
Values = NDArray[np.floating[Any]]

#: Of contexts of fewer tokens, prompts and choices fill a half each at most.
MIN_FULL_CONTEXT = 128

_HOOKS: dict[Capability, frozenset[str]] = {
    "tokens": frozenset({"tokenize"}),
    "rows": frozenset({"greedy_impl"}),
    "trees": frozenset({"greedy_tree_impl"}),
    "scores": frozenset({"greedy_impl", "greedy_tree_impl"}),
    "choices": frozenset({"choose", "greedy_impl", "greedy_tree_impl"}),
    "completions": frozenset({"complete", "greedy_impl"}),
    "vocabulary": frozenset({"vocabulary"}),
    "chat": frozenset({"chat_prompt"}),
}


class BackendUnderTest:
    """What laws are checked on.

    :param make: makes a backend, or a `Model` of one; every call a new one of the same kind.
    :param reference: the log-probability of every token of `model.encode(text)` but the first, each
        given those before it, computed by other means than the backend's; None where there is none.
    :param prompts, choices: texts that the model is asked. Of the laws' own, those that its
        vocabulary cannot write are left out; so is what a short context has no room for.
    :param tricky_texts: texts that must come back from their tokens.
    :param max_context: contexts of more tokens are not filled to their end.
    """

    def __init__(
        self,
        make: Callable[[], object],
        *,
        reference: Reference | None = None,
        prompts: Sequence[str] = PROMPTS,
        choices: Sequence[str] = CHOICES,
        tricky_texts: Sequence[str] = TRICKY_TEXTS,
        max_context: int = 4096,
    ) -> None:
        self.reference = reference
        self._prompts, self._choices, self._tricky_texts = (
            tuple(prompts),
            tuple(choices),
            tuple(tricky_texts),
        )
        self.max_context = max_context
        self._make = make
        self._new_models: list[Model] = []

    @lazy
    def model(self) -> Model:
        """The one that most laws are checked on."""
        return self._make_model()

    @lazy
    def prompts(self) -> tuple[str, ...]:
        """What the model is asked, shortest first.

        :raises NotApplicableError: if it has no prompt.
        """
        return self._usable("prompts", self._prompts, at_start=True)

    @lazy
    def choices(self) -> tuple[str, ...]:
        """What it chooses from.

        :raises NotApplicableError: if there are no two of them.
        """
        return self._usable("choices", self._choices, at_start=False)

    @lazy
    def tricky_texts(self) -> tuple[str, ...]:
        """Texts for its tokenizer; the prompts, where it can write none of the laws' own.

        :raises NotApplicableError: if there is none.
        """
        return self._tokenizable(self._tricky_texts) or self.prompts

    def can_tokenize(self, text: str) -> bool:
        """Whether the vocabulary has tokens for a text: an honest tokenizer refuses others.

        Some need a blank before a word, and others none, unless it begins a sequence.
        """
        if not self.offers("tokens"):
            return True
        try:
            return not all(
                is_refused(lambda at_start=at_start: self.model.tokenize(text, at_start=at_start))  # type: ignore[misc]
                for at_start in (True, False)
            )
        except Exception:  # noqa: BLE001 - no refusal but a mistake, which a law is to show
            return True

    def require_writable(self, *texts: str) -> None:
        """Leave off where a law's own text has no tokens.

        :raises NotApplicableError: naming the text.
        """
        for text in texts:
            if not self.can_tokenize(text):
                raise NotApplicableError(f"its vocabulary cannot write {text!r}")

    def free_tokens(self, most: int) -> int:
        """How many tokens may follow a prompt, of `most` that are wanted."""
        limit = self.model.info.context_length
        return most if limit is None else max(1, min(most, limit // 2))

    def _tokenizable(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            text for text in texts if text not in BUILT_IN_TEXTS or self.can_tokenize(text)
        )

    def _usable(self, kind: str, texts: tuple[str, ...], *, at_start: bool) -> tuple[str, ...]:
        """Those texts that can be asked: that have tokens, and room for what is beside them."""
        # BOS comes before prompts; an end, and what is healed, with choices.
        beside, least = (1, 1) if at_start else (4, 2)
        kept = self._tokenizable(texts)
        if len(kept) < least:
            raise NotApplicableError(
                f"its vocabulary cannot write the laws' own {kind}: give {kind} of yours"
            )
        limit = self.model.info.context_length
        if limit is None or limit >= MIN_FULL_CONTEXT or not self.offers("tokens"):
            return kept
        most = limit // 2 - beside
        short = [t for t in kept if len(self.model.tokenize(t, at_start=at_start)) <= most]
        if len(short) < least:
            raise NotApplicableError(f"a context of {limit} tokens is too short for its {kind}")
        return tuple(short)

    def new_model(self) -> Model:
        """A further model of the same kind, open until the law is checked."""
        model = self._make_model()
        self._new_models.append(model)
        return model

    def _make_model(self) -> Model:
        made = self._make()
        return made if isinstance(made, Model) else Model(made)

    def offers(self, need: Capability) -> bool:
        """Whether the backend has a hook for it, or what core makes it of."""
        return not self.missing([need])

    def missing(self, needs: Sequence[Capability]) -> list[Capability]:
        """Those of `needs` that it does not offer."""
        able = set(self.model.capabilities)
        return [need for need in needs if not _HOOKS[need] & able]

    @property
    def tolerance(self) -> float:
        """Nats by which two ways to the same number may differ."""
        return self.model.info.tolerance

    def raw_row(self, tokens: Sequence[int]) -> Any:
        """The backend's own answer, before core has looked at it."""
        return self.model.client.hooks.greedy_impl(tokens=list(tokens))

    def logprob(self, tokens: Sequence[int], token: int) -> float:
        """The log-probability of `token` after `tokens`, asked for by itself."""
        if self.offers("rows"):
            return float(self.model.greedy(list(tokens))[token])
        one, root = np.array([token], dtype=np.int32), np.array([-1], dtype=np.int32)
        (found,) = self.model.client.greedy_tree(
            [TreeQuery(prefix=list(tokens), tokens=one, parents=root)]
        )
        return float(found.values[0])

    def encode_prompt(self, text: str) -> list[int]:
        """The ids of a prompt.

        :raises NotApplicableError: if they do not fit the context.
        """
        limit = self.model.info.context_length
        try:
            tokens = self.model.encode(text)
        except ContextOverflowError:
            tokens = None
        if tokens is None or (limit is not None and len(tokens) + 8 > limit):
            raise NotApplicableError(f"a context of {limit} tokens is too short for it")
        return tokens

    def fillable_limit(self) -> int:
        """The declared context length.

        :raises NotApplicableError: if there is none, or more than is filled here.
        """
        limit = self.model.info.context_length
        if limit is None:
            raise NotApplicableError("no limit is declared")
        if limit > self.max_context:
            raise NotApplicableError(f"a context of {limit} tokens is too long to fill here")
        return limit

    def sequence_of_length(self, length: int) -> list[int]:
        """The ids of a sequence of so many tokens."""
        tokens = self.model.encode(self.prompts[-1])
        while len(tokens) < length:
            tokens += tokens[1:] or tokens
        return tokens[:length]

    def normalize(self, text: str) -> str:
        """A text as the tokenizer brings it into its Unicode form, where it does."""
        form = self.model.info.unicode_normalization
        return unicodedata.normalize(form, text) if form else text

    def close_new_models(self) -> None:
        """Close all models but the first: they hold an engine each."""
        for model in self._new_models:
            model.close()
        self._new_models.clear()

    def close(self) -> None:
        """Close every model that was made."""
        self.close_new_models()
        if "model" in self.__dict__:
            self.model.close()


def max_difference(first: Values, second: Values) -> float:
    """The largest difference of two rows; -inf is next to -inf."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(first - second), posinf=np.inf).max())


def require_near(
    subject: BackendUnderTest, expected: Values, got: Values, what: str, *, given: Any, cause: str
) -> None:
    """Two ways to the same numbers are as near as the backend's tolerance says.

    :raises LawViolation: with `what` and `cause`, where they are not.
    """
    far = max_difference(expected, got)
    if far > subject.tolerance:
        at_most = f"differences of at most {subject.tolerance:g}"
        raise LawViolation(what, given=given, expected=at_most, got=far, cause=cause)


def logprob_distance(first: float, second: float) -> float:
    """How far two log-probabilities are apart; -inf is next to -inf."""
    return 0.0 if first == second else abs(first - second)


def fits_context(model: Model, tokens: int) -> bool:
    """Whether a context has room for so many tokens."""
    limit = model.info.context_length
    return limit is None or tokens <= limit


def is_refused(call: Callable[[], Any]) -> bool:
    """Whether bad input is refused by an error that says so."""
    try:
        call()
    except InputError:
        return True
    return False
