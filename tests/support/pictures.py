"""Automata to draw, and readers of the drawings: SVG, DOT and text."""

from __future__ import annotations

import html
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

from rich.console import Console

from autocog_core import Automaton, Choose, Complete, Text
from autocog_core.automaton import Action, Regex
from autocog_core.viz import graph_svg, graph_text

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = "\"quoted\" 'single' <b> & &lt; ]]> \\n \n\t\x00\ud800\u202e {|} \U0001f600 日本語"
Rectangle = tuple[float, float, float, float]


def linear() -> Automaton:
    return Automaton(
        [
            Text(uid="question", text="Which river?\nThought:", successors="thought"),
            Complete(uid="thought", length=48, stop="\n", beams=3, successors="ask"),
            Text(uid="ask", text="\nAnswer:", successors="answer"),
            Choose(uid="answer", name="river", choices=(" Rhine", " Seine"), width=2),
        ]
    )


def triage() -> Automaton:
    return Automaton(
        [
            Text(uid="ticket", text="Ticket: ...\nKind:", successors="kind"),
            Choose(
                uid="kind",
                choices=(" billing", " technical", " other"),
                successors=("amount", "log", "reply"),
            ),
            Text(uid="amount", text="\nAmount:", successors="read amount"),
            Complete(uid="read amount", length=8, vocab="digits", successors="reply"),
            Text(uid="log", text="\nLog:", successors="read log"),
            Complete(uid="read log", length=64, model="coder", successors="severity"),
            Choose(uid="severity", choices=(" low", " high"), model="judge", successors="reply"),
            Text(uid="reply", text="\nReply:", successors="write"),
            Complete(uid="write", length=200, samples=4, temperature=0.7, width=None),
        ],
        {"digits": Regex("[0-9.]+")},
    )


def loops() -> Automaton:
    return Automaton(
        [
            Text(uid="task", text="Improve it.\n", successors="draft"),
            Complete(uid="draft", length=40, stop="\n", max_visits=3, successors="good?"),
            Choose(
                uid="good?",
                choices=("good", "again", "worse"),
                successors=("self", "draft", "over"),
            ),
            Text(uid="over", text="Start over:\n", successors="draft"),
            Choose(uid="self", choices=("x", "y"), successors=("self", "end"), max_visits=5),
            Text(uid="end", text="."),
        ]
    )


def to_one(count: int) -> Automaton:
    choices = tuple(f" card_problem_{number}" for number in range(count))
    return Automaton(
        [Choose(uid="class", choices=choices, successors="after"), Text(uid="after", text=".")]
    )


def to_each(count: int) -> Automaton:
    uids = [f"handle {number}" for number in range(count)]
    choices = tuple(f" intent {number}" for number in range(count))
    return Automaton(
        [
            Choose(uid="class", choices=choices, successors=uids),
            *(Text(uid=uid, text=f"This is {uid}", successors=f"{uid} on") for uid in uids),
            *(Complete(uid=f"{uid} on", length=5) for uid in uids),
        ]
    )


def forest() -> Automaton:
    """17 x 18 leaves below 17 choices: 324 actions."""
    actions: list[Action] = []
    for branch in range(17):
        uids = [f"leaf {branch}.{leaf}" for leaf in range(18)]
        choices = tuple(f" {leaf}" for leaf in range(18))
        actions.append(Choose(uid=f"branch {branch}", choices=choices, successors=uids))
        actions += [Text(uid=uid, text="hello " * (n % 7 + 1)) for n, uid in enumerate(uids)]
    uids = [f"branch {branch}" for branch in range(17)]
    return Automaton([Choose(uid="root", choices=tuple(uids), successors=uids), *actions])


def questions(count: int) -> Automaton:
    """Each question can end it early, or leads to the next: long edges with shared waypoints."""
    actions: list[Action] = []
    for number in range(count):
        after = f"ask {number + 1}" if number < count - 1 else "found"
        successors = ("found", after, "unclear", "ask 0")
        actions.append(
            Text(uid=f"ask {number}", text=f"Is it {number}?", successors=f"is {number}")
        )
        actions.append(
            Choose(uid=f"is {number}", choices=tuple("abcd"), successors=successors, max_visits=2)
        )
    return Automaton([*actions, Text(uid="found", text="."), Text(uid="unclear", text="?")])


