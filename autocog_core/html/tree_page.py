"""The page of a thought tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from autocog_core.html.page import render_page, render_template
from autocog_core.html.tree_data import tree_data
from autocog_core.types.thought_tree import ThoughtTree

#: For `render_page`: the assets of `autocogExplorer(element, tree)`.
EXPLORER_STYLES = ("explorer.css",)
EXPLORER_SCRIPTS = (
    "explorer_tree.js",
    "explorer_layout.js",
    "explorer_panel.js",
    "explorer_search.js",
    "explorer_picture.js",
    "explorer.js",
)


def tree_page(tree: ThoughtTree, title: str = "Thought tree") -> str:
    """Return a page that shows a tree: one file, which requests nothing.

    :param tree: the tree. With `token_bytes`, its tokens have texts and colors.
    :param title: the page's title.
    """
    body = render_template(
        "tree.html", title=title, facts=list(tree_facts(tree)), warnings=list(tree_warnings(tree))
    )
    return render_page(
        title,
        body,
        styles=EXPLORER_STYLES,
        scripts=(*EXPLORER_SCRIPTS, "tree_page.js"),
        data={"tree": tree_data(tree)},
    )


def tree_facts(tree: ThoughtTree) -> Iterator[tuple[str, str]]:
    """Yield the names and values of what identifies a tree, and what it cost."""
    provenance: Any = tree.provenance
    model = provenance.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str):
        yield "model", model["name"]
    nodes, complete = len(tree.nodes), len(tree.complete)
    yield "nodes", f"{nodes:,}, {complete:,} complete path{'' if complete == 1 else 's'}"
    if isinstance(strategy := provenance.get("strategy"), str):
        yield "strategy", strategy
    evaluated = tree.stats.get("tokens_evaluated")
    if isinstance(evaluated, int):
        yield "tokens evaluated", f"{evaluated:,}"


def tree_warnings(tree: ThoughtTree) -> Iterator[str]:
    """Yield what a reader of a tree must know: that it is incomplete, and what is not exact."""
    if tree.stopped_by is not None:
        yield f"The tree is incomplete: the budget of {tree.stopped_by} was spent."
    reasons = Counter(node.reason for node in tree.nodes if not node.exact)
    for reason, count in reasons.items():
        yield f"Not exact: {reason} ({count:,} of {len(tree.nodes):,} nodes)."
