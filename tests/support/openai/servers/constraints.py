"""Structured outputs as grammars of llguidance, which several of the real servers use too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from llguidance import LLMatcher, grammar_from

#: JSON is written without blanks.
COMPACT = {"whitespace_flexible": False}


def any_of(choices: Iterable[str]) -> str:
    """One of these strings."""
    return grammar_from("choice", json.dumps(list(choices)))


def of_regex(pattern: str) -> str:
    """What a regular expression matches as a whole."""
    return LLMatcher.grammar_from_regex(pattern)


def of_grammar(text: str) -> str:
    """The language of a grammar in Lark's syntax or in GBNF."""
    return grammar_from("grammar", text)


def of_schema(schema: Any) -> str:
    """JSON of a schema, which may be written as text."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return LLMatcher.grammar_from_json_schema(text, overrides=COMPACT)


def of_response_format(body: Mapping[str, Any]) -> str | None:
    """The grammar for a chat request's `response_format`; None where text is free."""
    response_format = body.get("response_format") or {}
    if response_format.get("type", "text") == "text":
        return None
    return of_schema(response_format["json_schema"]["schema"])


def problem(grammar: str | None) -> str:
    """What is wrong with a grammar; empty if nothing is."""
    return "" if grammar is None else LLMatcher.validate_grammar(grammar)
