"""llama-server, llama.cpp's own: exact, through its native routes.

Its `n_probs` lists the likeliest tokens before any sampling, up to the whole vocabulary, but such a
listing is megabytes long. The token that is sampled is always told with its log-probability before
biases, though; so a bias that makes a token certain gives that token's number in a short answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core import Completion, CompletionRequest
from autocog_core.toolkit import CompletionBuilder, reject_unknown_options
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import ConnectionFailedError, MalformedAnswerError, malformed
from autocog_openai.connection.scorer import Heard, Wanted, clean, merged, token_id
from autocog_openai.connection.server_capabilities import Facts

#: Rather this many short answers than one listing of the whole vocabulary.
FEW = 12
#: Listed beside a named token: many alternatives are likelier than this rank.
SMALL = 16
#: A bias so large that nothing else can be sampled.
CERTAIN = 1000.0
#: How near the number of a forced token must be to that which a listing tells.
CERTAIN_WITHIN = 0.05
#: Of so many special tokens it is tried whether they end a text: some models reserve thousands.
MOST_SPECIAL = 512
#: Tokens that are written at once where a stop may end them: one is evaluated anew for each.
PORTION = 16
#: Tokens, their log-probabilities, and how many tokens were evaluated for them.
Taken = tuple[Sequence[int], Sequence[float], int]
EXTRA = ("repeat_penalty", "presence_penalty", "frequency_penalty", "grammar", "typical_p")


class LlamaServer:
    """Scores and writes through one llama-server.

    :param facts: with `vocabulary_size` and `eos`.
    """

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self._facts = facts
        assert facts.vocabulary_size is not None
        self._size = facts.vocabulary_size
        surfaces = facts.surfaces or ()
        self._plain = next((token for token, text in enumerate(surfaces) if text.isalpha()), 0)

    def plan(self, wanted: Wanted, heard: Heard) -> Sequence[Wanted]:
        """At first a short listing that names a token, then the others one by one, or all."""
        tokens, named = wanted.tokens, wanted.named
        whole = all(map(self._whole, named)) and self._facts.steering
        if wanted.top < 0 or not whole or (heard.logprobs and len(named) > FEW):
            return [Wanted(tokens, (), -1)]
        if not heard.logprobs:
            return [Wanted(tokens, named[:1], max(wanted.top, SMALL if len(named) > 1 else 1))]
        singly = [Wanted(tokens, (token,), 1) for token in named]
        return [*singly, Wanted(tokens, (), wanted.top)] if wanted.top else singly

    def ask(self, wanted: Wanted) -> Heard:
        """One token, forced where one is named, and the likeliest beside it."""
        count = self._size if wanted.top < 0 else max(1, wanted.top)
        body: dict[str, Any] = {
            "prompt": list(wanted.tokens),
            "n_predict": 1,
            "n_probs": count,
            "temperature": 0.0,
            "cache_prompt": True,
        }
        if self._facts.steering:
            # Any token whose text is whole will do where only the listing counts.
            forced = wanted.named[0] if wanted.named else self._plain
            body["logit_bias"] = [[forced, CERTAIN]]
        answer = self._connection.post("/completion", body)
        try:
            entry = answer["completion_probabilities"][0]
            listing = entry["top_logprobs"]
            # A listing may begin with the sampled token.
            found = {self._id(each): clean(each["logprob"]) for each in (*listing, entry)}
            evaluated = answer["timings"]["prompt_n"]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed(self._connection.where, error) from error
        if wanted.named and entry["id"] != wanted.named[0]:
            raise MalformedAnswerError(
                f"token {wanted.named[0]} was made certain, but {entry['id']} came",
                where=self._connection.where,
                hint="give reprobe = true, so that it is found out anew what the server does",
                retryable=True,
            )
        whole = len(found) >= self._size
        if wanted.top < 0 and not whole:
            raise malformed(self._connection.where, f"it lists {len(found)} of {self._size} tokens")
        # The forced token may be far down: it does not count among the likeliest.
        return Heard(found, -1 if whole else len(listing), int(evaluated))

    def write(self, request: CompletionRequest, prompt: Sequence[int]) -> Completion:
        """Token by token, so that stops match on bytes wherever tokens begin or end."""
        reject_unknown_options(request.extra, EXTRA, self._connection.where)
        numbers = list(range(request.n))
        first, *others = self._connection.gather(
            lambda number: self._sample(request, prompt, number), numbers
        )
        evaluated = (first.tokens_evaluated or 0) + sum(
            other.tokens_evaluated or 0 for other in others
        )
        return Completion(
            first.text,
            first.tokens,
            first.logprobs,
            first.finish_reason,
            first.stop_string,
            tuple(others),
            evaluated,
        )

    def _sample(self, request: CompletionRequest, prompt: Sequence[int], number: int) -> Completion:
        growing = CompletionBuilder(request, self._bytes, self._facts.eos, number)
        evaluated = 0
        parts = self._streamed if request.on_text is not None and number == 0 else self._in_portions
        for tokens, logprobs, count in parts(request, prompt, growing, number):
            evaluated += count
            for token, logprob in zip(tokens, logprobs, strict=True):
                if not growing.is_done:
                    growing.append(token, logprob)
            if growing.is_done:
                break
        done = growing.completion()
        return replace(done, tokens_evaluated=(evaluated or len(prompt)) + len(done.tokens))

    def _in_portions(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        growing: CompletionBuilder,
        number: int,
    ) -> Iterator[Taken]:
        """All at once, or, where a stop may come, so many that few are written in vain."""
        portion = PORTION if request.stop else request.max_tokens
        while not growing.is_done:
            before = [*prompt, *growing.tokens]
            length = min(portion, request.max_tokens - len(growing.tokens))
            body = self._body(request, before, length, number, len(growing.tokens))
            answer = self._connection.post("/completion", {**body, "return_tokens": True})
            try:
                tokens = [self._id({"id": token}) for token in answer["tokens"]]
                found = self._told(answer)
                count = int(answer["timings"]["prompt_n"])
                ended = answer.get("stop_type") == "eos"
            except (KeyError, TypeError, ValueError) as error:
                raise malformed(self._connection.where, error) from error
            yield tokens, self._aligned(before, tokens, found), count
            if not growing.is_done and ended:
                yield self._end([*prompt, *growing.tokens])
            elif not tokens:
                raise malformed(self._connection.where, "it wrote nothing")

    def _streamed(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        growing: CompletionBuilder,
        number: int,
    ) -> Iterator[Taken]:
        """Token by token, as they are written."""
        body = self._body(request, prompt, request.max_tokens, number, 0)
        with self._connection.stream("/completion", {**body, "stream": True}) as events:
            try:
                for event in events:
                    before = [*prompt, *growing.tokens]
                    found = self._told(event)
                    tokens = [token for token, _ in found]
                    if found and int(event["tokens_predicted"]) > len(growing.tokens) + len(found):
                        # Tokens that held a part of a character each: told only by their text.
                        tokens = tokenize(self._connection, str(event["content"]))
                        if tokens[-1:] != [found[-1][0]]:
                            raise malformed(self._connection.where, "it hides tokens")
                    if found:
                        yield tokens, self._aligned(before, tokens, found), 0
                    if event.get("stop_type") == "eos" and not growing.is_done:
                        yield self._end([*prompt, *growing.tokens])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise malformed(self._connection.where, error) from error
        if not growing.is_done:
            raise ConnectionFailedError(
                "the stream ended before the text did", where=self._connection.where, retryable=True
            )

    def _told(self, answer: Mapping[str, Any]) -> list[tuple[int, float]]:
        """The tokens of an answer, with their log-probabilities."""
        entries = answer.get("completion_probabilities") or ()
        return [(self._id(entry), clean(entry["logprob"])) for entry in entries]

    def _id(self, entry: Mapping[str, Any]) -> int:
        token = token_id(entry["id"])
        if token >= self._size:
            raise ValueError(f"token {token} is outside the vocabulary")
        return token

    def _body(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        length: int,
        number: int,
        written: int,
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": list(prompt),
            "n_predict": length,
            "n_probs": 1,
            "temperature": request.temperature,
            "top_k": request.top_k,
            "top_p": request.top_p,
            "min_p": request.min_p,
            "cache_prompt": True,
            **request.extra,
        }
        if request.seed is not None:
            # Other random numbers for each alternative, and for each portion.
            body["seed"] = (request.seed + number + written * 7919) % 2**32
        return body

    def _aligned(
        self, before: Sequence[int], tokens: Sequence[int], told: Sequence[tuple[int, float]]
    ) -> list[float]:
        """A log-probability for every token: of parts of characters the server tells none."""
        left = list(reversed(told))
        found: list[float] = []
        for place, token in enumerate(tokens):
            if left and left[-1][0] == token and len(left) <= len(tokens) - place:
                found.append(left.pop()[1])
                continue
            position = Wanted((*before, *tokens[:place]), (token,))
            heard = Heard()
            while token not in heard.logprobs and heard.listed != -1:
                for wanted in self.plan(position, heard):
                    heard = merged(heard, self.ask(wanted))
            found.append(heard.logprobs[token])
        return found

    def _end(self, before: Sequence[int]) -> Taken:
        """The server says that an end was sampled, but not with which token and how likely."""
        if not self._facts.eos:
            raise malformed(self._connection.where, "it ended a text by a token that is not known")
        ends = {token: self._aligned(before, [token], [])[0] for token in self._facts.eos}
        token = max(ends, key=lambda each: ends[each])
        return [token], [ends[token]], 0

    def _whole(self, token: int) -> bool:
        """Whether it may be forced: of one that ends amid a character the server tells nothing."""
        try:
            self._bytes([token]).decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def _bytes(self, tokens: Sequence[int]) -> bytes:
        assert self._facts.surfaces is not None
        return b"".join(self._facts.surfaces[token].encode("latin-1") for token in tokens)


def find_out(connection: Connection, model: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What this llama-server offers; the texts and bytes of all tokens with it."""
    properties = connection.get("/props")
    start = tokenize(connection, "a")
    body = {"prompt": start, "n_predict": 1, "temperature": 0.0}
    size = int(entry["meta"]["n_vocab"])
    answer = connection.post("/completion", {**body, "n_probs": size})
    listing = answer["completion_probabilities"][0]["top_logprobs"]
    surfaces = [""] * size
    logprobs = {}
    for each in listing:
        surfaces[each["id"]] = bytes(each["bytes"]).decode("latin-1")
        logprobs[each["id"]] = each["logprob"]
    special = _special(connection, [token for token in range(size) if not surfaces[token]])
    ids = dict(special)
    with_start = tokenize(connection, "a", add_special=True)
    bos = ids.get(properties.get("bos_token", ""))
    eos = ids.get(properties.get("eos_token", ""))
    forced = listing[min(len(listing) - 1, 1000)]["id"]
    steered = connection.post(
        "/completion", {**body, "n_probs": 1, "logit_bias": [[forced, CERTAIN]]}
    )["completion_probabilities"][0]
    steering = (
        steered["id"] == forced and abs(steered["logprob"] - logprobs[forced]) < CERTAIN_WITHIN
    )
    ends = _ends(connection, body, [token for _, token in special]) if steering else []
    return {
        "version": str(properties.get("build_info", "")),
        "vocabulary_size": size,
        "context_length": int(properties["default_generation_settings"]["n_ctx"]),
        "bos": bos,
        "adds_bos": bos is not None and with_start[:1] == [bos],
        "blank_first": surfaces[start[0]].startswith(" "),
        "eos": (*([eos] if eos is not None else []), *(each for each in ends if each != eos)),
        "special": tuple(special),
        "surfaces": tuple(surfaces),
        "tokenize": "llama-server",
        "completions": True,
        "token_ids": True,
        "named": True,
        "listed": -1 if len(listing) == size else len(listing),
        "chat": True,
        "chat_listed": 20,
        "prefill": True,
        "steering": steering,
        "structured": True,
        "chat_template": bool(properties.get("chat_template")),
        "slots": int(properties.get("total_slots") or 1),
    }


