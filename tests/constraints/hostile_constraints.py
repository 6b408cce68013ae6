"""Constraints that no text meets, that cannot be read, or that are expensive.

As a script: try each in this process, within limits of memory and time, and print a line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from typer.testing import CliRunner

from autocog_core import Automaton, Complete, Model
from autocog_core.backends.random import RandomLM
from autocog_core.cli.main import app
from autocog_core.errors import AutocogError

MEMORY_BYTES = 2 << 30
CPU_SECONDS = 60

_LOOP = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
_WORDS = " | ".join(f'"word{index}"' for index in range(70_000))
#: By name: (a keyword of a completion, its value, the words of the error).
REFUSED: dict[str, tuple[str, Any, str]] = {
    "unsatisfiable": ("regex", r"a[^\s\S]", "it allows no text"),
    "look-ahead": ("regex", "(?=a)b", "look-around"),
    "look-behind": ("regex", "(?<!a)b", "look-around"),
    "boundary": ("regex", r"a\bb", "look-around"),
    "back-reference": ("regex", r"(a)\1", "backreferences are not supported"),
    "bounds": ("regex", "a{3,1}", "invalid repetition count range"),
    "parentheses": ("regex", "(" * 5_000 + "a" + ")" * 5_000, "nested parentheses"),
    "unclosed": ("regex", "(a", "unclosed group"),
    "1 MB": ("grammar", f"start: {_WORDS}", "characters; the limit is 250,000"),
    "rules": ("grammar", "start: a\n" + 'a: "b"\n' * 3_000, "3,001 rules; the limit is 2,000"),
    "left recursion": ("grammar", 'start: start "a"', "it allows no text"),
    "right recursion": ("grammar", 'start: "a" start', 'the rule "start" contains itself'),
    "mutual recursion": ("grammar", 'start: a\na: "x" b\nb: "y" a', 'the rule "a" contains itself'),
    "terminal": ("grammar", 'start: A\nA: "x" A', 'circular reference in token "A"'),
    "undefined": ("grammar", "start: other", 'unknown name: "other"'),
    "no start": ("grammar", 'other: "a"', "no start rule found"),
    "deep grammar": ("grammar", "start: " + "(" * 5_000 + '"a"' + ")" * 5_000, "deeply nested"),
    "false": ("json_schema", False, "schema is false"),
    "itself": ("json_schema", {"$ref": "#"}, "it allows no text"),
    "endless object": ("json_schema", _LOOP, 'each value of "#" contains another one'),
    "endless list": (
        "json_schema",
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        'each value of "#" contains another one',
    ),
    "empty enum": ("json_schema", {"enum": []}, "no value is valid"),
    "numbers": ("json_schema", {"type": "integer", "minimum": 5, "maximum": 3}, "minimum (5) is"),
    "lengths": ("json_schema", {"type": "string", "minLength": 5, "maxLength": 3}, "minLength (5)"),
    "forbidden key": (
        "json_schema",
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        "required property 'a' is unsatisfiable",
    ),
    "combinations": (
        "json_schema",
        {
            "allOf": [
                {"anyOf": [{"properties": {f"p{i}_{j}": {"minimum": j}}} for j in range(10)]}
                for i in range(8)
            ]
        },
        "schema too large",
    ),
}
#: By name: (a keyword, its value). They have texts; a run must end soon, with or without one.
EXPENSIVE: dict[str, tuple[str, Any]] = {
    "repetitions": ("regex", "(a{1000}){1000}"),
    "stars": ("regex", "((a*)*)*b"),
    "many states": ("regex", "(a|b)*a(a|b){200}"),
    "letters": ("regex", r"(\p{L}|\p{N}){500}x"),
    "left recursion": ("grammar", 'start: start "a" | "a"'),
    "ambiguous": ("grammar", 'start: e\ne: e e | "a" | ""'),
    "long repetition": ("grammar", 'start: "a"{1000000}'),
    "intersection": ("grammar", "start: A\nA: /.*a.{20}/ & /.*b.{21}/ & /.*c.{22}/"),
    "long strings": ("json_schema", {"type": "string", "maxLength": 100_000_000}),
    "long lists": ("json_schema", {"type": "array", "minItems": 1_000_000}),
    "large numbers": ("json_schema", {"type": "integer", "minimum": 1, "maximum": 1e300}),
}


def _messages(key: str, value: Any) -> Iterator[str]:
    """Yield what `Automaton.check`, `autocog check` and `Model.complete` say; "" if nothing."""
    action = Complete(uid="c", length=30, **{key: value})
    yield "\n".join(map(str, Automaton([action]).check()))
    with open("program.yaml", "w", encoding="utf-8") as file:
        json.dump({"actions": [{"uid": "c", "length": 30, key: value}]}, file)
    result = CliRunner().invoke(app, ["check", "program.yaml"])
    yield result.stderr.strip()
    model = Model(RandomLM(seed=1, vocabulary="merges"))
    try:
        model.complete("b", max_tokens=30, **{key: value})
    except AutocogError as error:
        yield error.message
    else:
        yield ""
    assert model.complete("b", regex="a", max_tokens=2).text == "a"


def main() -> None:
    """Try each constraint, and print its name, the seconds it took, and the messages."""
    # Imports happen once, and not in the time of the first one.
    list(_messages("regex", "a"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS,) * 2)
    cases = [(name, key, value) for name, (key, value, _) in REFUSED.items()]
    for name, key, value in [*cases, *((name, *case) for name, case in EXPENSIVE.items())]:
        begun = time.process_time()
        messages = list(_messages(key, value))
        json.dump([name, time.process_time() - begun, messages], sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
