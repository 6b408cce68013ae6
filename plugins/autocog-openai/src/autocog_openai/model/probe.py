"""Probing: what a server supports, from one-token requests on first use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from autocog_core import AutocogError, ConfigError, EngineError
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import SHAPE_ERRORS, NotFoundError
from autocog_openai.connection.server_capabilities import (
    ServerCapabilities,
    load_capabilities,
    store_capabilities,
)
from autocog_openai.decisions.routes import UNKNOWN, probe_decision_routes
from autocog_openai.model.listing import ModelListing, list_model
from autocog_openai.model.probe_chat import probe_chat
from autocog_openai.model.probe_completions import probe_completions
from autocog_openai.model.probe_constraints import probe_constraints
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.servers.openai_api import OpenAIDialect
from autocog_openai.servers.registry import DIALECTS, dialect_of_owner
from autocog_openai.tokenizers.behavior import adds_blank, restarts_after_special_tokens
from autocog_openai.tokenizers.load import FileTokenizer, Tokenizer, create_tokenizer
from autocog_openai.tokenizers.route_tokenizer import RouteTokenizer


def probe_server(connection: Connection) -> ServerCapabilities:
    """Return what a server supports: from the cache folder if model and build are the same.

    :raises AutocogError: if the server cannot be reached, or does not have the model.
    """
    options = connection.options
    listing = list_model(connection)
    server = options.server if options.server != "auto" else _recognize_server(connection, listing)
    dialect = DIALECTS[server](connection)
    build = _read_build(dialect)
    identity = json.dumps([server, listing.identity, build], sort_keys=True, default=str)
    key = _storage_key(connection, server)
    capabilities = None if options.reprobe else load_capabilities(key, identity)
    if capabilities is None:
        failures, malformed = connection.failures, connection.malformed
        try:
            capabilities = _probe(dialect, listing, identity)
        except NotFoundError as error:
            _raise_unlisted(error, listing, connection)
        # Without any route, there is a temporary problem, or base_url is wrong.
        if capabilities.completions or capabilities.chat or capabilities.decides:
            has_failures = connection.failures > failures
            if connection.malformed == malformed:
                store_capabilities(key, capabilities, has_failures=has_failures)
        elif listing.others:
            _require_answer(listing, connection)
    return capabilities


def probe_decisions(dialect: ServerDialect, capabilities: ServerCapabilities) -> dict[str, str]:
    """Return what a server says of each route for decisions, and store it.

    :param capabilities: what is known of the server.
    :raises AutocogError: for what may pass, and for a refused key.
    """
    connection = dialect.connection
    routes = probe_decision_routes(connection, dialect.decision_paths)
    if not any(word.startswith(UNKNOWN) for word in routes.values()):
        known = capabilities.model_copy(update={"decision_routes": routes})
        store_capabilities(_storage_key(connection, dialect.name), known)
    return routes


def _storage_key(connection: Connection, server: str) -> str:
    options = connection.options
    parts = (connection.base_url, options.model, server, options.tokenizer, options.api)
    return " ".join(map(str, parts))


def _require_answer(listing: ModelListing, connection: Connection) -> None:
    """Ask the last route that may have the model, which is neither listed nor on other routes.

    :raises ConfigError: if the server does not have the model.
    """
    try:
        _ask_responses(connection)
    except NotFoundError as error:
        _raise_unlisted(error, listing, connection)
    except AutocogError:
        # The first call says more.
        return


def _ask_responses(connection: Connection) -> Any:
    body = {"model": connection.options.model, "input": "Hi", "max_output_tokens": 16}
    return connection.post("v1/responses", body)


def _raise_unlisted(
    error: NotFoundError, listing: ModelListing, connection: Connection
) -> NoReturn:
    if not listing.others:
        raise error
    raise NotFoundError(
        f"the server has no model {connection.options.model!r} ({error.message})",
        where=connection.where,
        hint=listing.hint,
    ) from error


def _recognize_server(connection: Connection, listing: ModelListing) -> str:
    if urlsplit(connection.base_url).hostname == "api.openai.com":
        return OpenAIDialect.name
    return dialect_of_owner(listing.owner)


def _read_build(dialect: ServerDialect) -> Mapping[str, Any]:
    if not dialect.build_route:
        return {}
    answer = attempt(lambda: dialect.connection.get(dialect.build_route))
    if not isinstance(answer, dict):
        return {}
    return {name: answer.get(name) for name in dialect.build_fields}


def _probe(dialect: ServerDialect, listing: ModelListing, identity: str) -> ServerCapabilities:
    try:
        return _probe_routes(dialect, listing.entry, identity)
    except SHAPE_ERRORS as error:
        if isinstance(error, AutocogError):
            raise
        hint = 'set server = "generic", or another kind'
        raise EngineError(
            f"the server does not answer like {dialect.name} ({error!r})",
            where=dialect.connection.where,
            hint=f"{hint}; {listing.hint}" if listing.others else hint,
        ) from error


def _probe_routes(
    dialect: ServerDialect, entry: Mapping[str, Any], identity: str
) -> ServerCapabilities:
    values: dict[str, Any] = {"server": dialect.name, "model": dialect.model, "identity": identity}
    values |= dialect.probe(entry)
    tokenizer = _find_tokenizer(dialect, ServerCapabilities(**values))
    if (
        dialect.reads_bos_from_tokenizer_file
        and "tokenizer_route" not in values
        and isinstance(tokenizer, FileTokenizer)
    ):
        values |= {"bos": tokenizer.bos, "adds_bos": tokenizer.bos is not None}
    if tokenizer is not None:
        values |= _read_blanks(tokenizer, values)
    if dialect.probes_completions:
        values |= probe_completions(dialect, ServerCapabilities(**values), tokenizer)
    values |= probe_chat(dialect, ServerCapabilities(**values), tokenizer)
    values |= probe_constraints(dialect, ServerCapabilities(**values), tokenizer)
    # Other models decide only where that is asked for: a decision may cost a whole prompt.
    if dialect.probes_decisions or not (values.get("completions") or values.get("chat")):
        values["decision_routes"] = probe_decision_routes(
            dialect.connection, dialect.decision_paths
        )
    capabilities = ServerCapabilities(**values)
    if capabilities.decides and not (capabilities.completions or capabilities.chat):
        values["responses"] = attempt(lambda: _ask_responses(dialect.connection)) is not None
    return ServerCapabilities(**values)


def _find_tokenizer(dialect: ServerDialect, capabilities: ServerCapabilities) -> Tokenizer | None:
    """Return the tokenizer; None if there is none, because much works without it."""
    try:
        return create_tokenizer(dialect, capabilities)
    except ConfigError:
        if dialect.connection.options.tokenizer is not None or capabilities.tokenizer_route:
            raise
        return None


def _read_blanks(tokenizer: Tokenizer, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the capabilities that say where the tokenizer in use puts a blank."""
    blanks: dict[str, Any] = {}
    if "adds_leading_space" not in values or not isinstance(tokenizer, RouteTokenizer):
        blanks["adds_leading_space"] = adds_blank(tokenizer)
    names = [text for text, _ in values.get("special_token_ids", ())]
    if names and "restarts_after_special_tokens" not in values:
        blanks["restarts_after_special_tokens"] = restarts_after_special_tokens(tokenizer, names)
    return blanks
