"""A backend under test: its models, and the texts that the laws give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from autocog_core.errors import ContextOverflowError
from autocog_core.lazy import lazy
from autocog_core.model.model import Model
from autocog_core.testing.comparison import is_refused, logprob_distance
from autocog_core.testing.law_errors import Capability, NotApplicableError
from autocog_core.testing.raw_answers import RawAnswers
from autocog_core.testing.texts import BUILT_IN_TEXTS, CHOICES, PROMPTS, TRICKY_TEXTS
from autocog_core.types.choice import ChoiceScore
from autocog_core.types.token_tree import TreeQuery

#: Computes the log-probability of each token of a text; see `BackendUnderTest.reference`.
Reference = Callable[[str], Sequence[float]]

#: In a shorter context, prompts and choices may each fill at most half of it.
MIN_FULL_CONTEXT = 128
#: Room for the tokens that a law adds to a prompt.
SPARE_TOKENS = 8

#: The hooks that provide each capability; one of them is enough.
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
    """The backend that laws check.

    :param make: returns a backend, or a `Model` of one; a new one of the same kind on every call.
    :param reference: computes log-probabilities in another way than the backend: one for each token
        of `model.encode(text)` but the first, each given the tokens before it. None: no reference.
    :param prompts: prompts for the model. Built-in ones are omitted if the vocabulary cannot
        express them, and all if they do not fit a short context.
    :param choices: choices for the model; texts are omitted as for `prompts`.
    :param tricky_texts: texts that detokenization must restore.
    :param max_context: laws do not fill a context of more tokens.
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
        self.max_context = max_context
        self._make = make
        self._prompts = tuple(prompts)
        self._choices = tuple(choices)
        self._tricky_texts = tuple(tricky_texts)
        self._new_models: list[Model] = []
        self._largest_difference: float | None = None

    @lazy
    def model(self) -> Model:
        """The model that most laws use."""
        return self._make_model()

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

    def prompts_out_of_order(self) -> list[str]:
        """Return the prompts in an order that is neither ascending nor descending in length.

        An engine may sort a batch by length. With this order, a missing sort back is visible.
        """
        return [*self.prompts[1:], self.prompts[0]]

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
        """Return how many tokens may follow a prompt, at most `limit`."""
        context = self.model.info.context_length
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
        model = self._make_model()
        self._new_models.append(model)
        return model

    def _make_model(self) -> Model:
        backend = self._make()
        return backend if isinstance(backend, Model) else Model(backend)

    def offers(self, capability: Capability) -> bool:
        """Return whether the backend has a hook for a capability, or one that core builds it on."""
        return not self.missing([capability])

    def missing(self, capabilities: Sequence[Capability]) -> list[Capability]:
        """Return the capabilities that the backend does not offer."""
        hooks = set(self.model.capabilities)
        return [capability for capability in capabilities if not _HOOKS[capability] & hooks]

    @property
    def tolerance(self) -> float:
        """The allowed difference between two ways to compute a log-probability, in nats."""
        return self.model.info.tolerance

    def is_tolerable(self, difference: float, tokens: int = 1) -> bool:
        """Return whether two computations may differ so much, and note the difference.

        :param difference: the difference of the log-probabilities, in nats.
        :param tokens: of how many tokens; each may differ by the tolerance.
        """
        per_token = difference / max(1, tokens)
        self._largest_difference = max(per_token, self._largest_difference or 0.0)
        return per_token <= self.tolerance

    def are_tolerable(self, expected: Sequence[float], got: Sequence[float]) -> bool:
        """Return whether the log-probabilities of tokens agree, and note the largest difference."""
        if len(expected) != len(got):
            return False
        differences = map(logprob_distance, expected, got)
        return self.is_tolerable(max(differences, default=0.0))

    def agree_on_choices(self, expected: Sequence[ChoiceScore], got: Sequence[ChoiceScore]) -> bool:
        """Return whether two results have the same scores, and note the largest difference."""
        if len(expected) != len(got):
            return False
        agree = True
        for first, second in zip(expected, got, strict=True):
            difference = logprob_distance(first.logprob, second.logprob)
            agree &= self.is_tolerable(difference, len(first.tokens))
        return agree

    def take_largest_difference(self) -> float | None:
        """Return the largest noted difference since the last call, in nats a token."""
        largest, self._largest_difference = self._largest_difference, None
        return largest

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
        if "model" in self.__dict__:
            self.model.close()
