"""Choices on a server that scores a prompt it echoes: one request a choice, and exact.

Only where these numbers were found to obey the chain rule: at least one popular server shifts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TreeScores
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.text import spelled
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.scorer import clean
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.usage import Spending
from autocog_openai.tokenizers.load import Tokenizer


class EchoChoice:
    """Scores each choice by the prompt and it, sent back with log-probabilities."""

    def __init__(self, connection: Connection, facts: Facts, tokenizer: Tokenizer) -> None:
        self._connection = connection
        self._facts = facts
        self._tokenizer = tokenizer
        self._spending = Spending()

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores | None:
        """The scores of all choices; None where the server makes other tokens of some text.

        :raises CapabilityError: for pmi, and an end that is no text.
        """
        if request.norm == "pmi" or not (request.suffix is None or isinstance(request.suffix, str)):
            raise CapabilityError(
                "pmi and end=EOS need a server that tells named tokens",
                where=self._connection.where,
            )
        tree = TokenChoiceTree.build(client, replace(request, method=None))
        base, decided = tree.encoded.base, tree.encoded.decided
        found = self._connection.gather(lambda own: self._scores(base, own), decided)
        values = np.full(len(tree.tree.tokens), -np.inf)
        starts = tree.tree.path_starts.tolist()
        for number, own in enumerate(found):
            if own is None:
                return None
            values[tree.tree.path_nodes[starts[number] : starts[number + 1]]] = own
        nothing = np.zeros((0, 0))
        answer = TreeScores(values, nothing.astype(np.int32), nothing, 0)
        scores = tree.score(client, request, [answer])
        return replace(scores, method="echo", tokens_evaluated=self._spending.evaluated)

    def _scores(self, base: Sequence[int], decided: Sequence[int]) -> list[float] | None:
        text = spelled(self._tokenizer, [*base, *decided])
        if text is None:
            return None
        body: dict[str, Any] = {
            "model": self._facts.model,
            "prompt": text,
            "max_tokens": 1,
            "temperature": 0.0,
            "echo": True,
            "logprobs": 1,
        }
        answer = self._connection.post("v1/completions", body, spending=self._spending)
        try:
            logprobs = answer["choices"][0]["logprobs"]
            names, values = logprobs["tokens"], logprobs["token_logprobs"]
            said, place = "", 0
            while place < len(names) and len(said) < len(text):
                said += str(names[place])
                place += 1
            own = [str(name).encode("utf-8") for name in names[place - len(decided) : place]]
            if said != text or own != [self._tokenizer.surface(token) for token in decided]:
                return None
            return [clean(float(value)) for value in values[place - len(decided) : place]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed(self._connection.where, error) from error
