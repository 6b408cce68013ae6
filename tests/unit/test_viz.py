"""Drawings of automata: they are complete, nothing overlaps, and no text breaks the format."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from rich.cells import cell_len

from autocog_core import EOS, Automaton, Choose, Complete, InputError, Text
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece
from autocog_core.viz import graph_dot, graph_svg, preview
from autocog_core.viz.flow import flow_nodes
from autocog_core.viz.labels import action_settings
from tests.support.operations import growth
from tests.support.pictures import (
    AWKWARD,
    SVG,
    Rectangle,
    awkward,
    edge_paths,
    edges_of,
    forest,
    groups,
    linear,
    lines_of,
    loops,
    questions,
    read_dot,
    rectangle,
    svg_of,
    tangle,
    text_lines,
    to_each,
    to_each_the_same,
    to_one,
    triage,
)
from tests.support.soak import count

PICTURES = {
    "linear": linear(),
    "triage": triage(),
    "loops": loops(),
    "77 to one": to_one(77),
    "4 to each": to_each(4),
    "77 to each": to_each(77),
    "324 actions": forest(),
    "questions": questions(12),
    **{f"tangle {seed}": tangle(seed) for seed in range(25)},
}
each_picture = pytest.mark.parametrize("automaton", PICTURES.values(), ids=PICTURES)


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@each_picture
def test_every_action_and_every_edge_is_in_the_svg(automaton: Automaton) -> None:
    svg = svg_of(automaton)
    nodes = flow_nodes(automaton)
    titles = [lines_of(group)[0] for group in groups(svg, "action")]
    assert titles == [f"{node.action.kind}  {node.action.uid}" for node in nodes]
    drawn = [ends for ends, _ in edge_paths(svg)]
    uids = [node.action.uid for node in nodes]
    assert {(uids[source], uids[target]) for source, target in drawn} == edges_of(automaton)
    assert len(drawn) == len(set(drawn))


@each_picture
def test_nothing_overlaps_or_leaves_the_picture(automaton: Automaton) -> None:
    svg = svg_of(automaton)
    placed = [rectangle(group) for name in ("action", "label") for group in groups(svg, name)]
    assert not [(a, b) for a, b in combinations(placed, 2) if overlap(a, b)]
    width, height = float(svg.get("width", "")), float(svg.get("height", ""))
    for left, top, right, bottom in placed:
        assert 0 < left < right < width
        assert 0 < top < bottom < height
    for _, points in edge_paths(svg):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


@each_picture
def test_edges_run_from_source_to_target_around_all_other_boxes(
    automaton: Automaton,
) -> None:
    svg = svg_of(automaton)
    boxes = [rectangle(group) for group in groups(svg, "action")]
    points = dict(edge_paths(svg))
    ends = {target: [] for _, target in points}
    for (_, target), route in points.items():
        ends[target].append(route)
    for (source, target), route in points.items():
        assert on_border(route[0], boxes[source])
        # An edge may end on another one, which goes on to the box.
        others = [point for other in ends[target] if other is not route for point in other]
        assert on_border(route[-1], boxes[target]) or route[-1] in others
        for box in boxes:
            left, top, right, bottom = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
            assert not any(left < x < right and top < y < bottom for x, y in route)
    for target, arriving in ends.items():
        assert any(on_border(route[-1], boxes[target]) for route in arriving)


def on_border(point: tuple[float, float], box: Rectangle) -> bool:
    (x, y), (left, top, right, bottom) = point, box
    inside = left - 0.2 <= x <= right + 0.2 and top - 0.2 <= y <= bottom + 0.2
    return inside and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) <= 0.2


def test_only_edges_that_close_cycles_go_up() -> None:
    automaton = loops()
    svg = svg_of(automaton)
    nodes = flow_nodes(automaton)
    top = [rectangle(group)[1] for group in groups(svg, "action")]
    back = {(e.source, e.target) for node in nodes for e in node.edges if e.back}
    uids = [node.action.uid for node in nodes]
    assert {(uids[s], uids[t]) for s, t in back} == {
        ("good?", "draft"),
        ("over", "draft"),
        ("self", "self"),
    }
    for source, target in (ends for ends, _ in edge_paths(svg)):
        assert ((source, target) in back) == (top[target] <= top[source])


def test_back_edges_show_max_visits() -> None:
    labels = {line for group in groups(svg_of(loops()), "label") for line in lines_of(group)}
    assert {"'again' · max_visits 3", "max_visits 3", "'x' · max_visits 5"} <= labels
    dot = graph_dot(loops())
    assert len(re.findall(r"max_visits \d.* style=dashed", dot)) == 3
    text = text_lines(loops())
    assert [line.split("->")[1] for line in text if "back" in line] == [
        " draft (back, max_visits 3)",
        " self (back, max_visits 5)",
        " draft (back, max_visits 3)",
    ]


def test_a_back_edge_shows_the_smallest_max_visits_of_its_cycle() -> None:
    automaton = Automaton(
        [
            Text(uid="outer", text="a", max_visits=9, successors="inner"),
            Text(uid="inner", text="b", successors="middle"),
            Complete(uid="middle", length=1, max_visits=4, successors="go on"),
            Choose(uid="go on", choices=("i", "o"), successors=("inner", "outer")),
        ]
    )
    nodes = flow_nodes(automaton)
    bounds = {
        nodes[edge.target].action.uid: edge.limit
        for node in nodes
        for edge in node.edges
        if edge.back
    }
    assert bounds == {"inner": "max_visits 4", "outer": "max_visits 4"}


def test_text_has_one_line_an_action() -> None:
    assert text_lines(linear()) == [
        "text      question  'Which river?\\nThought:'                             -> thought",
        "complete  thought   48 tokens, stop '\\n', 3 beams                        -> ask",
        "text      ask       '\\nAnswer:'                                          -> answer",
        "choose    answer    field river, 2 choices, width 2, ' Rhine', ' Seine'  end",
    ]


def test_choices_with_different_successors_have_their_own_lines() -> None:
    lines = [re.sub(r"\s+", " ", line) for line in text_lines(triage())]
    assert lines[1:5] == [
        "choose kind 3 choices",
        " ' billing' -> amount",
        " ' technical' -> log",
        " ' other' -> reply",
    ]
    assert "choose severity 2 choices, model judge, ' low', ' high' -> reply" in lines
    assert "complete write 200 tokens, 4 samples, temperature 0.7, width all end" in lines
    assert "complete read amount 8 tokens, 1 beam, vocab digits -> reply" in lines


def test_many_choices_to_one_action_are_one_edge_with_their_number() -> None:
    for automaton in (to_one(200), to_each_the_same(200)):
        svg = svg_of(automaton)
        assert [lines_of(group) for group in groups(svg, "label")] == [["any of 200 choices"]]
        assert len(list(edge_paths(svg))) == 1
        assert graph_dot(automaton).count("->") == 1
        assert sum("->" in line for line in text_lines(automaton)) == 1


def test_choices_that_share_a_successor_share_an_edge() -> None:
    choices = tuple(f"c{number}" for number in range(90))
    successors = ["most"] * 88 + ["few"] * 2
    automaton = Automaton(
        [
            Choose(uid="q", choices=choices, successors=successors),
            Text(uid="most", text="."),
            Text(uid="few", text="."),
        ]
    )
    labels = [line for group in groups(svg_of(automaton), "label") for line in lines_of(group)]
    assert labels == ["'c0', 'c1', 'c2', 'c3' and 84 more", "'c88', 'c89'"]


def test_a_wide_drawing_goes_from_left_to_right() -> None:
    svg = svg_of(to_each(77))
    assert float(svg.get("width", "")) < 1000
    assert float(svg_of(to_each(4)).get("height", "")) < 600
    boxes = [rectangle(group) for group in groups(svg, "action")]
    assert all(boxes[0][2] < box[0] for box in boxes[1:])


def test_long_texts_and_names_are_cut_in_the_middle() -> None:
    long = "beginning " + "x" * 100_000 + " ending"
    automaton = Automaton(
        [
            Text(uid="u" * 500 + "v", text=long, successors="c"),
            Choose(uid="c", name="n" * 900, choices=(long, long + "!"), successors="f"),
            Complete(uid="f", length=3, stop=(long,) * 9, model="m" * 900, successors="lines"),
            Text(uid="lines", text="\n".join(f"line {n}" for n in range(900))),
        ]
    )
    rows = [line for group in groups(svg_of(automaton), "action") for line in lines_of(group)]
    assert max(cell_len(row) for row in rows) < 120
    assert any(row.startswith("'beginning ") and row.endswith(" ending'") for row in rows)
    assert [row.strip() for row in rows[-5:]] == [
        "'line 0\\n'",
        "'line 1\\n'",
        "'line 2\\n'",
        "and 896 more lines",
        "'line 899'",
    ]
    assert max(len(line) for line in graph_dot(automaton).splitlines()) < 600
    assert max(len(line) for line in text_lines(automaton, width=1000)) < 400


@pytest.mark.parametrize("width", [8, 20, 40])
@pytest.mark.parametrize("text", [AWKWARD, "a" * 90, "\n" * 90, "日本語" * 30, "\U0001f600" * 50])
def test_a_preview_fits_on_one_line_of_its_width(text: str, width: int) -> None:
    shown = preview(text, width)
    assert cell_len(shown) <= width
    assert shown.isprintable()
    assert "…" in shown


def test_constraints_are_shown_in_short() -> None:
    def settings(**more: Any) -> str:
        return " · ".join(action_settings(Complete(uid="c", length=3, **more)))

    assert settings(regex=r"\d+\n|" + "x" * 90, followed_by=r"\.", eos=False) == (
        rf"3 tokens · 1 beam · no eos · regex \d+\n|{'x' * 12}…{'x' * 9} · followed by \."
    )
    assert settings(grammar="start: " * 99) == "3 tokens · 1 beam · grammar"
    assert settings(json_schema={}, samples=2, importance_weights=True) == (
        "3 tokens · 2 samples · temperature 1 · json_schema · importance weights"
    )


def test_a_preview_shows_the_source_of_templates() -> None:
    assert preview("it's\n") == repr("it's\n")
    assert preview(Template("Dear {{ name }}\n")) == repr("Dear {{ name }}\n")
    assert preview(Each("options")) == "each of options"
    prompt = Prompt((TextPiece("<s>", trusted=True), TokenPiece((1, 2)), TextPiece("x")))
    assert preview(prompt) == "'<s><2 tokens>x'"
    automaton = Automaton(
        [
            Text(uid="q", text=Template("Q: {{ question }}"), successors="c"),
            Choose(uid="c", choices=(Each("options"), Template("{{ other }}")), successors="e"),
            Choose(uid="e", choices=(Each("options", "{{ item }}!"),), suffix=EOS),
        ]
    )
    for shown in (graph_svg(automaton), graph_dot(automaton), "\n".join(text_lines(automaton))):
        assert "Q: {{ question }}" in shown
        assert "1 choice and a list" in shown
        assert "each of options" in shown
        assert "{{ other }}" in shown
        assert "each of options: {{ item }}!" in shown
        assert "end EOS" in shown


def test_special_characters_survive() -> None:
    automaton = awkward()
    svg = svg_of(automaton)
    groups_of_actions = groups(svg, "action")
    assert lines_of(groups_of_actions[3])[1] == "']]>--> &lt;'"
    assert lines_of(groups_of_actions[2])[0] == "complete  <end> &lt;\\\\"
    assert lines_of(groups_of_actions[1])[0] == "choose  [red]c[/]"
    (label, *_) = [line for group in groups(svg, "label") for line in lines_of(group)]
    assert label == preview(AWKWARD, 28)
    assert any("[red]c[/]" in line for line in text_lines(automaton))
    nodes, edges = read_dot(graph_dot(automaton))
    assert nodes["n0"].split("\n")[1].startswith(preview(AWKWARD, 44)[:12])
    assert nodes["n3"] == "text x\n']]>--> &lt;'"
    assert edges[0] == ("n0", "n1", "")
    assert edges[1][2] == preview(AWKWARD, 28)


@each_picture
def test_dot_has_every_action_and_edge(automaton: Automaton) -> None:
    nodes = flow_nodes(automaton)
    labels, edges = read_dot(graph_dot(automaton))
    titles = [label.split("\n")[0] for label in labels.values()]
    assert titles == [f"{node.action.kind} {node.action.uid}" for node in nodes]
    uids = {f"n{number}": node.action.uid for number, node in enumerate(nodes)}
    assert {(uids[source], uids[target]) for source, target, _ in edges} == edges_of(automaton)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize(
    "automaton", [linear(), triage(), loops(), to_one(77), awkward()], ids=lambda _: ""
)
def test_graphviz_reads_it(automaton: Automaton) -> None:
    drawn = subprocess.run(
        ["dot", "-Tsvg"], input=graph_dot(automaton).encode(), capture_output=True, timeout=60
    )
    assert drawn.returncode == 0
    assert b"rror" not in drawn.stderr
    svg = ET.fromstring(drawn.stdout)
    assert len(groups(svg, "node")) == len(automaton.actions)
    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    for label in read_dot(graph_dot(automaton))[0].values():
        for row in label.split("\n"):
            assert re.sub(r"\s+", " ", row).strip() in [
                re.sub(r"\s+", " ", text).strip() for text in texts
            ]


def test_an_svg_needs_nothing_from_outside() -> None:
    source = graph_svg(triage())
    svg = ET.fromstring(source)
    first = svg[0]
    assert (first.tag, first.get("width"), first.get("height")) == (
        f"{SVG}rect",
        svg.get("width"),
        svg.get("height"),
    )
    assert first.get("fill") == "#f8fafc"
    assert "href" not in source
    assert "url(" not in source
    assert source.count("http") == 1
    assert 'font-family="monospace"' in source


def chain(length: int) -> Automaton:
    return Automaton(
        Text(uid=f"t{n}", text=f"text {n}", successors=f"t{n + 1}" if n < length - 1 else ())
        for n in range(length)
    )


def test_long_chains_are_drawn_whole() -> None:
    length = count(normal=600, soak=10_000)
    long = chain(length)
    svg = svg_of(long)
    assert len(groups(svg, "action")) == length
    assert len({rectangle(group)[0] for group in groups(svg, "action")[:9]}) == 1
    assert len(list(edge_paths(svg))) == length - 1
    assert graph_dot(long).count("->") == length - 1
    assert len(text_lines(long)) == length


def test_many_edges_to_one_end_share_their_way() -> None:
    svg = svg_of(questions(count(normal=100, soak=500)))
    assert float(svg.get("width", "")) < 2400


@pytest.mark.parametrize("draw", [graph_svg, graph_dot])
@pytest.mark.parametrize("automaton", [chain, questions])
def test_drawing_takes_nearly_linear_time(
    draw: Callable[[Automaton], str], automaton: Callable[[int], Automaton]
) -> None:
    def drawing(size: int) -> Callable[[], str]:
        drawn = automaton(size)
        return lambda: draw(drawn)

    size = count(normal=400, soak=2_000) if automaton is chain else 80
    # Quadratic work would be 16 times as much.
    assert growth(drawing, size // 4, size) < 8


def test_automata_with_errors_are_drawn_if_their_successors_exist() -> None:
    invalid = Automaton(
        [
            Choose(uid="a", choices=("x",), successors=("b", "c", "d")),
            Text(uid="b", text=".", successors="a"),
            Text(uid="c", text="."),
            Text(uid="d", text="."),
            Text(uid="alone", text="!", successors="c"),
        ]
    )
    assert invalid.errors()
    assert len(groups(svg_of(invalid), "action")) == 5
    assert text_lines(invalid)[0].split()[1] == "a"
    assert len(read_dot(graph_dot(invalid))[1]) == 5
    with pytest.raises(InputError, match=r'action "a": unknown successor "bb"; did you mean "b"'):
        graph_svg(Automaton([Text(uid="a", text=".", successors="bb"), Text(uid="b", text=".")]))
    with pytest.raises(InputError, match="no actions"):
        graph_dot(Automaton([]))
