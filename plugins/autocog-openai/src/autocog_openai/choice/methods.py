"""Which way a choice is scored: the best that a server offers, or the one that is asked for."""

from __future__ import annotations

from dataclasses import replace

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, EndOfSequence
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.chat import ChatChoice
from autocog_openai.choice.constrained import decide, pick
from autocog_openai.choice.echo import EchoChoice
from autocog_openai.choice.text import TextChoice
from autocog_openai.choice.tree_walk import nothing_seen
from autocog_openai.servers.server_model import ServerModel

METHODS = ("tree", "echo", "top_logprobs", "pick", "decision")


class Choosing:
    """The ways of one model on a server."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._connection, self._facts = model.connection, model.facts

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores | None:
        """The best way that the server offers, or the one that is asked for; None: core's tree."""
        method = request.method
        if method is not None and method not in METHODS:
            raise self._no_method(method, "it is none of " + ", ".join(METHODS))
        if method == "tree" or (method is None and self._model.scorer is not None):
            if self._model.scorer is None:
                raise self._no_method("tree", "the server tells no named tokens")
            return None
        if method == "decision":
            if not self._facts.decisions:
                raise self._no_method(method, "the server has no route for decisions")
            return self._decided(request, "asked for")
        reason, spent = "asked for", 0
        if method != "pick":
            reason = "the server tells no log-probabilities"
            if method is None and self._model.known_tokenizer is None and self._facts.structured:
                # Without one nothing says what the tokens of a choice are.
                found, reason = None, "no tokenizer is known (give tokenizer)"
            else:
                found = self._listed(client, request)
            if found is not None:
                if method is not None or not nothing_seen(found):
                    return found
                reason = f"no choice could be followed by log-probabilities: {found.reason}"
                spent = found.tokens_evaluated or 0
            elif method is not None:
                raise self._no_method(method, reason)
        if not (self._facts.chat and self._facts.structured):
            if method is None and self._facts.decisions:
                return self._decided(request, reason)
            held = "the server cannot be held to one of several strings"
            raise self._no_method("pick", held if method == "pick" else f"{reason}; {held}")
        if request.norm == "pmi":
            raise self._no_method("pick", "pmi needs log-probabilities")
        picked = pick(
            self._connection,
            self._facts,
            self._model.chat_route,
            self._model.messages(request.prompt),
            request,
            f"{reason}; there is no distribution",
        )
        if picked.tokens_evaluated is None:
            return picked
        return replace(picked, tokens_evaluated=picked.tokens_evaluated + spent)

    def _decided(self, request: ChoiceRequest, reason: str) -> ChoiceScores:
        if request.norm == "pmi":
            raise self._no_method("decision", "pmi needs log-probabilities")
        messages = self._model.messages(request.prompt)
        return decide(self._connection, self._facts, messages, request, reason)

    def _listed(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores | None:
        """By the likeliest tokens, where the routes that are used list any."""
        if request.method == "echo" and (self._model.api, self._facts.echo) != (
            "completions",
            "right",
        ):
            return None
        if self._model.api == "completions":
            if self._facts.echo == "right" and request.method in (None, "echo"):
                echo = EchoChoice(self._connection, self._facts, self._model.tokenizer)
                plain = request.norm != "pmi" and not isinstance(request.suffix, EndOfSequence)
                found = echo.choose(client, request) if plain or request.method else None
                if found is not None or request.method is not None:
                    return found
            if not self._facts.listed or request.method == "echo":
                return None
            return TextChoice(self._connection, self._facts, self._model.tokenizer).choose(
                client, request
            )
        if not self._facts.chat_listed or self._model.api == "responses":
            return None
        return ChatChoice(
            self._connection,
            self._facts,
            self._model.chat_route,
            self._model.tokenizer,
            self._model.messages,
        ).choose(client, request)

    def _no_method(self, method: str, reason: str) -> CapabilityError:
        return CapabilityError(
            f'method "{method}" is not offered: {reason}', where=self._connection.where
        )
