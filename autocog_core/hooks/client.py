"""Typed calls of hooks, with checks of the answers.

Core's own hooks use the client too, so wrappers see the inner calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.hooks import answer_checks, choice_token_checks, result_checks, top_checks
from autocog_core.hooks.constraint_checks import require_usable, with_checked_texts
from autocog_core.hooks.engine_calls import EngineCalls
from autocog_core.numerics import mask_logsumexp
from autocog_core.types.backend_info import Usage
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt, check_template_arguments
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.types.top_choices import TopChoices

#: Of so many first rows of a model, core checks that the probabilities sum to 1.
CHECKED_ROW_SUMS = 8
#: And of each row of this number: an engine may change later, as when it falls back to a device.
CHECKED_ROW_INTERVAL = 64


class BackendClient(EngineCalls):
    """Typed calls of the hooks of one model.

    :ivar is_watched: whether a wrapper must see every evaluation of the engine.
    :ivar template_arguments: the model's own variables of its chat template.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_watched = False
        self.template_arguments: Mapping[str, Any] = {}
        self._token_bytes: dict[int, bytes] = {}
        self._token_sizes = np.zeros(0, dtype=np.int64)
        self._checked_vocabulary: Sequence[bytes] | None = None
        self._row_count = 0

    def tokenize(
        self, texts: Sequence[str], *, at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS; see `specs.tokenize`."""
        ids: list[list[int]] = self._call(
            "tokenize",
            lambda: self._hooks.tokenize(
                texts=texts, at_start=at_start, parse_special=parse_special
            ),
        )
        size = self.info.vocabulary_size
        self.check("tokenize", answer_checks.check_tokenize, ids, len(texts), size)
        return ids

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of the tokens."""
        text: bytes = self._call("detokenize", lambda: self._hooks.detokenize(tokens=tokens))
        if type(text) is not bytes:
            self.check("detokenize", answer_checks.check_detokenize, text)
        return text

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token. They are constant, so the client stores them."""
        text = self._token_bytes.get(token)
        if text is None:
            text = self._token_bytes[token] = self.detokenize([token])
        return text

    def token_size(self, token: int) -> int:
        """Return the number of bytes of a token."""
        text = self._token_bytes.get(token)
        return len(self.token_bytes(token) if text is None else text)

    def token_sizes(self, tokens: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the number of bytes of each token: int64, in the shape of `tokens`."""
        sizes = self._token_sizes
        if tokens.size and tokens.max() >= len(sizes):
            # -1: not known yet. Threads may compute the same sizes twice.
            size = max(int(tokens.max()) + 1, self.info.vocabulary_size)
            sizes = np.full(size, -1, dtype=np.int64)
            sizes[: len(self._token_sizes)] = self._token_sizes
            self._token_sizes = sizes
        found = sizes[tokens]
        if found.size and found.min() < 0:
            known = self._checked_vocabulary
            for token in np.unique(tokens[found < 0]).tolist():
                sizes[token] = len(known[token] if known else self.token_bytes(token))
            found = sizes[tokens]
        return found

    def greedy(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token after `tokens`: float32 (V,)."""
        row: NDArray[np.float32] = self._engine_call(
            "greedy_impl", lambda: self._hooks.greedy_impl(tokens=tokens)
        )
        size = self.info.vocabulary_size
        count = self._row_count
        self._row_count = count + 1
        if count < CHECKED_ROW_SUMS or count % CHECKED_ROW_INTERVAL == 0:
            check_row = partial(answer_checks.check_row, with_sum=True)
            self.check("greedy_impl", check_row, row, size, len(tokens))
        else:
            self.check("greedy_impl", answer_checks.check_row, row, size, len(tokens))
        return row

    def greedy_tree(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the scores of several token trees, one answer for each query."""
        if not queries:
            return []
        hook = "greedy_tree_impl"
        answers: list[TreeScores] = self._engine_call(
            hook, lambda: self._hooks.greedy_tree_impl(queries=queries)
        )
        # Core's own answer comes from rows that were checked.
        if not self._plugins.only_core_answers(hook):
            self.check(hook, answer_checks.check_trees, answers, queries, self.info)
        return self._with_mask_logprobs(queries, answers)

    def _with_mask_logprobs(
        self, queries: Sequence[TreeQuery], answers: list[TreeScores]
    ) -> list[TreeScores]:
        """Compute the probabilities of masks for a backend that does not, from whole rows."""
        missing = [
            index
            for index, (query, answer) in enumerate(zip(queries, answers, strict=True))
            if query.with_mask_logprobs and answer.mask_logprobs is None
        ]
        if not missing:
            return answers
        size = self.info.vocabulary_size
        rows = [replace(queries[i], top_k=size, with_mask_logprobs=False) for i in missing]
        answers = list(answers)
        for index, row in zip(missing, self.greedy_tree(rows), strict=True):
            answer = answers[index]
            answers[index] = replace(
                answer,
                tokens_evaluated=answer.tokens_evaluated + row.tokens_evaluated,
                mask_logprobs=np.array([mask_logsumexp(top, None) for top in row.top_logprobs]),
            )
        return answers

    def complete(self, request: CompletionRequest) -> Completion:
        """Continue a prompt. Once a piece of text was streamed, errors are not retried."""
        has_streamed = False
        callback_errors: list[BaseException] = []
        on_text = request.on_text

        def note_text(piece: str) -> None:
            nonlocal has_streamed
            has_streamed = True
            try:
                on_text(piece)  # type: ignore[misc]
            except BaseException as error:
                callback_errors.append(error)
                raise

        if on_text is not None:
            request = replace(request, on_text=note_text)
        constraint = request.constraint
        hook = self._hooks.complete
        if not self.backend_serves(request):
            constraint, hook = None, self._manager.subset_hook_caller("complete", [self._backend])
        elif constraint is not None:
            require_usable(constraint)
        completion: Completion = self._engine_call(
            "complete",
            lambda: hook(request=request),
            may_retry=lambda: not has_streamed,
            callers_errors=callback_errors,
        )
        if callback_errors:
            # The backend has ignored it.
            raise callback_errors[0]
        needs_eos = "greedy_impl" in self.capabilities or "greedy_tree_impl" in self.capabilities
        check = partial(result_checks.check_completion, needs_eos=needs_eos)
        self.check("complete", check, completion, request, self.info)
        if constraint is None:
            return completion
        return with_checked_texts(completion, constraint, self.info.name)

    def backend_serves(self, request: CompletionRequest) -> bool:
        """Return whether the backend's own `complete` serves the request's constraint."""
        constraint = request.constraint
        return (
            constraint is None
            or constraint.kind in self.info.constraints
            # A recording also has the texts that core wrote.
            or getattr(self._backend, "replays_constrained_texts", False)
        )

    def has_masks(self) -> bool:
        """Return whether core can serve constraints: by token distributions and a vocabulary."""
        hooks = self.capabilities
        return "vocabulary" in hooks and ("greedy_impl" in hooks or "greedy_tree_impl" in hooks)

    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        """Return the scores of a request's choices."""
        scores: ChoiceScores = self._call("choose", lambda: self._hooks.choose(request=request))
        self._check_choices(scores, request)
        return scores

    def choose_top(self, request: ChoiceRequest) -> ChoiceScores | TopChoices:
        """Return the best choices of a request with `top`, or the scores of all its choices."""
        answer: ChoiceScores | TopChoices = self._call(
            "choose", lambda: self._hooks.choose(request=request)
        )
        self._check_choices(answer, request)
        return answer

    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        """Return the scores of several requests by one call of the backend's `choose_many`.

        :returns: the scores; None if the backend has no such call for them, or a wrapper must see
            a `choose` for each.
        """
        hook = "choose_many"
        if hook not in self.capabilities or not self._plugins.all_have("choose", hook):
            return None
        # In a tuple, because None is an answer.
        answered: tuple[list[ChoiceScores] | None] = self._call(
            hook, lambda: (self._hooks.choose_many(requests=requests),)
        )
        (answers,) = answered
        if answers is not None:
            self.check(hook, result_checks.check_count, answers, len(requests))
            for scores, request in zip(answers, requests, strict=True):
                self._check_choices(scores, request)
        return answers

    def _check_choices(self, answer: ChoiceScores | TopChoices, request: ChoiceRequest) -> None:
        # Core's own scores follow from answers that were checked.
        if self._plugins.only_core_answers("choose"):
            return
        is_top = request.top is not None and isinstance(answer, TopChoices)
        check_answer = top_checks.check_top_choices if is_top else result_checks.check_scores
        self.check("choose", check_answer, answer, request, self.info)
        if answer.exact:
            has_tokenizer = {"tokenize", "detokenize"} <= set(self.capabilities)
            token_bytes = self.token_bytes if has_tokenizer else None
            check_tokens = choice_token_checks.check_choice_tokens
            eos, respell = self.info.eos, self._respell
            self.check("choose", check_tokens, answer, request, eos, token_bytes, respell)

    def _respell(self, text: str) -> bytes:
        """Return what the tokenizer makes of a text."""
        (tokens,) = self.tokenize([text], at_start=False)
        return self.detokenize(tokens)

    def vocabulary(self) -> Sequence[bytes]:
        """Return the bytes of every token, in the order of ids."""
        vocabulary: Sequence[bytes] = self._call("vocabulary", lambda: self._hooks.vocabulary())
        if vocabulary is not self._checked_vocabulary:
            check, size = answer_checks.check_vocabulary, self.info.vocabulary_size
            self.check("vocabulary", check, vocabulary, size)
            self._checked_vocabulary = vocabulary
        return vocabulary

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Return the prompt that the model's chat template makes of messages.

        :param template_arguments: variables of the template, which override the model's own.
        :raises InputError: for variables that are wrong.
        :raises CapabilityError: if the backend passes no variables to the template.
        """
        if template_arguments is not None:
            check_template_arguments(template_arguments)
        arguments = {**self.template_arguments, **(template_arguments or {})}
        if arguments:
            self._require_parameter("chat_prompt", "template_arguments")
        prompt: Prompt = self._call(
            "chat_prompt",
            lambda: self._hooks.chat_prompt(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                template_arguments=arguments,
            ),
        )
        self.check("chat_prompt", answer_checks.check_chat_prompt, prompt)
        return prompt

    def usage(self) -> Usage | None:
        """Return the engine's requests and tokens so far; None if it does not count them."""
        usage: Usage | None = self.call_unlocked("usage", lambda: self._hooks.usage())
        if usage is not None:
            self.check("usage", answer_checks.check_usage, usage)
        return usage