def tokenize(
    connection: Connection, text: str, *, add_special: bool = False, parse_special: bool = False
) -> list[int]:
    """The ids that the server makes of a text."""
    answer = connection.post(
        "/tokenize",
        {"content": text, "add_special": add_special, "parse_special": parse_special},
    )
    return list(map(int, answer["tokens"]))


def _ends(connection: Connection, body: Mapping[str, Any], tokens: Sequence[int]) -> list[int]:
    """Those among special tokens that end a text: each is forced, and the server says so."""

    def ends(token: int) -> bool:
        answer = connection.post(
            "/completion", {**body, "n_probs": 1, "logit_bias": [[token, CERTAIN]]}
        )
        return bool(answer.get("stop_type") == "eos")

    tried = list(tokens[:MOST_SPECIAL])
    found = connection.gather(ends, tried)
    return [token for token, end in zip(tried, found, strict=True) if end]


def _special(connection: Connection, tokens: Sequence[int]) -> list[tuple[str, int]]:
    """The texts of tokens that stand for no bytes, where these texts give back the token."""

    def look(token: int) -> tuple[str, int] | None:
        text = connection.post("/detokenize", {"tokens": [token]})["content"]
        right = text and tokenize(connection, text, parse_special=True) == [token]
        return (text, token) if right else None

    return [found for found in connection.gather(look, list(tokens)) if found is not None]
