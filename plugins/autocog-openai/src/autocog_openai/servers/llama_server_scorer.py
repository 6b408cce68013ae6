"""Log-probabilities from llama-server.

`n_probs` lists the most likely tokens before sampling, up to the whole vocabulary. Such a listing
has several megabytes. But the server also returns the log-probability of the sampled token, before
biases. A bias that makes a token certain therefore gives its log-probability in a short answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import MalformedAnswerError, malformed_answer_error
from autocog_openai.connection.scorer import (
    PositionAnswer,
    PositionRequest,
    merge_answers,
    normalize_logprob,
    parse_token_id,
)
from autocog_openai.connection.server_capabilities import ServerCapabilities

#: More named tokens than this are read from a listing of the whole vocabulary.
MAX_FORCED_TOKENS = 12
#: Length of the listing beside the first forced token. It often contains the other named tokens.
SHORT_LISTING = 16
#: A bias that makes a token certain.
FORCING_BIAS = 1000.0


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
        try:
            sampled = answer["completion_probabilities"][0]
            listing = sampled["top_logprobs"]
            # The listing may begin with the sampled token.
            logprobs = {
                self.parse_id(entry): normalize_logprob(entry["logprob"])
                for entry in (*listing, sampled)
            }
            evaluated = int(answer["timings"]["prompt_n"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed_answer_error(self._connection.where, error) from error
        if request.named_ids and sampled["id"] != request.named_ids[0]:
            raise MalformedAnswerError(
                f"the server wrote token {sampled['id']} instead of the forced token "
                f"{request.named_ids[0]}",
                where=self._connection.where,
                hint="set reprobe = true: the server may have changed",
                retryable=True,
            )
        is_complete = len(logprobs) >= self._size
        if request.top_k < 0 and not is_complete:
            message = f"it lists {len(logprobs)} of {self._size} tokens"
            raise malformed_answer_error(self._connection.where, message)
        # The forced token may be unlikely: it does not count for `top_k`.
        return PositionAnswer(
            logprobs=logprobs,
            top_k=-1 if is_complete else len(listing),
            tokens_evaluated=evaluated,
        )

    def score_token(self, tokens: Sequence[int], token: int) -> float:
        """Return the log-probability of one token after `tokens`."""
        position = PositionRequest(tokens=tuple(tokens), named_ids=(token,))
        answer = PositionAnswer()
        while token not in answer.logprobs and answer.top_k != -1:
            for request in self.plan(position, answer):
                answer = merge_answers(answer, self.request(request))
        return answer.logprobs[token]

    def parse_id(self, entry: Mapping[str, Any]) -> int:
        """Return the id of an entry.

        :raises ValueError: if it is outside of the vocabulary.
        """
        token = parse_token_id(entry["id"])
        if token >= self._size:
            raise ValueError(f"token {token} is outside of the vocabulary")
        return token

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
