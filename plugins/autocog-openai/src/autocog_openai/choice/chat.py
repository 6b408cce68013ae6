"""Choices on the chat route, which lists the likeliest tokens that an answer begins with.

Later positions can be looked at where the assistant's words can be begun for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, Prompt, TokenPiece
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.text import spelled
from autocog_openai.choice.tree_walk import Listing, Position, walk
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.usage import Spending
from autocog_openai.routes.chat import ChatRoute, check_refused, told, told_of
from autocog_openai.tokenizers.load import Tokenizer

#: A bias that makes a token certain on OpenAI's scale.
CERTAIN = 100


class ChatChoice:
    """Scores choices by the likeliest tokens of the chat route."""

    def __init__(
        self,
        connection: Connection,
        facts: Facts,
        route: ChatRoute,
        tokenizer: Tokenizer,
        messages: Any,
    ) -> None:
        self._connection = connection
        self._facts = facts
        self._route = route
        self._tokenizer = tokenizer
        self._spending = Spending()
        self._messages = messages

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores:
        """The choices as answers to the prompt.

        :raises CapabilityError: for norms and ends that need a prompt of the caller's own making.
        """
        if request.norm == "pmi" or not (request.suffix is None or isinstance(request.suffix, str)):
            raise CapabilityError(
                "pmi and end=EOS need a server that continues a prompt as it is",
                where=self._connection.where,
            )
        messages = self._messages(request.prompt)
        # A turn of its own begins the answer: there is no blank before it.
        fresh = messages[-1]["role"] != "assistant"
        texts = [choice.lstrip() if fresh else choice for choice in request.choices]
        stripped = any(map(str.__ne__, texts, request.choices))
        changed = fresh and all(texts) and len(set(texts)) == len(texts)
        inner = replace(
            request,
            prompt=Prompt((TokenPiece((0,)),)),
            choices=tuple(texts) if changed else request.choices,
            boundary="heal",
        )

        def look(positions: Sequence[Position]) -> Mapping[tuple[int, ...], Listing]:
            found: dict[tuple[int, ...], Listing] = {}
            for one in self._connection.gather(lambda at: self._look(messages, at), positions):
                found.update(one)
            return found

        found = walk(
            client,
            inner,
            look,
            self._tokenizer.surface,
            method="top_logprobs",
            unseen_why=self._why(),
        )
        scores = tuple(
            replace(score, choice=choice)
            for score, choice in zip(found.scores, request.choices, strict=True)
        )
        reason = found.reason
        if stripped and changed:
            reason += (
                "; " if reason else ""
            ) + "blanks before choices were left out: a turn begins"
        return replace(
            found, scores=scores, reason=reason, tokens_evaluated=self._spending.evaluated
        )

    def _why(self) -> str:
        if self._facts.prefill or self._facts.steering:
            return f"some tokens were not among the {self._facts.chat_listed} likeliest"
        return (
            "only the first tokens of an answer can be looked at, and of these the "
            f"{self._facts.chat_listed} likeliest"
        )

    def _look(
        self, messages: Sequence[Mapping[str, str]], position: Position
    ) -> Mapping[tuple[int, ...], Listing]:
        more: dict[str, Any] = {
            **({} if "temperature" in self._facts.refused else {"temperature": 0}),
            "logprobs": True,
            "top_logprobs": self._facts.chat_listed,
            **self._route.limit(1),
        }
        asked = [dict(message) for message in messages]
        path = position.path
        place = 0
        if path:
            surfaces = [self._tokenizer.surface(token) for token in path]
            text = self._spelled(path)
            if self._facts.prefill and text is not None:
                if asked[-1]["role"] == "assistant":
                    said = asked[-1]["content"]
                    asked[-1]["content"] = said + text
                    if self._joined(said, text, path):
                        return {path: None}
                else:
                    asked.append({"role": "assistant", "content": text})
            elif self._facts.steering and len(set(path)) == len(path) == 1:
                # One token can be made certain; several would compete at every place.
                more |= self._route.limit(2) | {"logit_bias": {str(path[0]): CERTAIN}}
                place = 1
            else:
                return {path: None}
        body = self._route.asked(asked, **more)
        answer = self._connection.post(self._route.path, body, spending=self._spending)
        try:
            choice = answer["choices"][0]
            check_refused(choice, self._connection.where)
            steps = list(told_of(choice))
            if place and [step.raw for step in steps[:place]] != surfaces[:place]:
                return {path: None}
            entries = choice["logprobs"]["content"]
            if place >= len(entries):
                return {path: None}
            return {path: _listing(entries[place])}
        except (KeyError, IndexError, TypeError) as error:
            raise malformed(self._connection.where, error) from error

    def _joined(self, said: str, text: str, path: Sequence[int]) -> bool:
        """Whether what was said and a path have other tokens together than one after the other."""
        before = self._tokenizer.tokenize(said, parse_special=False)
        return self._tokenizer.tokenize(said + text, parse_special=False) != [*before, *path]

    def _spelled(self, path: Sequence[int]) -> str | None:
        """The text of a path; None where the server would make other tokens of it."""
        text = spelled(self._tokenizer, path)
        if text is None:
            return None
        if text != text.strip() and self._facts.server in ("vllm", "sglang"):
            # Their chat templates strip what a message begins and ends with.
            return None
        return text


def _listing(entry: Mapping[str, Any]) -> Listing:
    found: dict[bytes, float] = {}
    for each in map(told, entry["top_logprobs"]):
        if each.raw:
            found[each.raw] = float(np.logaddexp(found.get(each.raw, -np.inf), each.logprob))
    return found
