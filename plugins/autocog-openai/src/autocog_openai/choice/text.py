"""Choices on a completions route that lists the most likely tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autocog_core import ChoiceRequest, ChoiceScores, TopChoices
from autocog_core.scoring import encode_choices
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.tree_positions import Position, TokenNames, TopLogprobs
from autocog_openai.choice.tree_walk import walk_choice_tree
from autocog_openai.connection.answer_fields import as_text, first_item, optional, reading
from autocog_openai.connection.scorer import MAX_VOCABULARY_SIZE
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.token_listing import (
    NOT_OF_ANSWER,
    begin_answer,
    first_listing,
    read_completion_tokens,
)
from autocog_openai.tokenizers.load import Tokenizer

#: Length of the first listing, if the server can list the whole vocabulary.
SHORT_LISTING = 20


class TextChoice:
    """Scores choices position by position. It sends ids if the server accepts them, else text."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._capabilities = model.capabilities
        self._counter = UsageCounter()
        self._problem = ""

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores | TopChoices:
        """Return the scores of the choices as continuations of the prompt."""
        shared_ids = encode_choices(client, request).shared_ids

        def get_top_logprobs(positions: Sequence[Position]) -> list[TopLogprobs]:
            return self._model.connection.map_concurrently(
                lambda position: self._top_logprobs(shared_ids, position), positions
            )

        limit = self._capabilities.max_top_logprobs
        likely = "" if limit < 0 else f"among the {limit} most likely, or not "
        scores = walk_choice_tree(
            client,
            request,
            get_top_logprobs,
            TokenNames(
                token_bytes=self._model.tokenizer.token_bytes,
                shared_bytes=self._model.tokenizer.shared_bytes,
            ),
            unlisted_reason=f"some tokens were not {likely}listed at all",
            lists_all=limit < 0,
        )
        return replace(
            scores,
            reason=self._problem or scores.reason,
            tokens_evaluated=self._counter.tokens_evaluated,
        )

    def _top_logprobs(self, shared_ids: Sequence[int], position: Position) -> TopLogprobs:
        tokens = [*shared_ids, *position.path]
        prompt = tokens if self._capabilities.token_ids else self._text_of(tokens)
        if prompt is None:
            return None
        limit = self._capabilities.max_top_logprobs
        if limit >= 0:
            return self._request_listing(prompt, limit)
        size = self._model.tokenizer.size or MAX_VOCABULARY_SIZE
        if position.length == "all":
            return self._request_listing(prompt, size)
        listing = self._request_listing(prompt, SHORT_LISTING)
        if listing is None or position.length == "short":
            return listing
        if any(listing.find(*child) is None for child in position.children):
            listing = self._request_listing(prompt, size)
        return listing

    def _request_listing(self, prompt: Sequence[int] | str, count: int) -> TopLogprobs:
        body: dict[str, Any] = {
            "model": self._capabilities.model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": count,
            **self._model.dialect.listing_parameters,
        }
        connection = self._model.connection
        answer = connection.post("v1/completions", body, counter=self._counter)
        with reading(connection.where):
            listing = first_listing(answer)
            choice = first_item(answer, "choices")
            text = optional(choice, "text", as_text) or ""
            if not begin_answer(read_completion_tokens(choice), [text]):
                self._problem = NOT_OF_ANSWER
                return None
        # Some servers list nothing if EOS is the most likely token.
        return listing if listing.count and not listing.is_pick else None

    def _text_of(self, tokens: Sequence[int]) -> str | None:
        has_bos = self._capabilities.adds_bos and tokens[:1] == [self._capabilities.bos]
        return round_trip_text(self._model.tokenizer, tokens[1:] if has_bos else tokens)


def round_trip_text(tokenizer: Tokenizer, tokens: Sequence[int]) -> str | None:
    """Return the text of ids; None if the text tokenizes to other ids."""
    try:
        text = b"".join(map(tokenizer.token_bytes, tokens)).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if tokenizer.tokenize(text, parse_special=False) == list(tokens) else None
