"""One model on one server: the implementation of the backend's hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import (
    BackendInfo,
    CapabilityError,
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    Message,
    Prompt,
    TokenPiece,
    TopChoices,
    TreeQuery,
    TreeScores,
)
from autocog_core.scoring import check_sequence, encode_prompt
from autocog_core.toolkit import BackendClient, lazy, redact
from autocog_openai.choice.methods import ChoiceMethods
from autocog_openai.choice.tree_queries import score_trees
from autocog_openai.connection.errors import malformed_answer_error
from autocog_openai.connection.fingerprint import compute_fingerprint
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.scorer import MAX_VOCABULARY_SIZE, PositionRequest
from autocog_openai.model.server_model import ServerModel
from autocog_openai.model.writing import create_route
from autocog_openai.routes.messages import has_messages, prompt_of
from autocog_openai.routes.writer import Writer
from autocog_openai.servers.dialect import NativeWriter
from autocog_openai.tokenizers.behavior import require_rows
from autocog_openai.tokenizers.load import (
    TiktokenTokenizer,
    tokenize_continuation,
    tokenize_if_possible,
)

#: How much two log-probabilities of one token may differ: it depends on the server's batches.
TOLERANCE = 0.25
#: Why log-probabilities under a constraint are not exact: whether they are known to be masked.
MASKED = {
    True: "the server's log-probabilities of a constrained text are those after its mask",
    False: "the server's log-probabilities of a constrained text may be those after its mask",
}


class Engine(ServerModel):
    """A model on a server.

    :param client: returns the client that calls this model's hooks, for tokenization.
    """

    def __init__(self, options: OpenAIOptions, client: Callable[[], BackendClient]) -> None:
        super().__init__(options)
        self._client = client

    @lazy
    def _tree_slots(self) -> threading.BoundedSemaphore:
        """Limits parallel calls: more than the server's slots would evict cached prefixes."""
        return threading.BoundedSemaphore(self._parallel_requests)

    @property
    def _parallel_requests(self) -> int:
        """How many requests the server processes at the same time."""
        limit = self.options.max_concurrency
        return min(limit, self.capabilities.parallel_slots or limit)

    @lazy
    def info(self) -> BackendInfo:
        """The model's description."""
        capabilities, options = self.capabilities, self.options
        eos, size = capabilities.eos, capabilities.vocabulary_size
        if options.tokenizer is not None or not capabilities.tokenizer_route:
            tokenizer = self.tokenizer_or_none
            size = size or (tokenizer.size if tokenizer is not None else None)
            if isinstance(tokenizer, TiktokenTokenizer) and not eos:
                end = tokenizer.special.get("<|endoftext|>")
                eos = (end,) if end is not None else ()
        sends_ids = self.api == "completions" and capabilities.token_ids
        return BackendInfo(
            name=f"{capabilities.server}: {capabilities.model}",
            vocabulary_size=size or MAX_VOCABULARY_SIZE,
            context_length=options.context_length or self._context_length,
            bos=capabilities.bos,
            adds_bos=capabilities.adds_bos and sends_ids,
            eos=eos,
            special_tokens=capabilities.special_tokens,
            restarts_after_special_tokens=capabilities.restarts_after_special_tokens,
            splits_at_word_boundaries=capabilities.splits_at_word_boundaries,
            unicode_normalization=capabilities.unicode_normalization,
            isolates=capabilities.isolates,
            tolerance=TOLERANCE if capabilities.tolerance is None else capabilities.tolerance,
            max_concurrency=options.max_concurrency,
            nodes_per_step=self._parallel_requests if self.dialect.evaluates_in_parallel else 1,
            retries_itself=True,
            capabilities=self._hooks(),
            constraints=tuple(capabilities.constraint_forms),
            details={
                "base_url": redact(self.connection.base_url),
                "api": self.api,
                **capabilities.to_report(),
            },
            compute_fingerprint=lambda: compute_fingerprint(
                options, self.connection.base_url, self.api, capabilities
            ),
        )

    @property
    def _context_length(self) -> int | None:
        length = self.capabilities.context_length
        needs_space = self.scorer is not None and self.dialect.scorer_writes_token
        return length - 1 if length is not None and needs_space else length

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the ids of several texts."""
        tokenizer, adds_space = self.tokenizer, self.capabilities.adds_leading_space

        def tokenize_text(text: str) -> list[int]:
            if not text:
                return []
            if not at_start and not parse_special and adds_space:
                tokens = tokenize_continuation(tokenizer, text)
            else:
                tokens = tokenizer.tokenize(text, parse_special=parse_special)
            require_rows(tokens, self.capabilities.vocabulary_size, text)
            return tokens

        return self.connection.map_concurrently(tokenize_text, list(texts))

    def vocabulary(self) -> list[bytes] | None:
        """Return the bytes of every token; None if they are unknown."""
        if self.capabilities.vocabulary is not None:
            return [token.encode("latin-1") for token in self.capabilities.vocabulary]
        tokenizer = self.tokenizer_or_none
        if self.options.tokenizer is None or tokenizer is None or tokenizer.size is None:
            return None
        return [tokenizer.token_bytes(token) for token in range(tokenizer.size)]

    def next_logprobs(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        """Return the distribution after `tokens`; None if the server does not list all tokens.

        :returns: float32 (V,), log-probabilities by token id.
        :raises MalformedAnswerError: if the server does not return all of them.
        """
        if self.scorer is None or "greedy_impl" not in self._hooks():
            return None
        answer = self.scorer.request(PositionRequest(tokens=tuple(map(int, tokens)), top_k=-1))
        size = self.info.vocabulary_size
        if answer.logprobs.keys() != set(range(size)):
            raise malformed_answer_error(
                self.connection.where,
                f"it lists {len(answer.logprobs)} tokens of a vocabulary of {size}",
            )
        logprobs = np.empty(size, dtype=np.float32)
        logprobs[list(answer.logprobs)] = list(answer.logprobs.values())
        return logprobs

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        """Return exact scores of trees; None if the server returns no named tokens."""
        if self.scorer is None:
            return None
        with self._tree_slots:
            scores = self.dialect.score_trees(queries)
            if scores is not None:
                return scores
            return score_trees(self.connection, self.scorer, queries, self.info.vocabulary_size)

    def choose(self, request: ChoiceRequest) -> ChoiceScores | TopChoices | None:
        """Return the scores of a choice; None if core scores it by token trees."""
        return ChoiceMethods(self).choose(self._client(), request)

    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        """Return the scores of several choices; None if each is requested by itself."""
        return ChoiceMethods(self).choose_many(requests)

    def complete(self, request: CompletionRequest) -> Completion | None:
        """Return the completion of a prompt; None if core writes it by token distributions."""
        if not self._writes:
            raise CapabilityError(
                "the model decides between choices, and writes no text",
                where=self.connection.where,
                hint="use choose",
            )
        if request.constraint is not None and request.stop:
            # A server allows nothing after a constrained text, so that it never stops there.
            if {"greedy_impl", "vocabulary"} <= set(self._hooks()):
                return None
            raise CapabilityError(
                "a server ends a constrained text by its constraint, and not at stop strings",
                where=self.connection.where,
                hint="leave stop out, or use a model with token distributions",
            )
        if self._native_writer is not None:
            tokens = self._encode(request.prompt, request.max_tokens)
            completion = self._native_writer.write(request, tokens)
        else:
            if self.scorer is not None and not self.dialect.scorer_writes_token:
                # The server's other limits come first, and would not say that it does not fit.
                self._encode(request.prompt, request.max_tokens)
            completion = self._writer.write(request)
        is_masked = (
            request.constraint is not None and self.capabilities.constrained_logprobs != "own"
        )
        if (
            self.scorer is not None
            and self.dialect.returns_sampling_logprobs
            and (request.temperature not in (0.0, 1.0) or is_masked)
        ):
            return self._rescore(request.prompt, completion)
        return self._with_mask_reason(completion) if is_masked else completion

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        """Return messages as a prompt for the routes in use.

        :param template_arguments: variables of the chat template, if the server applies it.
        :raises CapabilityError: if the completions route is in use and the server does not apply
            the chat template; and for `template_arguments` on a route that has none.
        """
        if template_arguments and (
            self.api == "responses" or not self.dialect.takes_template_arguments
        ):
            raise CapabilityError(
                "the server takes no variables of chat templates",
                where="template_arguments",
                hint="leave them out",
            )
        if self.api != "completions":
            return prompt_of(messages, add_generation_prompt, template_arguments)
        prompt = self.dialect.chat_prompt(
            messages, add_generation_prompt, self.capabilities, template_arguments
        )
        if prompt is None:
            raise CapabilityError(
                "the server does not apply the model's chat template",
                where=self.connection.where,
                hint='set api = "chat", or give a prompt instead of messages',
            )
        return prompt

    def _with_mask_reason(self, completion: Completion) -> Completion:
        """Return a completion that says why its log-probabilities are not the model's own."""
        if completion.logprobs is None:
            return completion
        return replace(
            completion,
            reason=MASKED[self.capabilities.constrained_logprobs == "masked"],
            alternatives=tuple(map(self._with_mask_reason, completion.alternatives)),
        )

    def _rescore(self, prompt: Prompt, completion: Completion) -> Completion:
        """Return a completion with log-probabilities before the temperature."""
        ids = self._encode(prompt, 0)
        first, *others = (
            replace(
                alternative,
                logprobs=self.dialect.rescore(ids, alternative.tokens)
                if alternative.tokens
                else alternative.logprobs,
                alternatives=(),
            )
            for alternative in (completion, *completion.alternatives)
        )
        return replace(first, alternatives=tuple(others))

    @lazy
    def _native_writer(self) -> NativeWriter | None:
        if self.scorer is None:
            return None
        return self.dialect.native_writer(self.capabilities)

    @lazy
    def _writer(self) -> Writer:
        route = create_route(
            self.dialect,
            self.capabilities,
            messages=self.messages,
            send_prompt=self._prompt_to_send,
            token_bytes=lambda token: self.tokenizer.token_bytes(token),
        )
        refused = self.capabilities.refused_parameters
        return Writer(self.connection, route, self._id_of, refused)

    @property
    def _writes(self) -> bool:
        return self.api != "responses" or self.capabilities.responses

    def _hooks(self) -> tuple[str, ...]:
        """Return the names of the available hooks."""
        capabilities = self.capabilities
        hooks = ["choose", "choose_many", "describe", "usage", "close"]
        if self._writes:
            hooks.append("complete")
        if self.tokenizer_or_none is not None:
            hooks += ["tokenize", "detokenize"]
        # If EOS is unknown, an automaton that writes token by token would not stop.
        if self.scorer is not None and capabilities.eos:
            hooks.append("greedy_tree_impl")
            lists_all = capabilities.max_top_logprobs == -1
            if lists_all and capabilities.vocabulary_size is not None:
                hooks.append("greedy_impl")
        if capabilities.vocabulary is not None or self.options.tokenizer is not None:
            hooks.append("vocabulary")
        if self.api != "completions" or capabilities.chat_template:
            hooks.append("chat_prompt")
        return tuple(sorted(hooks))

    def _prompt_to_send(self, prompt: Prompt) -> list[int] | str:
        """Return what the completions route receives: ids if it accepts them, else text."""
        if self.capabilities.token_ids:
            return self._encode(prompt, 0)
        if has_messages(prompt):
            raise CapabilityError(
                "the completions route does not accept messages",
                where=self.connection.where,
                hint='set api = "chat"',
            )
        parts = [
            self.detokenize(piece.tokens).decode("utf-8", errors="replace")
            if isinstance(piece, TokenPiece)
            else piece.text
            for piece in prompt.pieces
        ]
        return "".join(parts)

    def _encode(self, prompt: Prompt, max_tokens: int) -> list[int]:
        """Return the ids of a prompt.

        :raises ContextOverflowError: if `max_tokens` more do not fit the context.
        """
        tokens = encode_prompt(self._client(), prompt)
        check_sequence(tokens, self.info, new_tokens=max_tokens)
        return tokens

    def _id_of(self, raw: bytes) -> int | None:
        if self.tokenizer_or_none is None:
            return None
        try:
            ids = tokenize_if_possible(self.tokenizer_or_none, raw.decode("utf-8"))
        except UnicodeDecodeError:
            return None
        return ids[0] if len(ids) == 1 else None
