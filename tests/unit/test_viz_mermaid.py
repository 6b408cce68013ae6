"""Mermaid flowcharts: the exact text of small programs, and labels that no text can break."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import Automaton, Choose, Complete, InputError, Text
from autocog_core.viz import graph_mermaid
from autocog_core.viz.flow import flow_nodes
from tests.support.pictures import awkward, edges_of, forest, linear, loops, tangle, triage
from tests.support.soak import count

STYLES = """\
  classDef text fill:#ffffff,stroke:#94a3b8,color:#1f2937
  classDef choose fill:#fff7e0,stroke:#d9a021,color:#1f2937
  classDef complete fill:#eafaf1,stroke:#3fa672,color:#1f2937
"""
LINEAR = """\
flowchart TD
  n0["text question<br/>'Which river?#92;nThought#58;'"]:::text
  n1("complete thought<br/>48 tokens · stop '#92;n' · 3 beams"):::complete
  n2["text ask<br/>'#92;nAnswer#58;'"]:::text
  n3{{"choose answer<br/>field river · 2 choices · width 2<br/>' Rhine'<br/>' Seine'"}}:::choose
  n0 --> n1
  n1 --> n2
  n2 --> n3
"""
LOOPS = """\
flowchart TD
  n0["text task<br/>'Improve it.#92;n'"]:::text
  n1("complete draft<br/>40 tokens · stop '#92;n' · 1 beam<br/>max_visits 3"):::complete
  n2{{"choose good?<br/>3 choices"}}:::choose
  n3{{"choose self<br/>2 choices · max_visits 5"}}:::choose
  n4["text end<br/>'.'"]:::text
  n5["text over<br/>'Start over#58;#92;n'"]:::text
  n0 --> n1
  n1 --> n2
  n2 -->|"'good'"| n3
  n2 -.->|"'again'<br/>max_visits 3"| n1
  n2 -->|"'worse'"| n5
  n3 -.->|"'x'<br/>max_visits 5"| n3
  n3 -->|"'y'"| n4
  n5 -.->|"max_visits 3"| n1
"""
LABEL = r'"([^"\n]*)"'
NODE = re.compile(
    rf"  (n\d+)(?:\[{LABEL}\]:::text|\{{\{{{LABEL}\}}\}}:::choose|\({LABEL}\):::complete)"
)
EDGE = re.compile(rf"  (n\d+) (-->|-\.->)(?:\|{LABEL}\|)? (n\d+)")
#: Words and signs that Mermaid, Markdown or HTML reads as markup.
MARKUP = (
    *(
        "end",
        "subgraph",
        "click n0",
        "direction LR",
        "DIRECTION  td",
        "style:#fff;",
        "classDef a:b#c;",
    ),
    *(
        "%%",
        "%%{init: {}}%%",
        "---",
        "-->",
        ":::choose",
        "@{shape: rect}",
        "#35;",
        "#quot;",
        "&lt;",
    ),
    *(
        "`md`",
        "**b**",
        "_i_",
        "a_b",
        "~~s~~",
        "$$x$$",
        "<br/>",
        "<script>",
        '"',
        "'",
        "[x]",
        "{{x}}",
    ),
    *("|", "\\", "\n", "\t", ";", ":", "a: b", "  ", "ﬂ°°35¶ß", "日本語", "\U0001f600", "\ud800"),
)
texts = st.lists(st.sampled_from(MARKUP) | st.text(max_size=5), max_size=6).map("".join)


def read_mermaid(chart: str) -> tuple[dict[str, str], list[tuple[str, str, str, str]]]:
    """Return the labels of nodes, and edges as (source, arrow, target, label)."""
    assert chart.startswith("flowchart TD\n")
    assert chart.endswith(STYLES)
    nodes, edges = {}, []
    for line in chart.removeprefix("flowchart TD\n").removesuffix(STYLES).splitlines():
        if edge := EDGE.fullmatch(line):
            source, arrow, label, target = edge.groups(default="")
            edges.append((source, arrow, target, decode(label)))
        else:
            node = NODE.fullmatch(line)
            assert node, line
            nodes[node[1]] = decode("".join(node.groups(default="")[1:]))
    return nodes, edges


def decode(label: str) -> str:
    """Return what Mermaid shows; an error for what it could read as markup."""
    bare = re.sub(r"#\d+;|<br/>", "\0", label)
    assert not re.search(r"""["#&<>;`\[\]{}|\\~$%*@^°¶]|:(?! )|\b_|_\b|direction |  """, bare, re.I)
    return html.unescape(label.replace("<br/>", "\n").replace("#", "&#"))


def shown(*rows: str) -> str:
    """Return the lines of a label, with the blanks that Mermaid would join kept apart."""
    text = "\n".join(row.strip() for row in rows)
    return re.sub(r"(?<=direction) |(?<= ) ", "\xa0", text, flags=re.IGNORECASE)


def test_the_text_of_small_programs() -> None:
    assert graph_mermaid(linear()) == LINEAR + STYLES
    assert graph_mermaid(loops()) == LOOPS + STYLES


@pytest.mark.parametrize(
    "automaton", [triage(), awkward(), forest(), *map(tangle, range(5))], ids=lambda _: ""
)
def test_every_action_and_edge_is_in_the_flowchart(automaton: Automaton) -> None:
    nodes, edges = read_mermaid(graph_mermaid(automaton))
    drawn = flow_nodes(automaton)
    assert nodes == {
        f"n{index}": shown(f"{node.kind} {node.title}", *node.rows)
        for index, node in enumerate(drawn)
    }
    uids = {f"n{index}": node.action.uid for index, node in enumerate(drawn)}
    assert {(uids[source], uids[target]) for source, _, target, _ in edges} == edges_of(automaton)
    back = {(edge.source, edge.target) for node in drawn for edge in node.edges if edge.back}
    dotted = {(int(s[1:]), int(t[1:])) for s, arrow, t, _ in edges if arrow == "-.->"}
    assert dotted == back


@settings(max_examples=count(normal=15, soak=100))
@given(st.lists(texts, min_size=4, max_size=4, unique=True), texts, texts, texts)
def test_no_text_breaks_a_label(uids: list[str], text: str, name: str, choice: str) -> None:
    first, choose, complete, last = uids
    automaton = Automaton(
        [
            Text(uid=first, text=text, name=name, successors=choose),
            Choose(uid=choose, choices=(choice, "b"), successors=(first, complete), max_visits=2),
            Complete(uid=complete, length=3, stop=(text,), model=name, successors=last),
            Text(uid=last, text=choice),
        ]
    )
    nodes, edges = read_mermaid(graph_mermaid(automaton))
    drawn = flow_nodes(automaton)
    assert list(nodes.values()) == [shown(f"{n.kind} {n.title}", *n.rows) for n in drawn]
    labels = [shown(*edge.rows) for node in drawn for edge in node.edges]
    assert [label for *_, label in edges] == labels


def test_an_automaton_that_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="no actions"):
        graph_mermaid(Automaton([]))
    with pytest.raises(InputError, match="unknown successor"):
        graph_mermaid(Automaton([Text(uid="a", text=".", successors="b")]))


def test_the_flowchart_in_the_documentation() -> None:
    root = Path(__file__).parents[2]
    program = Automaton.from_file(root / "examples/speed_of_light/speed_of_light.yaml")
    assert graph_mermaid(program) in (root / "docs/automata.md").read_text(encoding="utf-8")
