"""Log-probabilities from llama-server.

`n_probs` lists the most likely tokens before sampling, up to the whole vocabulary. Such a listing
has several megabytes. But the server also returns the log-probability of the sampled token, before
biases. A bias that makes a token certain therefore gives its log-probability in a short answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_count,
    as_list,
    as_logprob,
    as_object,
    as_token_id,
    first_item,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest, score_token
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.listed_tokens import check_equal_logprobs, require_distribution

#: More named tokens than this are read from a listing of the whole vocabulary.
MAX_FORCED_TOKENS = 12
#: Length of the listing beside the first forced token. It often contains the other named tokens.
SHORT_LISTING = 16
#: A bias that makes a token certain.
FORCING_BIAS = 1000.0
#: How far from 1 the probabilities of all tokens may sum to: the server rounds each of them.
MAX_TOTAL_ERROR = 0.01


class LlamaServerScorer:
    """Scores positions by forced tokens and listings.

    :param capabilities: with `vocabulary_size` and `vocabulary`.
    """

    def __init__(self, connection: Connection, capabilities: ServerCapabilities) -> None:
        self._connection = connection
        self._can_force = capabilities.logit_bias
        assert capabilities.vocabulary_size is not None
        assert capabilities.vocabulary is not None
        self._size = capabilities.vocabulary_size
        self._vocabulary = capabilities.vocabulary
        self._letter = next(
            (token for token, text in enumerate(self._vocabulary) if text.isalpha()), 0
        )

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Request a short listing first, then single tokens, or a listing of the vocabulary."""
        tokens, named_ids, top_k = request.tokens, request.named_ids, request.top_k
        can_force = self._can_force and all(map(self._ends_on_character, named_ids))
        has_too_many = bool(answer.logprobs) and len(named_ids) > MAX_FORCED_TOKENS
        if top_k < 0 or not can_force or has_too_many:
            return [PositionRequest(tokens=tokens, top_k=-1)]
        if not answer.logprobs:
            listing = max(top_k, SHORT_LISTING if len(named_ids) > 1 else 1)
            return [PositionRequest(tokens=tokens, named_ids=named_ids[:1], top_k=listing)]
        requests = [
            PositionRequest(tokens=tokens, named_ids=(token,), top_k=1) for token in named_ids
        ]
        if top_k:
            requests.append(PositionRequest(tokens=tokens, top_k=top_k))
        return requests

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Let the server write one token, forced if one is named, and list the most likely."""
        body: dict[str, Any] = {
            "prompt": list(request.tokens),
            "n_predict": 1,
            "n_probs": self._size if request.top_k < 0 else max(1, request.top_k),
            "temperature": 0.0,
            "cache_prompt": True,
        }
        if self._can_force:
            # Without a named token, the listing counts and any complete character will do.
            forced = request.named_ids[0] if request.named_ids else self._letter
            body["logit_bias"] = [[forced, FORCING_BIAS]]
        answer = self._connection.post("/completion", body)
        with reading(self._connection.where):
            sampled = first_item(answer, "completion_probabilities")
            listing = self._read_entries(required(sampled, "top_logprobs", as_list))
            require_distribution(listing)
            written_logprob = self._read_entries([sampled])
            check_equal_logprobs(written_logprob, listing)
            logprobs = {**listing, **written_logprob}
            evaluated = required(required(answer, "timings", as_object), "prompt_n", as_count)
            written = self.parse_id(sampled)
            if request.named_ids and written != request.named_ids[0]:
                raise FieldError(
                    f"the server wrote token {written} instead of the forced token "
                    f"{request.named_ids[0]}"
                )
            if request.named_ids and written not in logprobs:
                raise FieldError("the forced token has no log-probability")
            is_complete = len(logprobs) >= self._size
            if request.top_k < 0:
                if not is_complete:
                    raise FieldError(f"it lists {len(logprobs)} of {self._size} tokens")
                total = math.fsum(map(math.exp, logprobs.values()))
                if abs(total - 1) > MAX_TOTAL_ERROR:
                    raise FieldError(f"the probabilities of all tokens sum to {total:.3g}")
        # The forced token may be unlikely: it does not count for `top_k`.
        return PositionAnswer(
            logprobs=logprobs,
            top_k=-1 if is_complete else len(listing),
            tokens_evaluated=evaluated,
        )

    def score_token(self, tokens: Sequence[int], token: int) -> float:
        """Return the log-probability of one token after `tokens`."""
        return score_token(self, tokens, token)

    def parse_id(self, entry: Any) -> int:
        """Return the id of an entry.

        :raises FieldError: if there is none, or it is outside of the vocabulary.
        """
        return self.check_id(required(entry, "id", as_token_id))

    def check_id(self, token: int) -> int:
        """Return a token id.

        :raises FieldError: if it is outside of the vocabulary.
        """
        if token >= self._size:
            raise FieldError(f"token {token} is outside of the vocabulary")
        return token

    def _read_entries(self, entries: Sequence[Any]) -> dict[int, float]:
        """Return the log-probabilities of entries that have one, by id."""
        logprobs = ((self.parse_id(e), required(e, "logprob", as_logprob)) for e in entries)
        return {token: logprob for token, logprob in logprobs if logprob is not None}

    def bytes_of(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of tokens."""
        return b"".join(self._vocabulary[token].encode("latin-1") for token in tokens)

    def _ends_on_character(self, token: int) -> bool:
        """Whether a token may be forced: the server hides tokens that are incomplete characters."""
        try:
            self.bytes_of([token]).decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True
