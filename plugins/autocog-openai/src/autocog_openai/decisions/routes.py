"""The routes for decisions, and the test of which of them a server has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from autocog_core import AutocogError
from autocog_openai.connection.answer_fields import reading
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import MalformedAnswerError, RefusedError
from autocog_openai.connection.server_capabilities import DECIDES
from autocog_openai.decisions.openai_decisions import OpenAIDecisions
from autocog_openai.decisions.protocol import Decision, DecisionProtocol, DecisionQuestion
from autocog_openai.decisions.system_one import SystemOne

#: By their routes, in order of preference.
PROTOCOLS: Mapping[str, DecisionProtocol] = {
    protocol.path: protocol for protocol in (SystemOne(), OpenAIDecisions())
}
#: A server's word for a route follows in parentheses, where it is not "yes".
YES, NO_ROUTE, NO_MODEL, UNKNOWN = DECIDES, "no route", "not for this model", "unknown"
_PROBE = DecisionQuestion(("yes", "no"), "Is it right?")
_STATE = "2 + 2 = 5"
_NAMES_MODEL = re.compile(r"\bmodels?\b", re.I)
_NAMES_ROUTE = re.compile(r"\b(route|path|url|endpoint|page|not found)\b", re.I)


def probe_decision_routes(connection: Connection, paths: Iterable[str]) -> dict[str, str]:
    """Return what a server says of each route: one of the words above, and why.

    It ends with the first route that decides.

    :param paths: the routes, in order of preference.
    :raises AutocogError: for what may pass, such as a rate limit, and for a refused key.
    """
    found: dict[str, str] = {}
    for path in paths:
        found[path] = _probe(connection, PROTOCOLS[path])
        if found[path].startswith(YES):
            break
    return found


def usable_protocol(routes: Mapping[str, str]) -> DecisionProtocol | None:
    """Return the protocol to use; one that may be served, if none is known to be.

    :param routes: what `probe_decision_routes` returned.
    """
    for word in (YES, UNKNOWN):
        for path, answer in routes.items():
            if answer.startswith(word):
                return PROTOCOLS[path]
    return None


def describe_routes(routes: Mapping[str, str]) -> str:
    """Return what the probe found, for an error."""
    return "; ".join(f"/{path}: {answer}" for path, answer in routes.items())


def ask(connection: Connection, protocol: DecisionProtocol, question: DecisionQuestion) -> Decision:
    """Return the decision of one question of the probe."""
    body = protocol.body(connection.options.model, _STATE, [question])
    answer = connection.post(protocol.path, body)
    with reading(connection.where):
        return protocol.read(answer, [question], connection.where)[0]


def _probe(connection: Connection, protocol: DecisionProtocol) -> str:
    errors: list[AutocogError] = []

    def send() -> Decision:
        try:
            return ask(connection, protocol, _PROBE)
        except AutocogError as error:
            errors.append(error)
            raise

    if attempt(send) is not None:
        return YES
    error = errors[-1]
    if isinstance(error, MalformedAnswerError):
        connection.malformed += 1
    return _answer_of(error)


def _answer_of(error: AutocogError) -> str:
    """Return what an error says about a route.

    Each server has its own words: a route that is not there and a model that is not there may both
    be a 404 with an `error_type`.
    """
    if isinstance(error, RefusedError):
        return f"{YES} ({error.message})"
    status = getattr(error.__cause__, "status_code", None)
    names_model = _NAMES_MODEL.search(error.message) is not None
    if status == 422:
        # It reads the body: it is there.
        return f"{YES} ({error.message})"
    if status == 501 or (status in (400, 404) and names_model):
        return f"{NO_MODEL} ({error.message})"
    if status == 405 or (status == 404 and _NAMES_ROUTE.search(error.message)):
        return f"{NO_ROUTE} ({error.message})"
    return f"{UNKNOWN} ({error.message})"
