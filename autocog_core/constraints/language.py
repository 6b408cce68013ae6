"""Constraints as grammars of llguidance, alone and with the text that ends them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autocog_core.constraints.grammar_recursion import find_endless_rule
from autocog_core.constraints.json_schema import complete_keywords, read_json_schema
from autocog_core.constraints.llguidance_calls import check_size, error_of, new_matcher
from autocog_core.constraints.schema_recursion import find_endless_reference
from autocog_core.constraints.schema_refusal import explain_refusal
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.errors import InputError, shorten
from autocog_core.types.constraint import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher

#: Any text.
ANYTHING = "(?s:.*)"


def escape(text: str) -> str:
    """Return the regular expression of one text, without line breaks in it."""
    return re.escape(text).replace("\\\n", r"\n").replace("\\\r", r"\r")


def body_grammar(constraint: Constraint, *, any_blanks: bool = False) -> str:
    """Return the grammar of a constraint's texts.

    :param constraint: the constraint.
    :param any_blanks: whether JSON may have any blanks between its parts.
    :raises InputError: for a constraint that is too large.
    """
    if reason := check_size(constraint.source, constraint.kind):
        raise InputError(f"{_NAMES[constraint.kind]} {reason}", where="constraint")
    return _with_body(constraint, "start: @body", any_blanks=any_blanks)


def grammar_with_end(
    constraint: Constraint, stop: Sequence[str] = (), followed_by: str | None = None
) -> str:
    """Return the grammar of a constraint's texts, with what may come after a text.

    After a text may come a stop string with anything after it, or nothing; but if `followed_by` is
    given, its text must come.

    :param constraint: the constraint.
    :param stop: the stop strings.
    :param followed_by: a regular expression.
    :raises InputError: for a constraint that is too large.
    """
    ends = [escape(string) + ANYTHING for string in stop]
    if followed_by is not None:
        ends.append(followed_by)
    if not ends:
        return body_grammar(constraint)
    end = "(?:" + "|".join(f"(?:{expression})" for expression in ends) + ")"
    optional = "?" if followed_by is None else ""
    if constraint.kind == "regex":
        # One expression: where a text ends inside it does not depend on a lexer.
        source = f"(?:{constraint.source}){end}{optional}"
        return body_grammar(Constraint(kind="regex", source=source))
    if reason := check_size(constraint.source, constraint.kind):
        raise InputError(f"{_NAMES[constraint.kind]} {reason}", where="constraint")
    return _with_body(constraint, f"start: @body END{optional}\nEND: {_lark_regex(end)}")


def check_constraint(constraint: Constraint, followed_by: str | None = None) -> str:
    """Return why no text can meet a constraint, or why it cannot be read; empty if all is well.

    :param constraint: the constraint.
    :param followed_by: what must come after its text.
    """
    try:
        matchers = [new_matcher(byte_tokenizer(), body_grammar(constraint))]
        if followed_by is not None:
            grammar = grammar_with_end(constraint, followed_by=followed_by)
            matchers.append(new_matcher(byte_tokenizer(), grammar))
    except InputError as error:
        return error.message
    for matcher in matchers:
        if reason := _refusal(matcher):
            if constraint.kind == "json_schema":
                reason = _explain(constraint.source, reason)
            return f"{_NAMES[constraint.kind]} cannot be used: {reason}"
    if reason := _endless_recursion(constraint):
        return f"{_NAMES[constraint.kind]} allows no finite text: {reason}"
    return ""


def _refusal(matcher: LLMatcher) -> str:
    # Some grammars without any text are only noticed when their first byte is asked for.
    if not matcher.is_error() and not matcher.is_accepting():
        matcher.compute_bitmask()
    return error_of(matcher)


def _explain(source: str, reason: str) -> str:
    def refusal(schema: Any) -> str:
        grammar = json.dumps({"grammars": [{"json_schema": schema}]})
        return _refusal(new_matcher(byte_tokenizer(), grammar))

    return explain_refusal(read_json_schema(source), reason, len(source), refusal)


def _endless_recursion(constraint: Constraint) -> str:
    """Return what can only begin texts that never end, if all texts contain it; else ""."""
    if constraint.kind == "json_schema":
        reference = find_endless_reference(read_json_schema(constraint.source))
        return f'each value of "{shorten(reference)}" contains another one' if reference else ""
    if constraint.kind == "grammar":
        rule = find_endless_rule(constraint.source)
        return f'the rule "{shorten(rule)}" contains itself without end' if rule else ""
    return ""


def matches(constraint: Constraint, text: str, *, any_blanks: bool = False) -> bool:
    """Return whether a text meets a constraint.

    :param constraint: the constraint.
    :param text: the text.
    :param any_blanks: whether JSON may have any blanks between its parts.
    :raises InputError: for a constraint that cannot be read.
    """
    if reason := check_constraint(constraint):
        raise InputError(reason, where="constraint")
    matcher = new_matcher(byte_tokenizer(), body_grammar(constraint, any_blanks=any_blanks))
    raw = list(text.encode("utf-8", errors="replace"))
    return matcher.try_consume_tokens(raw) == len(raw) and matcher.is_accepting()


_NAMES = {"regex": "the regex", "grammar": "the grammar", "json_schema": "the JSON Schema"}


def lark_of(constraint: Constraint) -> str:
    """Return a constraint as one grammar in llguidance's variant of Lark's syntax.

    For engines that read such grammars by themselves. The first rule is `start`.
    """
    body = _body(constraint)
    if "lark_grammar" in body:
        return str(body["lark_grammar"])
    return f"start: %json {json.dumps(body['json_schema'], ensure_ascii=False)}"


def _with_body(constraint: Constraint, rules: str, *, any_blanks: bool = False) -> str:
    # Without forcing: otherwise only one spelling of bytes without an alternative is allowed.
    start = f'%llguidance {{"no_forcing": true}}\n{rules}'
    return json.dumps(
        {
            "grammars": [
                {"lark_grammar": start},
                {"name": "body", **_body(constraint, any_blanks=any_blanks)},
            ]
        }
    )


def _body(constraint: Constraint, *, any_blanks: bool = False) -> dict[str, Any]:
    if constraint.kind == "grammar":
        return {"lark_grammar": constraint.source}
    if constraint.kind == "regex":
        return {"lark_grammar": f"start: TEXT\nTEXT: {_lark_regex(constraint.source)}"}
    try:
        schema = complete_keywords(read_json_schema(constraint.source))
    except InputError as error:
        raise InputError(f"{_NAMES[constraint.kind]} {error.message}", where="constraint") from None
    if isinstance(schema, dict) and not any_blanks:
        # Blanks between tokens make many spellings of one value, and small models write odd ones.
        options = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        schema = {"x-guidance": options, **schema}
    return {"json_schema": schema}


def _lark_regex(expression: str) -> str:
    """Return a regular expression as a terminal of Lark: between slashes, on one line."""
    # \/ and \n mean the same in a regular expression.
    escaped = re.sub(r"\\.|/", lambda match: r"\/" if match[0] == "/" else match[0], expression)
    return "/" + escaped.replace("\n", r"\n").replace("\r", r"\r") + "/"
