"""Trees as text: one line per node, with the best path marked, within the terminal's width."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from autocog_core import Automaton, Budget
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from autocog_core.viz.tree_text import tree_text
from tests.support.small_backends import random_model


def lines_of(tree: ThoughtTree, width: int = 80, **options: Any) -> list[str]:
    header, *lines = tree_text(tree, width, **options).plain.split("\n")
    assert header.split() == ["action", "text", "prob", "logprob"]
    return [line for line in lines if not line.startswith("pruned: ")]


def run(actions: list[dict[str, Any]], **options: Any) -> ThoughtTree:
    return Automaton.from_dict({"actions": actions}).run(random_model(seed=3), **options)


def test_each_node_has_a_line_with_its_numbers() -> None:
    tree = run(
        [
            {"uid": "ask", "text": "Is it?\n"},
            {"uid": "c", "name": "answer", "choices": [" yes", " no", " perhaps"]},
            {"uid": "t", "length": 3},
        ]
    )
    lines = lines_of(tree)
    assert len(lines) == len(tree.nodes) == 5
    for line, node in zip(lines, tree.nodes, strict=True):
        assert (node.name or node.uid) in line
        assert repr(node.text) in line
        assert (f"{node.path_logprob:.3f}" in line) == bool(node.logprobs)
        assert (node.pruned_by or "") in line
    assert [line[0] == ">" for line in lines] == [node.pruned_by is None for node in tree.nodes]
    assert lines[-1].endswith("length")
    assert f"{max(node.prob for node in tree.nodes[1:4]):.4f}" in "\n".join(lines)


def test_a_constrained_text_shows_its_share_of_what_was_allowed() -> None:
    text: dict[str, Any] = {"uid": "t", "logprobs": (-3.0, -2.0)}
    cut: dict[str, Any] = {"allowed": (-1.0, -2.0), "finish_reason": "incomplete", **text}
    nodes = (
        ThoughtNode(text="1", allowed=(-1.0, -0.5), prob_error=0.01, prob=0.8, **text),
        ThoughtNode(text="2", pruned_by="incomplete", **cut),
        ThoughtNode(text="3", **cut),
    )
    first, second, third = lines_of(ThoughtTree(nodes=nodes))
    assert first.endswith("constrained -3.500, ± 0.0100")
    assert second.endswith(" incomplete, constrained -2.000")
    assert third.endswith(" incomplete, constrained -2.000")


def test_branches_are_below_their_common_prefix() -> None:
    tree = run(
        [
            {"text": "x"},
            {"name": "first", "choices": ["a", "b", "c"], "width": 2},
            {"name": "second", "choices": ["d", "e"]},
        ]
    )
    lines = lines_of(tree)
    assert sum("├ " in line for line in lines) == 1
    assert sum("└ " in line for line in lines) == 1
    assert len(lines) == len(tree.nodes)
    first, second = (
        next(i for i, line in enumerate(lines) if corner in line) for corner in ("├ ", "└ ")
    )
    for index, guide in ((first, "│ "), (second, "  ")):
        for line in lines[index + 1 : index + 3]:
            assert line[2:].startswith("second")
            assert guide + "'" in line


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_lines_fit_the_width_of_the_terminal(width: int) -> None:
    text = "A long question about \x1b[31m red, 日本語, and more " * 9 + "\nAnswer:"
    tree = run(
        [
            {"uid": "u" * 50, "text": text},
            {"name": "answer", "choices": [text, text[:30]], "width": 2},
            {"text": "!"},
        ]
    )
    for line in lines_of(tree, width):
        assert cell_len(line) <= max(width, 55)
        assert "\x1b" not in line
    if width >= 60:
        assert "Answer:'" in lines_of(tree, width)[0], "the end of a long text is shown"


def test_of_many_siblings_the_likeliest_are_shown_in_tree_order() -> None:
    choices = [f"{number:03d}" for number in range(100)]
    tree = run([{"text": "x"}, {"choices": choices}])
    lines = lines_of(tree, siblings=5)
    likeliest = sorted(tree.nodes[1:], key=lambda node: -node.prob)[:5]
    expected = [node.text for node in tree.nodes if node in likeliest]
    assert [line.split("'")[1] for line in lines[1:-1]] == expected
    assert lines[-1].split() == ["…", "95", "more"]


def test_a_deep_tree_is_cut_at_the_maximum_number_of_lines() -> None:
    nodes = tuple(ThoughtNode(uid=f"u{i}", text="x", parent=i - 1) for i in range(20_000))
    lines = lines_of(ThoughtTree(nodes=nodes), lines=50)
    assert len(lines) == 51
    assert lines[-1] == "… 19950 more lines"


def test_the_tree_of_a_stopped_run_is_shown() -> None:
    actions = [{"text": "x"}, {"choices": ["a", "b"]}, {"length": 5}]
    tree = run(actions, budget=Budget(tokens=1))
    lines = lines_of(tree)
    assert sum(line.startswith(">") for line in lines) == 2
    assert any(line.endswith("budget") for line in lines)
    assert lines_of(run(actions, budget=Budget(tokens=0))) == []


def test_shares_have_bars_where_there_is_room() -> None:
    tree = run([{"uid": "a", "text": "x" * 50}, {"uid": "b", "choices": [" yes", " no", " so"]}])
    lines = tree_text(tree, 80, bar=lambda share: "#" * round(share * 10)).plain.split("\n")
    for node, line in zip(tree.nodes[1:], lines[2:], strict=False):
        assert line.count("#") == round(node.prob * 10)
    assert "#" not in lines[1]
    assert lines[-1] == "pruned: 2 (width)"
    assert "#" not in tree_text(tree, 40, bar=lambda share: "#").plain
