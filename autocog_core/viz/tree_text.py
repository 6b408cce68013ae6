"""A result tree as text for a terminal: one line a node, the best path marked.

What follows a node stands below it. Only where paths part is it indented, so that a long chain
stays on the left; and of many siblings the likeliest are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from autocog_core.viz.preview import name_preview, preview

PICK = ">"
_ELLIPSIS = "…"
_LONGEST_LABEL = 16
_LEAST_TEXT = 12
_NUMBERS = f"{'prob':>7} {'logprob':>9}"


def tree_text(tree: ThoughtTree, width: int = 80, *, siblings: int = 8, lines: int = 200) -> Text:
    """The tree, a line a node: action, text, share among its siblings, log-probability so far.

    Below it stands why some numbers are not exact, if any are not.

    :param width: of the terminal.
    :param siblings: how many of those that are not followed are shown.
    :param lines: how many lines at most.
    """
    best = _best(tree)
    shown = list(_lines(tree, siblings))
    columns = _Columns.of(tree, width)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(columns.header(), style="bold")
    for line in shown[:lines]:
        text.append("\n")
        text.append_text(columns.line(tree, line, line.node in best))
    if len(shown) > lines:
        text.append(f"\n{_ELLIPSIS} {len(shown) - lines} more lines", style="dim")
    for reason, count in Counter(node.reason for node in tree.nodes if node.reason).items():
        text.append(f"\nnot exact: {reason} ({count} of {len(tree.nodes)})", style="dim")
    return text


@dataclass(frozen=True, slots=True)
class _Line:
    """A node behind what shows its place; or how many siblings are left out.

    :ivar node: its index; -1 for those left out.
    """

    guide: str
    node: int
    left_out: int = 0


def _best(tree: ThoughtTree) -> set[int]:
    """The nodes of the best path, complete or not."""
    found = set()
    if tree.nodes:
        index = tree.best(partial=True).index
        while index >= 0:
            found.add(index)
            index = tree.nodes[index].parent
    return found


def _lines(tree: ThoughtTree, siblings: int) -> Iterator[_Line]:
    """Down each path before the next one; no recursion, for paths may be long."""
    stack: list[_Line | tuple[str, int]] = [("", -1)]
    while stack:
        entry = stack.pop()
        if isinstance(entry, _Line):
            yield entry
            continue
        guide, parent = entry
        stack += reversed(list(_group(tree, guide, tree.children[parent], siblings)))


def _group(
    tree: ThoughtTree, guide: str, group: Sequence[int], siblings: int
) -> Iterator[_Line | tuple[str, int]]:
    """The children of a node, and where what follows them stands."""
    inner = [index for index in group if tree.children[index]]
    leaves = sorted(
        (index for index in group if not tree.children[index]),
        key=lambda index: (tree.nodes[index].pruned_by is not None, -tree.nodes[index].prob),
    )
    kept = {*inner, *leaves[:siblings]}
    shown = [index for index in group if index in kept]
    for index in shown:
        if len(inner) > 1 and index in inner:
            corner, beside = ("└ ", "  ") if index == inner[-1] else ("├ ", "│ ")
            yield _Line(guide + corner, index)
            yield guide + beside, index
        else:
            yield _Line(guide, index)
    if len(shown) < len(group):
        yield _Line(guide, -1, len(group) - len(shown))
    if len(inner) == 1:
        yield guide, inner[0]


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide things are.

    :ivar label: the action's column. `text`: that of guide and text.
    """

    label: int
    text: int

    @classmethod
    def of(cls, tree: ThoughtTree, width: int) -> _Columns:
        labels = (cell_len(_label(node)) for node in tree.nodes)
        label = min(_LONGEST_LABEL, max(labels, default=0), max(4, width // 5))
        notes = max((cell_len(_note(node)) for node in tree.nodes), default=0)
        rest = width - len(PICK) - label - len(_NUMBERS) - notes - 4
        return cls(max(label, 6), max(_LEAST_TEXT, rest))

    def header(self) -> str:
        return f"  {'action':<{self.label}} {'text':<{self.text}} {_NUMBERS}"

    def line(self, tree: ThoughtTree, line: _Line, picked: bool) -> Text:
        if line.node < 0:
            return Text(
                f"  {'':<{self.label}} {line.guide}{_ELLIPSIS} {line.left_out} more", style="dim"
            )
        node = tree.nodes[line.node]
        guide = line.guide[-(self.text - _LEAST_TEXT) :] if self.text > _LEAST_TEXT else ""
        content = guide + preview(node.text, self.text - len(guide))
        label = set_cell_size(name_preview(_label(node), self.label), self.label)
        pruned = node.pruned_by is not None
        text = Text.assemble(
            (PICK if picked else " ", "bold green"),
            " ",
            (label, "" if pruned else "cyan"),
            " ",
            set_cell_size(content, self.text),
            f" {_numbers(tree, line.node)}",
            (f" {_note(node)}".rstrip(), "dim"),
            style="dim" if pruned else "bold" if picked else "",
        )
        text.rstrip()
        return text


def _label(node: ThoughtNode) -> str:
    return node.name or node.uid


def _numbers(tree: ThoughtTree, index: int) -> str:
    """Its share, where it has siblings; its score, where the model decided something."""
    node = tree.nodes[index]
    alone = len(tree.children[node.parent]) == 1
    share = "" if alone else "<.0001" if 0 < node.prob < 0.00005 else f"{node.prob:.4f}"
    return f"{share:>7} {f'{node.path_logprob:.3f}' if node.logprobs else '':>9}"


def _note(node: ThoughtNode) -> str:
    """What else is to know: why no path goes on, or how a completion ended."""
    notes = [
        node.pruned_by,
        node.finish_reason if node.finish_reason == "length" else None,
        f"on {node.model}" if node.model is not None else None,
        None if node.exact else "not exact",
    ]
    return ", ".join(note for note in notes if note)
