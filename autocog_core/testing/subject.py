"""A backend under test: a model of it, how another one is made, and what it is asked."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContextOverflowError, InputError
from autocog_core.lazy import lazy
from autocog_core.model import Model
from autocog_core.testing.law import LawBrokenError, Need, NotApplicableError
from autocog_core.testing.texts import CHOICES, HARD, PROMPTS
from autocog_core.types import TreeQuery

#: log P of each token of a text, by the author's own means; see `Subject.reference`.
Reference = Callable[[str], Sequence[float]]
Row = NDArray[np.float32]
Values = NDArray[np.floating[Any]]

_HOOKS: dict[Need, frozenset[str]] = {
    "tokens": frozenset({"tokenize"}),
    "rows": frozenset({"greedy_impl"}),
    "trees": frozenset({"greedy_tree_impl"}),
    "scores": frozenset({"greedy_impl", "greedy_tree_impl"}),
    "choices": frozenset({"choose", "greedy_impl", "greedy_tree_impl"}),
    "completions": frozenset({"complete", "greedy_impl"}),
    "vocabulary": frozenset({"vocabulary"}),
    "chat": frozenset({"chat_prompt"}),
}


class Subject:
    """What laws are checked on.

    :param make: makes a backend, or a `Model` of one; every call a new one of the same kind.
    :param reference: the log-probability of every token of `model.encode(text)` but the first, each
        given those before it, computed by other means than the backend's; None where there is none.
    :param longest: contexts of more tokens are not filled to their end.
    """

    def __init__(
        self,
        make: Callable[[], object],
        *,
        reference: Reference | None = None,
        prompts: Sequence[str] = PROMPTS,
        choices: Sequence[str] = CHOICES,
        hard: Sequence[str] = HARD,
        longest: int = 4096,
    ) -> None:
        self.reference = reference
        self.prompts, self.choices, self.hard = tuple(prompts), tuple(choices), tuple(hard)
        self.longest = longest
        self._make = make
        self._others: list[Model] = []

    @lazy
    def model(self) -> Model:
        """The one that most laws are checked on."""
        return self._made()

    def another(self) -> Model:
        """A further model of the same kind, open until the law is checked."""
        model = self._made()
        self._others.append(model)
        return model

    def _made(self) -> Model:
        made = self._make()
        return made if isinstance(made, Model) else Model(made)

    def offers(self, need: Need) -> bool:
        """Whether the backend has a hook for it, or what core makes it of."""
        return bool(_HOOKS[need] & set(self.model.capabilities))

    @property
    def tolerance(self) -> float:
        """Nats by which two ways to the same number may differ."""
        return self.model.info.tolerance

    def raw_row(self, tokens: Sequence[int]) -> Any:
        """The backend's own answer, before core has looked at it."""
        return self.model.caller.hooks.greedy_impl(tokens=list(tokens))

    def logprob(self, tokens: Sequence[int], token: int) -> float:
        """The log-probability of `token` after `tokens`, asked for by itself."""
        if self.offers("rows"):
            return float(self.model.greedy(list(tokens))[token])
        one, root = np.array([token], dtype=np.int32), np.array([-1], dtype=np.int32)
        (found,) = self.model.caller.greedy_tree([TreeQuery(list(tokens), one, root)])
        return float(found.values[0])

    def encoded(self, text: str) -> list[int]:
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

    def normalized(self, text: str) -> str:
        """A text as the tokenizer brings it into its Unicode form, where it does."""
        form = self.model.info.normalizer
        return unicodedata.normalize(form, text) if form else text

    def close_others(self) -> None:
        """Close all models but the first: they hold an engine each."""
        for model in self._others:
            model.close()
        self._others.clear()

    def close(self) -> None:
        """Close every model that was made."""
        self.close_others()
        if "model" in self.__dict__:
            self.model.close()


def difference(first: Values, second: Values) -> float:
    """The largest difference of two rows; -inf is next to -inf."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(first - second), posinf=np.inf).max())


def require_near(
    subject: Subject, expected: Values, got: Values, what: str, *, given: Any, cause: str
) -> None:
    """Two ways to the same numbers are as near as the backend's tolerance says.

    :raises LawBrokenError: with `what` and `cause`, where they are not.
    """
    far = difference(expected, got)
    if far > subject.tolerance:
        at_most = f"differences of at most {subject.tolerance:g}"
        raise LawBrokenError(what, given=given, expected=at_most, got=far, cause=cause)


def apart(first: float, second: float) -> float:
    """How far two log-probabilities are apart; -inf is next to -inf."""
    return 0.0 if first == second else abs(first - second)


def fits(model: Model, tokens: int) -> bool:
    """Whether a context has room for so many tokens."""
    limit = model.info.context_length
    return limit is None or tokens <= limit


def refused(call: Callable[[], Any]) -> bool:
    """Whether bad input is refused by an error that says so."""
    try:
        call()
    except InputError:
        return True
    return False
