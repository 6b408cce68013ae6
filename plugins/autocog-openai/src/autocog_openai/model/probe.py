"""Probing: what a server supports, from one-token requests on first use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from autocog_core import ConfigError, EngineError
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.client import Connection
from autocog_openai.connection.server_capabilities import (
    ServerCapabilities,
    load_capabilities,
    store_capabilities,
)
from autocog_openai.model.probe_chat import probe_chat
from autocog_openai.model.probe_completions import probe_completions
from autocog_openai.routes import decisions
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.servers.openai_api import OpenAIDialect
from autocog_openai.servers.registry import DIALECTS, dialect_of_owner
from autocog_openai.tokenizers.load import FileTokenizer, Tokenizer, create_tokenizer

#: `owned_by` of servers that have one model and accept any name for it.
SINGLE_MODEL_OWNERS = ("llamacpp", "me")
#: Fields of the model's entry that change with every start of the server.
VOLATILE_FIELDS = ("created", "permission")
MAX_LISTED_MODELS = 20


def probe_server(connection: Connection) -> ServerCapabilities:
    """Return what a server supports: from the cache folder if model and build are the same.

    :raises AutocogError: if the server cannot be reached, or does not have the model.
    """
    options = connection.options
    entry = _find_model(connection)
    server = options.server if options.server != "auto" else _recognize_server(connection, entry)
    dialect = DIALECTS[server](connection)
    stable = {name: value for name, value in entry.items() if name not in VOLATILE_FIELDS}
    identity = json.dumps([server, stable, _read_build(dialect)], sort_keys=True, default=str)
    parts = (connection.base_url, options.model, server, options.tokenizer, options.api)
    key = " ".join(map(str, parts))
    capabilities = None if options.reprobe else load_capabilities(key, identity)
    if capabilities is None:
        failures = connection.failures
        capabilities = _probe(dialect, entry, identity)
        # Without any route, there is a temporary problem, or base_url is wrong.
        if capabilities.completions or capabilities.chat or capabilities.server_decisions:
            has_failures = connection.failures > failures
            store_capabilities(key, capabilities, has_failures=has_failures)
    return capabilities


def _find_model(connection: Connection) -> Mapping[str, Any]:
    """Return the model's entry in `/v1/models`; empty if the server lists no models."""
    model = connection.options.model
    listing = attempt(lambda: connection.get("v1/models"))
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return {}
    entries = [entry for entry in entries if isinstance(entry, dict)]
    for entry in entries:
        if model in (entry.get("id"), entry.get("root"), *(entry.get("aliases") or ())):
            return dict(entry)
    if len(entries) == 1 and entries[0].get("owned_by") in SINGLE_MODEL_OWNERS:
        return dict(entries[0])
    names = ", ".join(str(entry.get("id")) for entry in entries[:MAX_LISTED_MODELS])
    raise ConfigError(
        f"the server has no model {model!r}", where=connection.where, hint=f"it has: {names}"
    )


def _recognize_server(connection: Connection, entry: Mapping[str, Any]) -> str:
    if urlsplit(connection.base_url).hostname == "api.openai.com":
        return OpenAIDialect.name
    return dialect_of_owner(str(entry.get("owned_by")))


def _read_build(dialect: ServerDialect) -> Mapping[str, Any]:
    if not dialect.build_route:
        return {}
    answer = attempt(lambda: dialect.connection.get(dialect.build_route))
    if not isinstance(answer, dict):
        return {}
    return {name: answer.get(name) for name in dialect.build_fields}


def _probe(dialect: ServerDialect, entry: Mapping[str, Any], identity: str) -> ServerCapabilities:
    values: dict[str, Any] = {"server": dialect.name, "model": dialect.model, "identity": identity}
    try:
        values |= dialect.probe(entry)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(
            f"the server does not answer like {dialect.name} ({error!r})",
            where=dialect.connection.where,
            hint='set server = "generic", or another kind',
        ) from error
    tokenizer = _find_tokenizer(dialect, ServerCapabilities(**values))
    if (
        dialect.reads_bos_from_tokenizer_file
        and "tokenizer_route" not in values
        and isinstance(tokenizer, FileTokenizer)
    ):
        values |= {"bos": tokenizer.bos, "adds_bos": tokenizer.bos is not None}
    if dialect.probes_completions:
        values |= probe_completions(dialect, ServerCapabilities(**values), tokenizer)
    values |= probe_chat(dialect, ServerCapabilities(**values), tokenizer)
    if dialect.probes_decisions:
        values["server_decisions"] = _has_decisions(dialect)
    return ServerCapabilities(**values)


def _find_tokenizer(dialect: ServerDialect, capabilities: ServerCapabilities) -> Tokenizer | None:
    """Return the tokenizer; None if there is none, because much works without it."""
    try:
        return create_tokenizer(dialect, capabilities)
    except ConfigError:
        if dialect.connection.options.tokenizer is not None or capabilities.tokenizer_route:
            raise
        return None


def _has_decisions(dialect: ServerDialect) -> bool:
    body = decisions.decision_body(
        dialect.model, "2 + 2 = 5", instructions="Is it right?", choices=("yes", "no")
    )
    return attempt(lambda: dialect.connection.post(decisions.PATH, body)) is not None
