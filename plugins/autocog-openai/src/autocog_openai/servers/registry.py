"""The list of server dialects."""

from __future__ import annotations

from autocog_openai.servers.autocog_server import AutocogDialect
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.servers.generic import GenericDialect
from autocog_openai.servers.llama_server import LlamaServerDialect
from autocog_openai.servers.openai_api import OpenAIDialect
from autocog_openai.servers.sglang import SglangDialect
from autocog_openai.servers.vllm import VllmDialect

#: By the value of the option `server`.
DIALECTS: dict[str, type[ServerDialect]] = {
    dialect.name: dialect
    for dialect in (
        OpenAIDialect,
        VllmDialect,
        SglangDialect,
        LlamaServerDialect,
        AutocogDialect,
        GenericDialect,
    )
}


def dialect_of_owner(owned_by: str) -> str:
    """Return the name of the dialect for the `owned_by` of a model; "generic" if none has it."""
    return next(
        (
            dialect.name
            for dialect in DIALECTS.values()
            if dialect.owned_by and dialect.owned_by == owned_by
        ),
        GenericDialect.name,
    )
