"""The method that scores a choice: the best that the server supports, or the requested one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autocog_core import (
    CapabilityError,
    ChoiceRequest,
    ChoiceScores,
    EndOfSequence,
    TopChoices,
)
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.chat import ChatChoice
from autocog_openai.choice.constrained import choose_constrained
from autocog_openai.choice.decision import choose_by_decision
from autocog_openai.choice.echo import EchoChoice
from autocog_openai.choice.text import TextChoice
from autocog_openai.choice.tree_walk import no_choice_reached
from autocog_openai.decisions.routes import describe_routes
from autocog_openai.model.server_model import ServerModel

#: In order of preference.
METHODS = ("tree", "echo", "top_logprobs", "pick", "decision")
_REQUESTED = "requested"
_NO_LOGPROBS = "the server returns no log-probabilities"
#: The answer to a request: with `top`, some methods return the best choices only.
Scores = ChoiceScores | TopChoices


class ChoiceMethods:
    """The methods that are available for one model on a server."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._capabilities = model.capabilities

    def choose(self, client: BackendClient, request: ChoiceRequest) -> Scores | None:
        """Return scores, or the best choices; None if core scores choices by token trees.

        :raises CapabilityError: if the requested method is unknown or not supported.
        """
        method = request.method
        if method is not None and method not in METHODS:
            raise self._unsupported(method, "the methods are " + ", ".join(METHODS))
        if method == "tree" and self._model.scorer is None:
            raise self._unsupported(
                method, "the server returns no log-probabilities of named tokens"
            )
        if method == "tree" or (method is None and self._model.scorer is not None):
            return None
        if method == "decision":
            return self._by_decision([request], _REQUESTED)[0]
        if method == "pick":
            return self._by_constraint(request, _REQUESTED)
        scores, reason = self._try_logprobs(client, request)
        if scores is not None:
            if method is not None or not no_choice_reached(scores):
                return scores
            reason = f"no choice could be followed by log-probabilities: {scores.reason}"
        elif method is not None:
            raise self._unsupported(method, reason)
        picked = self._by_constraint(request, reason)
        if scores is None or picked.tokens_evaluated is None:
            return picked
        tokens_evaluated = picked.tokens_evaluated + (scores.tokens_evaluated or 0)
        return replace(picked, tokens_evaluated=tokens_evaluated)

    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        """Return the scores of requests that the server decides; None if another method is used.

        :raises CapabilityError: as `choose`.
        """
        methods = {request.method for request in requests}
        if methods == {"decision"}:
            return self._by_decision(requests, _REQUESTED)
        writes = self._capabilities.completions or self._capabilities.chat
        if methods == {None} and not writes and self._model.decision_protocol is not None:
            return self._by_decision(requests, _NO_LOGPROBS)
        return None

    def _try_logprobs(
        self, client: BackendClient, request: ChoiceRequest
    ) -> tuple[Scores | None, str]:
        """Return scores from log-probabilities, or None and the reason."""
        can_pick = self._capabilities.choice_constraint
        if request.method is None and self._model.tokenizer_or_none is None and can_pick:
            return None, "there is no tokenizer (set the option tokenizer)"
        scores = self._by_logprobs(client, request)
        return scores, self._listing_problem() or _NO_LOGPROBS

    def _by_logprobs(self, client: BackendClient, request: ChoiceRequest) -> Scores | None:
        """Use "echo" or "top_logprobs"; None if the routes in use do not support it."""
        if self._model.api == "completions":
            scores = self._by_echo(client, request)
            if scores is not None or request.method == "echo":
                return scores
            if not self._capabilities.max_top_logprobs or self._listing_problem():
                return None
            return self._by_top_logprobs(client, request)
        if request.method == "echo" or self._model.api == "responses":
            return None
        if not self._capabilities.chat_max_top_logprobs or self._listing_problem():
            return None
        return self._by_top_logprobs(client, request)

    def _listing_problem(self) -> str:
        """Return why listings of the most likely tokens cannot be used; empty if they can."""
        if self._model.api == "completions":
            return self._capabilities.listing_problem
        return self._capabilities.chat_listing_problem

    def _by_echo(self, client: BackendClient, request: ChoiceRequest) -> Scores | None:
        is_supported = request.norm != "pmi" and not isinstance(request.suffix, EndOfSequence)
        if request.method == "top_logprobs" or self._capabilities.prompt_logprobs != "right":
            return None
        if request.method is None and not is_supported:
            return None
        return EchoChoice(self._model).choose(client, request)

    def _by_top_logprobs(self, client: BackendClient, request: ChoiceRequest) -> Scores:
        if self._model.api == "completions":
            return TextChoice(self._model).choose(client, request)
        return ChatChoice(self._model).choose(client, request)

    def _by_constraint(self, request: ChoiceRequest, reason: str) -> ChoiceScores:
        """Use "pick", or "decision" if the server supports only this."""
        if not (self._capabilities.chat and self._capabilities.choice_constraint):
            if request.method is None and self._model.decision_protocol is not None:
                return self._by_decision([request], reason)[0]
            missing = "the server cannot be constrained to one of several strings"
            if request.method is None:
                missing = f"{reason}; {missing}"
            raise self._unsupported("pick", missing)
        if request.norm == "pmi":
            raise self._unsupported("pick", "pmi needs log-probabilities")
        return choose_constrained(self._model, request, f"{reason}; there is no distribution")

    def _by_decision(self, requests: Sequence[ChoiceRequest], reason: str) -> list[ChoiceScores]:
        protocol = self._model.decision_protocol
        if protocol is None:
            routes = describe_routes(self._model.decision_routes)
            raise self._unsupported("decision", f"the server decides nothing ({routes})")
        return choose_by_decision(self._model, protocol, requests, reason)

    def _unsupported(self, method: str, reason: str) -> CapabilityError:
        return CapabilityError(
            f'method "{method}" is not available: {reason}', where=self._model.connection.where
        )
