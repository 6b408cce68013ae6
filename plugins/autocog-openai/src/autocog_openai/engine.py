"""One model on one server: which of its ways is taken for what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

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
    TreeQuery,
    TreeScores,
)
from autocog_core.scoring import check_sequence, encode
from autocog_core.toolkit import BackendClient, lazy, redact, render_chat_prompt
from autocog_openai.choice.methods import Choosing
from autocog_openai.connection import fingerprint
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.scorer import UNKNOWN_SIZE, Wanted, token_id
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.routes.generate import GenerateRoute
from autocog_openai.routes.responses import ResponsesRoute
from autocog_openai.routes.writer import Route, Writer
from autocog_openai.servers.llama_server import LlamaServer
from autocog_openai.servers.messages import prompt_of, without_marks
from autocog_openai.servers.server_model import ServerModel
from autocog_openai.servers.sglang import SglangScorer, rescored
from autocog_openai.servers.tree_queries import score_trees
from autocog_openai.tokenizers.load import TiktokenTokenizer, continuing

#: How far two ways of asking a server for one number may differ: it batches as it likes.
TOLERANCE = 0.25


class Engine(ServerModel):
    """A model on a server, which is looked at when it is first needed.

    :param caller: tokenizes through the model, for choices that are laid out as trees.
    """

    def __init__(self, options: OpenAIOptions, client: Callable[[], BackendClient]) -> None:
        super().__init__(options)
        self._client = client

    @lazy
    def _trees(self) -> threading.BoundedSemaphore:
        """Calls at work: more than the server keeps prefixes would push out one another's."""
        most = self.options.max_concurrency
        return threading.BoundedSemaphore(min(most, self.facts.slots or most))

    @lazy
    def info(self) -> BackendInfo:
        """What it says of itself."""
        facts = self.facts
        options = self.options
        special, eos = facts.special_tokens, facts.eos
        size = facts.vocabulary_size
        if options.tokenizer is not None or not facts.tokenize:
            tokenizer = self.known_tokenizer
            size = size or (tokenizer.size if tokenizer is not None else None)
            if isinstance(tokenizer, TiktokenTokenizer) and not eos:
                end = tokenizer.special.get("<|endoftext|>")
                eos = (end,) if end is not None else ()
        return BackendInfo(
            name=f"{facts.server}: {facts.model}",
            vocabulary_size=size or UNKNOWN_SIZE,
            context_length=options.context_length or self._context_length,
            bos=facts.bos,
            adds_bos=facts.adds_bos and self.api == "completions" and facts.token_ids,
            eos=eos,
            special_tokens=special,
            tolerance=TOLERANCE,
            max_concurrency=options.max_concurrency,
            retries_itself=True,
            capabilities=self._capabilities(),
            details={
                "base_url": redact(self.connection.base_url),
                "api": self.api,
                **facts.for_people(),
            },
            compute_fingerprint=lambda: fingerprint.of(
                options, self.connection.base_url, self.api, facts
            ),
        )

    @property
    def _context_length(self) -> int | None:
        length = self.facts.context_length
        # Whoever looks at what may follow has the server write a token, which must fit as well.
        return length if length is None or self.scorer is None else length - 1

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Ids of several texts, all at once."""
        tokenizer = self.tokenizer

        def one(text: str) -> list[int]:
            if not at_start and self.facts.blank_first and text and not parse_special:
                return continuing(tokenizer, text)
            return tokenizer.tokenize(text, parse_special=parse_special) if text else []

        return self.connection.gather(one, list(texts))

    def vocabulary(self) -> list[bytes] | None:
        """The bytes of every token; None where the server does not tell them."""
        if self.facts.surfaces is not None:
            return [surface.encode("latin-1") for surface in self.facts.surfaces]
        tokenizer = self.known_tokenizer
        if self.options.tokenizer is None or tokenizer is None or tokenizer.size is None:
            return None
        return [tokenizer.surface(token) for token in range(tokenizer.size)]

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        """The distribution after `tokens`, where the server lists all of it."""
        if self.scorer is None or "greedy_impl" not in self._capabilities():
            return None
        heard = self.scorer.ask(Wanted(tuple(map(int, tokens)), (), -1))
        row = np.full(self.info.vocabulary_size, -np.inf, dtype=np.float32)
        row[list(heard.logprobs)] = list(heard.logprobs.values())
        return row

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        """Exact scores of trees; None where the server tells no named tokens."""
        if self.scorer is None:
            return None
        with self._trees:
            return score_trees(self.connection, self.scorer, queries, self.info.vocabulary_size)

    def choose(self, request: ChoiceRequest) -> ChoiceScores | None:
        """The best way that the server offers, or the one that is asked for; None: core's tree."""
        return Choosing(self).choose(self._client(), request)

    def complete(self, request: CompletionRequest) -> Completion:
        """Continue a prompt, or answer it."""
        if self.api == "completions" and isinstance(self.scorer, LlamaServer):
            return self.scorer.write(request, self._encoded(request.prompt, request.max_tokens))
        written = self._writer.write(request)
        if isinstance(self.scorer, SglangScorer) and request.temperature not in (0.0, 1.0):
            return self._before_temperature(request.prompt, written)
        return written

    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        """The messages as a prompt of the routes that are used."""
        if self.api != "completions":
            return prompt_of(messages, add_generation_prompt)
        if self.facts.server == "llama-server" and self.facts.chat_template:

            def render(items: list[dict[str, str]]) -> str:
                body = {"messages": items, "add_generation_prompt": add_generation_prompt}
                return str(self.connection.post("/apply-template", body)["prompt"])

            special = [token.text for token in self.facts.special_tokens]
            return render_chat_prompt(messages, render, special)
        if self.facts.server == "vllm":
            body = {
                "model": self.facts.model,
                "messages": [dict(message) for message in messages],
                "add_generation_prompt": add_generation_prompt,
                "continue_final_message": False,
            }
            answer = self.connection.post("/tokenize", body)
            try:
                return Prompt((TokenPiece(tuple(map(token_id, answer["tokens"]))),))
            except (KeyError, TypeError, ValueError) as error:
                raise malformed(self.connection.where, error) from error
        raise CapabilityError(
            "the server does not tell its chat template",
            where=self.connection.where,
            hint='give api = "chat", or a prompt instead of messages',
        )

    def _before_temperature(self, prompt: Prompt, written: Completion) -> Completion:
        """What was written, with log-probabilities as they were before the temperature."""
        ids = self._encoded(prompt, 0)
        found = [
            replace(one, logprobs=rescored(self.connection, ids, one.tokens), alternatives=())
            if one.tokens
            else replace(one, alternatives=())
            for one in (written, *written.alternatives)
        ]
        return replace(found[0], alternatives=tuple(found[1:]))

    @lazy
    def _writer(self) -> Writer:
        route: Route
        match self.api:
            case "chat":
                route = self.chat_route
            case "responses":
                route = ResponsesRoute(self.facts, self.messages)
            case _ if self.facts.server == "sglang":
                route = GenerateRoute(self.facts, self._sent, self.tokenizer.surface)
            case _:
                route = CompletionsRoute(self.facts, self._sent)
        return Writer(self.connection, route, self._id_of, self.facts.refused)

    def _capabilities(self) -> tuple[str, ...]:
        found = ["choose", "complete", "describe", "usage", "close"]
        if self.known_tokenizer is not None:
            found += ["tokenize", "detokenize"]
        # Where no end is known, automata must not write token by token: they would not stop.
        if self.scorer is not None and self.facts.eos:
            found.append("greedy_tree_impl")
            if self.facts.listed == -1 and self.facts.vocabulary_size is not None:
                found.append("greedy_impl")
        if self.facts.surfaces is not None or self.options.tokenizer is not None:
            found.append("vocabulary")
        templated = self.facts.chat_template or self.facts.server == "vllm"
        if self.api != "completions" or templated:
            found.append("chat_prompt")
        return tuple(sorted(found))

    def _sent(self, prompt: Prompt) -> list[int] | str:
        """A prompt for the completions route: ids where it takes them."""
        if self.facts.token_ids:
            return self._encoded(prompt, 0)
        if not without_marks(prompt):
            raise CapabilityError(
                "the completions route takes no messages",
                where=self.connection.where,
                hint='give api = "chat"',
            )
        parts = [
            self.detokenize(piece.tokens).decode("utf-8", errors="replace")
            if isinstance(piece, TokenPiece)
            else piece.text
            for piece in prompt.pieces
        ]
        return "".join(parts)

    def _encoded(self, prompt: Prompt, beyond: int) -> list[int]:
        tokens = encode(self._client(), prompt)
        check_sequence(tokens, self.info, beyond=beyond)
        return tokens

    def _id_of(self, raw: bytes) -> int | None:
        if self.known_tokenizer is None:
            return None
        try:
            ids = self.known_tokenizer.tokenize(raw.decode("utf-8"), parse_special=False)
        except UnicodeDecodeError:
            return None
        return ids[0] if len(ids) == 1 else None