def tangle(seed: int) -> Automaton:
    """Any action may lead to any other."""
    random = Random(seed)
    actions = []
    for number in range(14):
        many = tuple(f"choice {n}" for n in range(random.randrange(1, 5)))
        actions.append(
            Choose(
                uid=f"n{number}",
                choices=many,
                successors=[f"n{random.randrange(14)}" for _ in many],
                max_visits=random.choice((2, 3)),
            )
        )
    return Automaton(actions)


def to_each_the_same(count: int) -> Automaton:
    one = to_one(count)
    assert isinstance(one.entry, Choose)
    many = Choose(uid="class", choices=one.entry.choices, successors=("after",) * count)
    return Automaton([many, one.actions[1]])


def awkward() -> Automaton:
    other = "<end> &lt;\\"
    return Automaton(
        [
            Text(uid=AWKWARD, text=AWKWARD, name=AWKWARD, model=AWKWARD, successors="[red]c[/]"),
            Choose(uid="[red]c[/]", choices=(AWKWARD, "b"), successors=(other, "x")),
            Complete(uid=other, length=3, stop=(AWKWARD, "\\"), successors="x"),
            Text(uid="x", text="]]>--> &lt;"),
        ]
    )


def edges_of(automaton: Automaton) -> set[tuple[str, str]]:
    return {(action.uid, uid) for action in automaton.actions for uid in action.successors}


def svg_of(automaton: Automaton) -> ET.Element:
    return ET.fromstring(graph_svg(automaton))


def groups(svg: ET.Element, name: str) -> list[ET.Element]:
    return [group for group in svg.iter(f"{SVG}g") if name in group.get("class", "").split()]


def rectangle(group: ET.Element) -> Rectangle:
    rect = group.find(f"{SVG}rect")
    assert rect is not None
    x, y, width, height = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def lines_of(group: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in group.iter(f"{SVG}text")]


def edge_paths(svg: ET.Element) -> Iterator[tuple[tuple[int, int], list[tuple[float, float]]]]:
    """Yield the ends of each edge, and points along it."""
    for path in svg.iter(f"{SVG}path"):
        if path.get("class") == "edge":
            ends = (int(path.get("data-from", "")), int(path.get("data-to", "")))
            yield ends, path_points(path.get("d", ""))


def path_points(path: str) -> list[tuple[float, float]]:
    route: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MLC])([^MLC]+)", path):
        values = [float(number) for number in numbers.split()]
        points = list(zip(values[::2], values[1::2], strict=True))
        if command == "C":
            points = [bezier([route[-1], *points], step / 20) for step in range(1, 21)]
        elif command == "L":
            (x, y), (to_x, to_y) = route[-1], points[0]
            points = [(x + (to_x - x) * n / 20, y + (to_y - y) * n / 20) for n in range(1, 21)]
        route += points
    return route


def bezier(points: Sequence[tuple[float, float]], at: float) -> tuple[float, float]:
    while len(points) > 1:
        points = [
            (a[0] + (b[0] - a[0]) * at, a[1] + (b[1] - a[1]) * at) for a, b in pairwise(points)
        ]
    return points[0]


def text_lines(automaton: Automaton, width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(graph_text(automaton))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def read_dot(dot: str) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return nodes and edges with their labels; fail at anything else."""
    string = r'"(?:[^"\\\n]|\\.)*"'
    attributes = rf"\[\w+=(?:{string}|[\w.]+)(?:, \w+=(?:{string}|[\w.]+))*\]"
    first, *body, last = dot.rstrip("\n").split("\n")
    assert (first, last) == ("digraph automaton {", "}")
    nodes: dict[str, str] = {}
    edges = []
    for line in body:
        if re.fullmatch(rf"  (node|edge) {attributes};", line):
            continue
        label = re.search(rf"label=({string})", line)
        text = unescape(label.group(1)) if label else ""
        if edge := re.fullmatch(rf"  (n\d+) -> (n\d+)(?: {attributes})?;", line):
            edges.append((edge.group(1), edge.group(2), text))
        else:
            node = re.fullmatch(rf"  (n\d+) {attributes};", line)
            assert node, line
            nodes[node.group(1)] = text
    assert {end for edge in edges for end in edge[:2]} <= set(nodes)
    return nodes, edges


def unescape(label: str) -> str:
    """Return the label as Graphviz draws it."""
    drawn = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "l" else m.group(1), label[1:-1])
    return html.unescape(drawn).rstrip("\n")
