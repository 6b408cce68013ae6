"""A backend under test: its models, and the texts that the laws give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from autocog_core.errors import ContextOverflowError
from autocog_core.lazy import lazy
from autocog_core.model.model import Model
from autocog_core.testing.comparison import is_refused
from autocog_core.testing.law_errors import HOOKS, Capability, NotApplicableError
from autocog_core.testing.law_notes import LawNotes
from autocog_core.testing.raw_answers import RawAnswers
from autocog_core.testing.shared_engine import second_on_engine
from autocog_core.testing.texts import (
    BUILT_IN_TEXTS,
    CHOICES,
    PROMPTS,
    TRICKY_TEXTS,
    quick_texts,
)
from autocog_core.types.choice import ChoiceScore
from autocog_core.types.token_tree import TreeQuery

#: Computes the log-probability of each token of a text; see `BackendUnderTest.reference`.
Reference = Callable[[str], Sequence[float]]

#: In a shorter context, prompts and choices may each fill at most half of it.
MIN_FULL_CONTEXT = 128
#: A quick check does not fill a context of more tokens.
QUICK_CONTEXT = 128
#: Where the context is not filled, so many tokens are evaluated: more than 512, a common limit.
LONG_CONTEXT = 640
#: Room for the tokens that a law adds to a prompt.
SPARE_TOKENS = 8


class BackendUnderTest(LawNotes):
    """The backend that laws check.

    :param make: returns a backend, or a `Model` of one; a new one of the same kind on every call.
    :param reference: computes log-probabilities in another way than the backend: one for each token
        of `model.encode(text)` but the first, each given the tokens before it. None: no reference.
    :param prompts: prompts for the model. Built-in ones are omitted if the vocabulary cannot
        express them, and all if they do not fit a short context.
    :param choices: choices for the model; texts are omitted as for `prompts`.
    :param tricky_texts: texts that detokenization must restore.
    :param max_context: a context of more tokens is filled only if that takes little time.
    :param make_pair: returns two backends, or models, over one engine. None: a second backend of
        the class over the first one's attribute `engine`, if it has one.
    :param quick: check fewer cases, with the shortest of the built-in texts.
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
        make_pair: Callable[[], tuple[object, object]] | None = None,
        quick: bool = False,
    ) -> None:
        self.reference = reference
        self.max_context = min(max_context, QUICK_CONTEXT) if quick else max_context
        self.is_quick = quick
        self._make = make
        self._make_pair = make_pair
        if quick:
            prompts, choices, tricky_texts = quick_texts(prompts, choices, tricky_texts)
        self._prompts = tuple(prompts)
        self._choices = tuple(choices)
        self._tricky_texts = tuple(tricky_texts)
        self._new_models: list[Model] = []
        self._kept_models: list[Model] = []
        #: Whether a second model was closed, so that the next one is made after this.
        self.has_closed_model = False

    @lazy
    def model(self) -> Model:
        """The model that most laws use."""
        return _as_model(self._make())

    @lazy
    def raw(self) -> RawAnswers:
        """Answers of its hooks that core has not checked."""
        return RawAnswers(self.model)

    @lazy
    def prompts(self) -> tuple[str, ...]:
        """The prompts for the model, shortest first.

        :raises NotApplicableError: if there is none.
        """
        return self._usable_texts("prompts", self._prompts, at_start=True)

    @lazy
    def choices(self) -> tuple[str, ...]:
        """The choices for the model.

        :raises NotApplicableError: if there are fewer than two.
        """
        return self._usable_texts("choices", self._choices, at_start=False)

    @lazy
    def tricky_texts(self) -> tuple[str, ...]:
        """Texts for the tokenizer; the prompts if the vocabulary can express no tricky text.

        :raises NotApplicableError: if there are no prompts either.
        """
        return self._tokenizable(self._tricky_texts) or self.prompts

    def encoded_prompts(self) -> Iterator[tuple[str, list[int]]]:
        """Yield every prompt with its token ids.

        :raises NotApplicableError: if the ids do not fit the context.
        """
        for prompt in self.prompts:
            yield prompt, self.encode_prompt(prompt)

    def can_tokenize(self, text: str) -> bool:
        """Return whether the vocabulary can express a text; a tokenizer refuses other texts.

        Some tokenizers need a blank before a word unless it begins a sequence, others refuse it.
        """
        if not self.offers("tokens"):
            return True
        try:
            return not all(
                is_refused(lambda at_start=at_start: self.model.tokenize(text, at_start=at_start))  # type: ignore[misc]
                for at_start in (True, False)
            )
        except Exception:  # noqa: BLE001 - not a refusal but a bug, which a law reports
            return True

    def require_tokenizable(self, *texts: str) -> None:
        """Check that the vocabulary can express texts that a law builds.

        :raises NotApplicableError: naming a text that it cannot express.
        """
        for text in texts:
            if not self.can_tokenize(text):
                raise NotApplicableError(f"the vocabulary cannot express {text!r}")

    def free_tokens(self, limit: int) -> int:
        """Return how many tokens may follow a prompt: at most `limit`, fewer in a quick check."""
        limit, context = self.count(limit), self.model.info.context_length
        return limit if context is None else max(1, min(limit, context // 2))

    def _tokenizable(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            text for text in texts if text not in BUILT_IN_TEXTS or self.can_tokenize(text)
        )

    def _usable_texts(
        self, kind: str, texts: tuple[str, ...], *, at_start: bool
    ) -> tuple[str, ...]:
        """Return the texts that the vocabulary can express and that fit half of a short context."""
        # BOS precedes a prompt. A suffix and healed tokens of the prompt are scored with a choice.
        other_tokens, min_texts = (1, 1) if at_start else (4, 2)
        tokenizable = self._tokenizable(texts)
        if len(tokenizable) < min_texts:
            raise NotApplicableError(
                f"the vocabulary cannot express the built-in {kind}: give your own {kind}"
            )
        context = self.model.info.context_length
        if context is None or context >= MIN_FULL_CONTEXT or not self.offers("tokens"):
            return tokenizable
        max_tokens = context // 2 - other_tokens
        short = tuple(
            text
            for text in tokenizable
            if len(self.model.tokenize(text, at_start=at_start)) <= max_tokens
        )
        if len(short) < min_texts:
            raise NotApplicableError(f"a context of {context} tokens is too short for the {kind}")
        return short

    def new_model(self) -> Model:
        """Return another model of the same kind, which is closed after the law's check."""
        model = _as_model(self._make())
        self._new_models.append(model)
        return model

    @lazy
    def second_model(self) -> Model:
        """Another model of the same kind, for laws that change nothing in it."""
        return _as_model(self._make())

    def take_second_model(self) -> Model:
        """Return `second_model` to a law that closes it; the next one will be new."""
        model = self.second_model
        del self.__dict__["second_model"]
        self._new_models.append(model)
        self.has_closed_model = True
        return model

    def model_to_close(self) -> Model:
        """Return another model to a law that closes it: a new one, but not in a quick check.

        Loading takes most of a quick check's time.
        """
        return self.take_second_model() if self.is_quick else self.new_model()

    def models_of_one_engine(self) -> tuple[Model, Model]:
        """Return two models over one engine.

        :raises NotApplicableError: if the backend does not show how to make them.
        """
        if self.is_quick:
            # This loads nothing. Both stay open: some backends close an engine with any model.
            with suppress(NotApplicableError):
                second = second_on_engine(self.second_model)
                self._kept_models.append(second)
                return self.second_model, second
        if self._make_pair is not None:
            first, second = map(_as_model, self._make_pair())
        else:
            first = _as_model(self._make())
            second = second_on_engine(first)
        self._new_models += [first, second]
        return first, second

    def count(self, cases: int) -> int:
        """Return how many of some cases to check: all, or a quarter in a quick check."""
        return max(1, cases // 4) if self.is_quick else cases

    def offers(self, capability: Capability) -> bool:
        """Return whether the backend has a hook for a capability, or one that core builds it on."""
        return not self.missing([capability])

    def missing(self, capabilities: Sequence[Capability]) -> list[Capability]:
        """Return the capabilities that the backend does not offer."""
        hooks = set(self.model.capabilities)
        return [capability for capability in capabilities if not HOOKS[capability] & hooks]

    @property
    def tolerance(self) -> float:
        """The allowed difference between two ways to compute a log-probability, in nats."""
        return self.model.info.tolerance

    def logprob(self, tokens: Sequence[int], token: int) -> float:
        """Return the log-probability of `token` after `tokens`, from a separate call."""
        if self.offers("rows"):
            return float(self.model.greedy(list(tokens))[token])
        node, root = np.array([token], dtype=np.int32), np.array([-1], dtype=np.int32)
        query = TreeQuery(prefix=list(tokens), tokens=node, parents=root)
        (scores,) = self.model.client.greedy_tree([query])
        return float(scores.values[0])

    def choice_scores(self, prompt: str, model: Model | None = None) -> tuple[ChoiceScore, ...]:
        """Return the scores of the choices after a prompt."""
        return (model or self.model).choose(prompt, self.choices).scores

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt.

        :raises NotApplicableError: if they do not fit the context.
        """
        context = self.model.info.context_length
        try:
            tokens = self.model.encode(text)
        except ContextOverflowError:
            tokens = None
        if tokens is None or (context is not None and len(tokens) + SPARE_TOKENS > context):
            raise NotApplicableError(f"a context of {context} tokens is too short for this law")
        return tokens

    def fillable_context(self) -> int:
        """Return the declared context length.

        :raises NotApplicableError: if none is declared, or it exceeds `max_context`.
        """
        context = self.model.info.context_length
        if context is None:
            raise NotApplicableError("no context length is declared")
        if context > self.max_context:
            raise NotApplicableError(f"a context of {context} tokens is too long to fill here")
        return context

    def long_context(self) -> int:
        """Return the declared context length, or a length that is quick to evaluate.

        Without a declared length, or with one above `max_context`, `LONG_CONTEXT` tokens at most
        are evaluated: enough to find most limits that an engine has and does not declare.
        """
        context = self.model.info.context_length
        if context is None or context > self.max_context:
            return min(self.max_context, LONG_CONTEXT)
        return context

    def sequence_of_length(self, length: int) -> list[int]:
        """Return a sequence of `length` token ids."""
        tokens = self.model.encode(self.prompts[-1])
        while len(tokens) < length:
            tokens += tokens[1:] or tokens
        return tokens[:length]

    def prompt_token_ids(self) -> list[int]:
        """Return the different ids of all prompts, sorted; some servers report no vocabulary."""
        return sorted({token for prompt in self.prompts for token in self.model.encode(prompt)})

    def normalize(self, text: str) -> str:
        """Return a text in the Unicode form of the tokenizer, if it declares one."""
        form = self.model.info.unicode_normalization
        return unicodedata.normalize(form, text) if form else text

    def close_new_models(self) -> None:
        """Close all models of `new_model`, which may each hold an engine."""
        for model in self._new_models:
            model.close()
        self._new_models.clear()

    def close(self) -> None:
        """Close all models."""
        self.close_new_models()
        for model in self._kept_models:
            model.close()
        for name in ("model", "second_model"):
            if name in self.__dict__:
                self.__dict__[name].close()


def _as_model(backend: object) -> Model:
    return backend if isinstance(backend, Model) else Model(backend)
