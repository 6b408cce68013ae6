"""Which grammars are refused because their texts never end."""

from __future__ import annotations

import random
import time

import pytest

from autocog_core.constraints.grammar_recursion import find_endless_rule
from autocog_core.constraints.language import check_constraint
from autocog_core.types.constraint import Constraint
from tests.support.soak import count

#: (grammar, the rule that never ends; "" if all is well).
CASES = [
    ('start: "a" start', "start"),
    ('start: "a" start | "b"', ""),
    ('start: start "a" | "b"', ""),
    ('start: a\na: "x" b\nb: "y" a', "a"),
    ('start: a\na: "x" b\nb: "y" a | /z/', ""),
    ('start: "x" [ a ]\na: "c" a', ""),
    ('start: "x" a?\na: "c" a', ""),
    ('start: "x" a* a{0,2} a ~ 0..2\na: "c" a', ""),
    ('start: "x" a+\na: "c" a', "a"),
    ('start: "x" a{1,2}\na: "c" a', "a"),
    ('start: "x" a ~ 2\na: "c" a', "a"),
    ('start: ("x" | a) (a | B)\na: "c" a\nB: /b+/i', ""),
    ('start: ("x" | a) (a "c" | a)\na: "c" a', "a"),
    ('?start: a -> first\n!a: "b" a // | "c"\n# | "c"\n', "a"),
    ('start: "b" start\n  | "c"', ""),
    ('%ignore / /\nstart: "b" start\n', "start"),
    ('start: %json {"type": "object", "properties": {"start": {}}} start', "start"),
    ('start: %regex {"substring_words": "a | b"} | start', ""),
    ('start: a\na[capture]: "b" a', "a"),
    ('start: "a".."z" start "\\" | b"', "start"),
    ('%llguidance {"no_forcing": true}\nstart: "a" start', "start"),
]


@pytest.mark.parametrize("index", range(len(CASES)))
def test_grammars_whose_texts_never_end_are_refused(index: int) -> None:
    grammar, rule = CASES[index]
    message = f'the grammar allows no finite text: the rule "{rule}" contains itself without end'
    found = check_constraint(Constraint(kind="grammar", source=grammar))
    assert found == (message if rule else "")


def has_text(rules: dict[str, list[list[str]]], rule: str, depth: int) -> bool:
    """Return whether a rule derives a text with at most so many rules inside each other."""
    return depth > 0 and any(
        all(item not in rules or has_text(rules, item, depth - 1) for item in sequence)
        for sequence in rules[rule]
    )


def test_random_grammars_equal_a_search_for_a_derivation() -> None:
    drawn = random.Random(5)
    names = ["start", "a", "b", "c"]
    seen = set()
    for _ in range(count(normal=300, soak=20_000)):
        rules = {
            name: [
                [drawn.choice([*names, *names, '"x"']) for _ in range(drawn.randint(1, 2))]
                for _ in range(drawn.randint(1, 2))
            ]
            for name in names
        }
        lines = [f"{name}: {' | '.join(map(' '.join, body))}" for name, body in rules.items()]
        endless = find_endless_rule("\n".join(lines))
        assert bool(endless) == (not has_text(rules, "start", len(names)))
        if endless:
            assert not has_text(rules, endless, len(names))
        seen.add(bool(endless))
    assert seen == {True, False}


def test_unknown_syntax_is_left_to_the_run() -> None:
    for grammar in (
        "start: start $",
        "start start",
        "start: (start",
        'start: "a',
        "start{x}: start",
    ):
        assert find_endless_rule(grammar) == ""


def test_long_grammars_take_bounded_time() -> None:
    size = 1_900
    chain = [f"r{index}: r{index + 1} " + f"r{index + 2} " * 20 for index in range(size)]
    ends = [f"r{size}: r{size + 1}", f'r{size + 1}: "x"']
    for last in (ends, [*ends[:1], f"r{size + 1}: r0"]):
        begun = time.process_time()
        rule = find_endless_rule("\n".join(["start: r0", *chain, *last]))
        assert (rule == "") == (last is ends)
        assert time.process_time() - begun < 3
