"""Choices on a completions route that lists the likeliest tokens of what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core import ChoiceRequest, ChoiceScores
from autocog_core.scoring import encode_choices
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.tree_walk import Listing, Position, walk
from autocog_openai.connection.client import Connection
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.usage import Spending
from autocog_openai.routes.completions import listing_of
from autocog_openai.tokenizers.load import Tokenizer

#: Of the likeliest that a server lists without end: this many first, and only then more.
FIRST = 20


class TextChoice:
    """Scores choices position by position, by prompts of text (or ids where these are taken)."""

    def __init__(self, connection: Connection, facts: Facts, tokenizer: Tokenizer) -> None:
        self._connection = connection
        self._facts = facts
        self._tokenizer = tokenizer
        self._spending = Spending()

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores:
        """Each choice as a continuation of the prompt."""
        base = encode_choices(client, request).base

        def look(positions: Sequence[Position]) -> Mapping[tuple[int, ...], Listing]:
            found = self._connection.gather(lambda at: self._look(base, at), positions)
            return {at.path: listing for at, listing in zip(positions, found, strict=True)}

        many = "" if self._facts.listed < 0 else f"among the {self._facts.listed} likeliest, or "
        found = walk(
            client,
            request,
            look,
            self._tokenizer.surface,
            method="top_logprobs",
            unseen_why=f"some tokens were not {many}told at all",
        )
        return replace(found, tokens_evaluated=self._spending.evaluated)

    def _look(self, base: Sequence[int], position: Position) -> Listing:
        tokens = [*base, *position.path]
        prompt = tokens if self._facts.token_ids else self._text(tokens)
        if prompt is None:
            return None
        most = self._facts.listed
        listing = self._list(prompt, FIRST if most < 0 else most)
        if most < 0 and listing is not None and not position.children <= listing.keys():
            listing = self._list(prompt, self._tokenizer.size or 2**20)
        return listing

    def _list(self, prompt: Sequence[int] | str, count: int) -> Listing:
        body: dict[str, Any] = {
            "model": self._facts.model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": count,
        }
        answer = self._connection.post("v1/completions", body, spending=self._spending)
        # Some servers list nothing where the likeliest token would end the text.
        return listing_of(answer) or None

    def _text(self, tokens: Sequence[int]) -> str | None:
        skipped = 1 if self._facts.adds_bos and tokens[:1] == [self._facts.bos] else 0
        return spelled(self._tokenizer, tokens[skipped:])


def spelled(tokenizer: Tokenizer, tokens: Sequence[int]) -> str | None:
    """The text of ids; None where the server would make other ids of it."""
    try:
        text = b"".join(map(tokenizer.surface, tokens)).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if tokenizer.tokenize(text, parse_special=False) == list(tokens) else None
