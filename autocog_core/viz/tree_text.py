"""A result tree as text for a terminal: one line a node, the best path marked.

The children of a node are below it. They are indented only where several of them have children, so
that a long chain stays on the left. Of many siblings the likeliest are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from autocog_core.types.choice_value import default_value, value_text
from autocog_core.types.share_bar import BAR_WIDTH
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from autocog_core.viz.preview import name_preview, preview

_ELLIPSIS = "…"
_MAX_LABEL = 16
_MIN_LABEL = len("action")
_MIN_TEXT = 12
#: Bars are drawn if they leave so many columns to the texts.
_MIN_TEXT_BESIDE_BARS = 24
#: Returns a share as a bar of blocks, at most `BAR_WIDTH` of them.
Bar = Callable[[float], str]
#: A line: its indent, the index of its node, and how many siblings it leaves out instead.
_Row = tuple[str, int, int]
_Rows = Iterator["_Row | _Rows"]


def tree_text(
    tree: ThoughtTree,
    width: int = 80,
    *,
    siblings: int = 8,
    lines: int = 200,
    bar: Bar | None = None,
) -> Text:
    """Return the tree: action, text, share among the siblings, log-probability of the path.

    The last lines count the branches that the run did not follow, and say why some numbers are not
    exact, if any are not.

    :param tree: the result of an automaton.
    :param width: the columns of the terminal.
    :param bar: draws the shares, where the terminal has the width for it.
    :param siblings: the most nodes without children that are shown below one node.
    :param lines: the most lines.
    """
    labels = [cell_len(_label(node)) for node in tree.nodes]
    label = max(_MIN_LABEL, min(_MAX_LABEL, max(labels, default=0), width // 5))
    notes = max((cell_len(_note(node)) for node in tree.nodes), default=0)
    rows = list(_rows(tree, siblings))
    longest = max(
        (cell_len(indent) + _text_width(tree, index, width) for indent, index, _ in rows[:lines]),
        default=0,
    )
    room = width - label - len(_numbers("prob", "logprob")) - notes - 5
    if room - BAR_WIDTH - 1 < min(longest, _MIN_TEXT_BESIDE_BARS):
        bar = None
    column = max(_MIN_TEXT, min(longest, room - (BAR_WIDTH + 1 if bar else 0)))
    numbers = _numbers("prob", "logprob", "" if bar else None)
    columns = _Columns(label, column, bar)
    best = _best_path(tree)
    parts = [Text(f"  {'action':<{label}} {'text':<{column}} {numbers}", style="bold")]
    for indent, index, left_out in rows[:lines]:
        if left_out:
            line = f"  {'':<{label}} {indent}{_ELLIPSIS} {left_out} more"
            parts.append(Text(line, style="dim"))
        else:
            parts.append(_node_line(tree, index, indent, columns, index in best))
    if len(rows) > lines:
        parts.append(Text(f"{_ELLIPSIS} {len(rows) - lines} more lines", style="dim"))
    parts += [Text(line, style="dim") for line in _summary(tree)]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(parts)


def _numbers(share: str, logprob: str, bar: str | None = None) -> str:
    """Return the columns of numbers, with one for bars unless `bar` is None."""
    drawn = "" if bar is None else f"{bar:<{BAR_WIDTH}} "
    return f"{share:>7} {drawn}{logprob:>9}"


def _text_width(tree: ThoughtTree, index: int, width: int) -> int:
    """Return the columns of a node's text in quotes; of a long one, at least `width`."""
    text = "" if index < 0 else tree.nodes[index].text
    return max(_MIN_TEXT, width if len(text) > width else cell_len(repr(text)))


def _summary(tree: ThoughtTree) -> Iterator[str]:
    pruned = Counter(node.pruned_by for node in tree.nodes if node.pruned_by is not None)
    if pruned:
        counts = ", ".join(f"{count:,} ({reason})" for reason, count in pruned.items())
        yield f"pruned: {counts}"
    reasons = Counter(node.reason for node in tree.nodes if node.reason and not node.exact)
    for reason, count in reasons.items():
        shown = reason if reason.isprintable() else repr(reason)
        yield f"not exact: {shown} ({count} of {len(tree.nodes)})"


def _best_path(tree: ThoughtTree) -> set[int]:
    """Return the nodes of the best path, complete or not."""
    path = set()
    index = tree.best(partial=True).index if tree.nodes else -1
    while index >= 0:
        path.add(index)
        index = tree.nodes[index].parent
    return path


