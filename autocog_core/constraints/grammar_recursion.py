"""Grammars without a finite text, because a rule always contains itself."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

#: The body of a rule as far as it matters here: alternatives, of which each is a sequence of names
#: of rules and of alternatives in parentheses. What else there is has finite texts.
Alternatives: TypeAlias = "list[list[str | Alternatives]]"

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t\r]+ | //[^\n]* | \#[^\n]* )
    | (?P<newline> \n )
    | (?P<json> %(?:json|regex|llguidance) (?=\s*\{) )
    | (?P<statement> %(?:ignore|import)\b[^\n]* )
    | (?P<literal> "(?:\\.|[^"\\\n])*"i? | /(?:\\.|[^/\\\n])+/[imslux]* | <[^<>\s]+> | @[\w-]+ )
    | (?P<optional> [?*] (?![a-z]) | \{ \s* (?:0\s*)? (?:,[^}\n]*)? \} | ~\ *0\ *\.\.\ *\d+ )
    | (?P<repeated> \+ | \{[\d,\s]+\} | ~\ *\d+(?:\ *\.\.\ *\d+)? | \.\. | [&~] )
    | (?P<alias> ->\s*\w+ )
    | (?P<terminal> _?[A-Z][A-Z0-9_-]* )
    | (?P<rule> [!?]?_?[a-z][a-z0-9_-]* )
    | (?P<attributes> \[[^\[\]\n"/]*=[^\]\n]*\] | \[(?:capture|lazy|suffix)\b[^\]\n]*\] )
    | (?P<sign> [:|()\[\]] )
    """,
    re.VERBOSE,
)


def find_endless_rule(grammar: str) -> str:
    """Return a rule without finite texts that all texts of a grammar contain; "" if there is none.

    "" also for a grammar that is not understood here: llguidance has read it before.

    :param grammar: a grammar in llguidance's variant of Lark's syntax.
    """
    try:
        rules = dict(_Reader(list(_tokens(grammar))).statements())
    except _UnknownSyntaxError:
        return ""
    finite = _finite_rules(rules)
    # From the start, follow what is not finite until a rule comes again.
    rule, seen = "start", set()
    while rule in rules and rule not in finite and rule not in seen:
        seen.add(rule)
        rule = next(name for name in _names(rules[rule]) if name in rules and name not in finite)
    return rule if rule in seen else ""


def _finite_rules(rules: dict[str, Alternatives]) -> set[str]:
    """Return the rules that have a finite text: the least fixed point."""
    users: dict[str, set[str]] = defaultdict(set)
    for rule, body in rules.items():
        for name in _names(body):
            users[name].add(rule)
    finite: set[str] = set()
    pending = list(rules)
    while pending:
        rule = pending.pop()
        if rule not in finite and _is_finite(rules[rule], rules, finite):
            finite.add(rule)
            pending += users[rule]
    return finite


def _is_finite(body: Alternatives, rules: dict[str, Alternatives], finite: set[str]) -> bool:
    def is_finite(item: str | Alternatives) -> bool:
        if isinstance(item, str):
            return item in finite or item not in rules
        return _is_finite(item, rules, finite)

    return any(all(map(is_finite, sequence)) for sequence in body)


def _names(body: Alternatives) -> Iterator[str]:
    for sequence in body:
        for item in sequence:
            if isinstance(item, str):
                yield item
            else:
                yield from _names(item)


class _UnknownSyntaxError(Exception):
    """A grammar that the reader does not understand."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(grammar: str) -> Iterator[_Token]:
    position, depth = 0, 0
    while position < len(grammar):
        match = _TOKEN.match(grammar, position)
        if match is None:
            raise _UnknownSyntaxError
        kind, position = str(match.lastgroup), match.end()
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(match[0], 0)
        if kind == "json":
            start = grammar.index("{", position)
            _, position = json.JSONDecoder().raw_decode(grammar, start)
            kind = "statement" if match[0] == "%llguidance" else "literal"
        if kind != "blank" and not (kind == "newline" and depth):
            yield _Token(kind, match[0].lstrip("!?") if kind == "rule" else match[0])


class _Reader:
    """Reads the rules of a grammar.

    :param tokens: the tokens of the grammar.
    """

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = [*tokens, _Token("newline", "\n"), _Token("end", "")]
        self._position = 0

    def statements(self) -> Iterator[tuple[str, Alternatives]]:
        """Yield each rule with its body.

        :raises _UnknownSyntaxError: if the grammar is not understood.
        """
        while not self._skip("end"):
            if self._skip("newline") or self._skip("statement"):
                continue
            name = self._next()
            self._skip("attributes")
            if name.kind not in ("rule", "terminal") or self._next().text != ":":
                raise _UnknownSyntaxError
            body = self._alternatives()
            if not self._skip("newline"):
                raise _UnknownSyntaxError
            if name.kind == "rule":
                yield name.text, body

    def _alternatives(self) -> Alternatives:
        body = [self._sequence()]
        while self._skip_bar():
            body.append(self._sequence())
        return body

    def _sequence(self) -> list[str | Alternatives]:
        items: list[str | Alternatives] = []
        while (token := self._tokens[self._position]).text not in ("|", ")", "]", "\n"):
            self._position += 1
            item: str | Alternatives | None = token.text if token.kind == "rule" else None
            if token.text in ("(", "["):
                item = self._alternatives()
                if self._next().text != {"(": ")", "[": "]"}[token.text]:
                    raise _UnknownSyntaxError
            elif token.kind in ("sign", "end", "statement", "attributes"):
                raise _UnknownSyntaxError
            is_optional = token.text == "["
            while (kind := self._tokens[self._position].kind) in ("optional", "repeated"):
                self._position += 1
                is_optional |= kind == "optional"
            if item is not None and not is_optional:
                items.append(item)
        return items

    def _skip_bar(self) -> bool:
        """Skip a bar, also on a later line."""
        position = self._position
        while self._tokens[position].kind == "newline":
            position += 1
        if self._tokens[position].text != "|":
            return False
        self._position = position + 1
        return True

    def _skip(self, kind: str) -> bool:
        if self._tokens[self._position].kind != kind:
            return False
        self._position += 1
        return True

    def _next(self) -> _Token:
        self._position += 1
        return self._tokens[self._position - 1]
