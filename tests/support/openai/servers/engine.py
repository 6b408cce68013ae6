"""The model of every protocol server: the `random` backend, with constrained generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from autocog_core import Model, Prompt, TextPiece, TokenPiece
from autocog_core.backends.random import RandomLM

Row = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling:
    """How to generate.

    :ivar grammar: a grammar of llguidance that the whole text has to follow.
    :ivar hidden: tokens of the budget that go to reasoning, of which nothing is seen.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed: frozenset[int] | None = None
    grammar: str | None = None
    ignore_eos: bool = False
    hidden: int = 0


@dataclass(frozen=True)
class Step:
    """A generated token.

    :ivar row: the model's own log-probabilities there.
    :ivar processed: those that it was drawn from: after biases, masks and temperature.
    """

    token: int
    row: Row
    processed: Row

    @property
    def logprob(self) -> float:
        """That of the token."""
        return float(self.row[self.token])

    def top(self, count: int) -> list[int]:
        """Return the `count` most likely tokens in order; all tokens for -1."""
        order = np.argsort(-self.row, kind="stable")
        return [int(token) for token in (order if count < 0 else order[:count])]


@dataclass(frozen=True)
class Generation:
    """One completion.

    :ivar steps: its tokens, with the one that ended it (EOS, or the last of a stop string).
    :ivar raw: the bytes of its text, without the stop string.
    :ivar stop: the stop string that ended it.
    """

    steps: list[Step]
    raw: bytes
    finish: Literal["stop", "eos", "length"]
    stop: str | None = None

    @property
    def text(self) -> str:
        """`raw` as text; bytes that are no UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")

    @property
    def tokens(self) -> list[int]:
        """The ids of all steps."""
        return [step.token for step in self.steps]


class PrefixCache:
    """A trie of all token sequences seen."""

    def __init__(self) -> None:
        self._root: dict[int, dict[int, object]] = {}

    def shared(self, tokens: Sequence[int]) -> int:
        """How many tokens `tokens` begins with that a sequence seen before begins with too."""
        node: dict[int, dict[int, object]] = self._root
        for count, token in enumerate(tokens):
            if token not in node:
                return count
            node = node[token]  # type: ignore[assignment]
        return len(tokens)

    def add(self, tokens: Sequence[int]) -> None:
        """Remember `tokens`."""
        node: dict[int, dict[int, object]] = self._root
        for token in tokens:
            node = node.setdefault(token, {})  # type: ignore[assignment]


class Engine:
    """A model, and an account of what it had to evaluate.

    :param seed: picks the model.
    :param vocabulary: "bytes", or "merges" of them.
    :param bos: whether sequences begin with a BOS token.
    :param delay: seconds before each answer, so that requests overlap.
    :param processed_logprobs: whether log-probabilities are those after biases, masks and
        temperature, as with vLLM's `--logprobs-mode processed_logprobs`.
    :ivar model: answers `greedy(ids)` exactly as the servers do.
    :ivar evaluated: prompt tokens that were not in the prefix cache.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        vocabulary: Literal["bytes", "merges"] = "bytes",
        scale: float = 2.0,
        bos: bool = True,
        context_length: int = 2048,
        delay: float = 0.0,
        processed_logprobs: bool = False,
    ) -> None:
        options: dict[str, Any] = {
            "seed": seed,
            "vocabulary": vocabulary,
            "scale": scale,
            "bos": bos,
        }
        # Not by `load`, which looks through all that is installed each time.
        self.model: Model = RandomLM(**options, context_length=context_length).as_model()
        self.context_length = context_length
        self.delay = delay
        self.processed_logprobs = processed_logprobs
        self.cache = PrefixCache()
        self.evaluated = 0

    @cached_property
    def size(self) -> int:
        """V: how many tokens there are."""
        return self.model.info.vocabulary_size

    @cached_property
    def surfaces(self) -> dict[int, str]:
        """What special tokens are called, by id."""
        return {token.id: token.text for token in self.model.info.special_tokens}

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes of every token; special tokens have none."""
        return [self.model.detokenize_bytes([token]) for token in range(self.size)]

    @cached_property
    def guide(self) -> LLTokenizer:
        """The vocabulary, for masks of grammars."""
        return LLTokenizer(_Vocabulary(self), eos_token=list(self.model.info.eos))  # type: ignore[arg-type]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Ids of trusted text: special tokens in it are parsed, and BOS comes first."""
        tokens = self.model.tokenize(text, parse_special=True)
        bos = self.model.info.bos
        return [bos, *tokens] if add_special_tokens and bos is not None else tokens

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of `tokens`."""
        raw = b""
        for token in tokens:
            named = "" if skip_special_tokens else self.surfaces.get(token, "")
            raw += self.pieces[token] + named.encode()
        return raw.decode("utf-8", errors="replace")

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        generation_prompt: bool = True,
        open_last: bool = False,
        gap: str = " ",
    ) -> list[int]:
        """Ids of messages in the model's chat template.

        :param open_last: the last message, the assistant's, is left open, to be continued.
        :param gap: what stands before its text: the template's blank, or nothing where a server
            puts the text right after the generation prompt.
        """
        if not open_last:
            prompt = self.model.chat_prompt(messages, add_generation_prompt=generation_prompt)
            return self.model.encode(prompt)
        *before, last = messages
        opening: tuple[TextPiece | TokenPiece, ...] = (TextPiece("assistant:", trusted=True),)
        if before:
            opening = self.model.chat_prompt(before).pieces
        return self.model.encode(Prompt((*opening, TextPiece(gap + last["content"]))))

    def begin(self, prompt: Sequence[int], cached_to: int | None = None) -> int:
        """Evaluate a prompt; returns how many of its tokens the prefix cache held.

        :param cached_to: how much of the prompt the cache may serve; by default all but the last
            token, whose log-probabilities are wanted.
        """
        limit = len(prompt) - 1 if cached_to is None else min(cached_to, len(prompt) - 1)
        cached = max(0, min(limit, self.cache.shared(prompt)))
        self.evaluated += len(prompt) - cached
        self.cache.add(prompt)
        return cached

    def rows(self, tokens: Sequence[int], start: int = 1) -> Iterator[tuple[int, Row]]:
        """Every token from position `start` on, with the row in which it was to be found."""
        for position in range(max(1, start), len(tokens)):
            yield tokens[position], self.model.greedy(tokens[:position])

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> list[Generation]:
        """`sampling.n` completions of `prompt`."""
        seeds = [None if sampling.seed is None else [sampling.seed, i] for i in range(sampling.n)]
        return [self._one(prompt, sampling, np.random.default_rng(seed)) for seed in seeds]

    def _one(
        self, prompt: Sequence[int], sampling: Sampling, generator: np.random.Generator
    ) -> Generation:
        tokens, raw = list(prompt), b""
        steps: list[Step] = []
        budget = sampling.max_tokens - sampling.hidden
        matcher = None
        if sampling.grammar is not None:
            matcher = LLMatcher(self.guide, sampling.grammar)
        while len(steps) < budget:
            row = self.model.greedy(tokens)
            processed = self._processed(row, sampling, matcher)
            token = _pick(processed, sampling, generator)
            steps.append(Step(token, processed if self.processed_logprobs else row, processed))
            tokens.append(token)
            if matcher is not None:
                matcher.consume_token(token)
            if token in self.model.info.eos and not sampling.ignore_eos:
                self.cache.add(tokens)
                return Generation(steps, raw, "eos")
            raw += self.pieces[token]
            found = [(raw.find(stop.encode()), stop) for stop in sampling.stop]
            ended = min((each for each in found if each[0] >= 0), default=None)
            if ended is not None:
                self.cache.add(tokens)
                return Generation(steps, raw[: ended[0]], "stop", ended[1])
        self.cache.add(tokens)
        return Generation(steps, raw, "length")

    def _processed(self, row: Row, sampling: Sampling, matcher: LLMatcher | None) -> Row:
        scores = row.astype(np.float64)
        for token, bias in sampling.logit_bias.items():
            scores[token] += bias
        if sampling.allowed is not None:
            scores[[t for t in range(self.size) if t not in sampling.allowed]] = -np.inf
        if matcher is not None:
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            scores[np.unpackbits(bits, bitorder="little")[: self.size] == 0] = -np.inf
        # Temperature 0 is greedy, on the distribution as it is.
        scores = (scores - scores.max()) / (sampling.temperature or 1.0)
        processed: Row = (scores - np.log(np.exp(scores).sum())).astype(np.float32)
        return processed


class _Vocabulary:
    """An engine's vocabulary, as llguidance reads it."""

    is_tokenizer_wrapper = True

    def __init__(self, engine: Engine) -> None:
        info = engine.model.info
        self.eos_token_id = info.eos[0]
        self.bos_token_id = info.bos
        self.special_token_ids = list(engine.surfaces)
        self.tokens = [
            engine.surfaces[token].encode() if token in engine.surfaces else raw
            for token, raw in enumerate(engine.pieces)
        ]
        self._engine = engine

    def __call__(self, raw: bytes) -> list[int]:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        return self._engine.model.tokenize(text)


def _pick(row: Row, sampling: Sampling, generator: np.random.Generator) -> int:
    if sampling.temperature == 0:
        return int(np.argmax(row))
    order = np.argsort(-row, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    weights = np.exp(row[order].astype(np.float64))
    shares = weights / weights.sum()
    least = sampling.min_p * shares[0]
    kept_by = (np.cumsum(shares) - shares < sampling.top_p) & (shares >= least)
    keep = max(1, int(np.count_nonzero(kept_by)))
    kept = shares[:keep] / shares[:keep].sum()
    return int(order[generator.choice(keep, p=kept)])