def _rows(tree: ThoughtTree, siblings: int) -> Iterator[_Row]:
    """Yield all rows, depth first; without recursion, for paths may be long."""
    stack = [_child_rows(tree, -1, "", siblings)]
    while stack:
        row = next(stack[-1], None)
        if row is None:
            stack.pop()
        elif isinstance(row, tuple):
            yield row
        else:
            stack.append(row)


def _child_rows(tree: ThoughtTree, parent: int, indent: str, siblings: int) -> _Rows:
    """Yield the rows of a node's children, and iterators over the rows below them."""
    children = tree.children[parent]
    inner = [index for index in children if tree.children[index]]
    leaves = sorted(
        (index for index in children if not tree.children[index]),
        key=lambda index: (
            tree.nodes[index].pruned_by is not None,
            -_lowest_prob(tree.nodes[index]),
        ),
    )
    shown = {*inner, *leaves[:siblings]}
    for index in children:
        if index in shown and len(inner) > 1 and tree.children[index]:
            corner, bar = ("└ ", "  ") if index == inner[-1] else ("├ ", "│ ")
            yield indent + corner, index, 0
            yield _child_rows(tree, index, indent + bar, siblings)
        elif index in shown:
            yield indent, index, 0
    if len(shown) < len(children):
        yield indent, -1, len(children) - len(shown)
    if len(inner) == 1:
        yield _child_rows(tree, inner[0], indent, siblings)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of labels and of texts, and what draws the bars."""

    label: int
    text: int
    bar: Bar | None


def _node_line(tree: ThoughtTree, index: int, indent: str, columns: _Columns, best: bool) -> Text:
    node = tree.nodes[index]
    label, column = columns.label, columns.text
    share = _share(tree, node)
    drawn = columns.bar(node.prob or 0.0) if share and columns.bar else ""
    logprob = f"{node.path_logprob:.3f}" if node.logprobs else ""
    numbers = _numbers(share, logprob, drawn if columns.bar else None)
    pruned = node.pruned_by is not None
    indent = indent[-(column - _MIN_TEXT) :] if column > _MIN_TEXT else ""
    content = indent + preview(node.text, column - len(indent))
    line = Text.assemble(
        (">" if best else " ", "bold cyan"),
        " ",
        (set_cell_size(name_preview(_label(node), label), label), "" if pruned else "cyan"),
        f" {set_cell_size(content, column)} {numbers}",
        (f" {_note(node)}", "dim"),
        style="dim" if pruned else "bold" if best else "",
    )
    line.rstrip()
    return line


def _label(node: ThoughtNode) -> str:
    return ".".join([node.name or node.uid, *(node.keys or ())])


def _share(tree: ThoughtTree, node: ThoughtNode) -> str:
    """Return its share, where it has siblings."""
    share = "" if node.prob is None else _format_prob(node.prob)
    # One of the best choices may be the only node, and have siblings that were not read.
    is_alone = len(tree.children[node.parent]) == 1 and node.kind != "record"
    if is_alone and not (node.kind == "choice" and (node.prob or 0) < 1):
        share = ""
    return share


def _format_prob(prob: float) -> str:
    return "<.0001" if 0 < prob < 0.00005 else f"{prob:.4f}"


def _lowest_prob(node: ThoughtNode) -> float:
    if node.prob is not None:
        return node.prob
    return 0.0 if node.prob_bounds is None else node.prob_bounds[0]


def _note(node: ThoughtNode) -> str:
    """Return what else there is to say.

    Its value, the bounds of a share that is not known, why the path ends, its log-probability under
    a constraint, the error of its share, its model, and whether it is exact.
    """
    constrained = node.constrained_logprob
    has_own_value = node.value not in (node.text, default_value(node.text))
    notes = [
        f"= {name_preview(value_text(node.value), _MAX_LABEL)}" if has_own_value else None,
        None
        if node.prob_bounds is None
        else "prob " + " to ".join(map(_format_prob, node.prob_bounds)),
        node.pruned_by,
        node.finish_reason if node.finish_reason in ("length", "incomplete") else None,
        None if constrained is None else f"constrained {constrained:.3f}",
        None if node.prob_error is None else f"± {node.prob_error:.4f}",
        "new text" if node.context_parent < 0 <= node.parent else None,
        f"on {name_preview(node.model)}" if node.model is not None else None,
        None if node.exact else "not exact",
    ]
    # A text that is cut before it meets its constraint may be pruned for the same reason.
    return ", ".join(dict.fromkeys(note for note in notes if note))
