"""The page of a tree in a browser: what is drawn, keys, search, links, and what is only text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autocog_core import InputError, ThoughtTree
from autocog_core.controls import picture_controls
from autocog_core.html.tokens import token_level
from autocog_core.types.thought_tree import ThoughtNode
from tests.support.browser import OpenPage, check_widths_and_colors
from tests.support.soak import count
from tests.support.trees import (
    HOSTILE,
    UNSEEN,
    big_tree,
    chain_tree,
    choice_nodes,
    hostile_tree,
    text_node,
)

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]"


def write(folder: Path, tree: ThoughtTree) -> Path:
    path = folder / "tree.html"
    path.write_text(tree.to_html(), encoding="utf-8")
    return path


def small_tree() -> ThoughtTree:
    """A text, eight choices of which two are followed, a long text, and two choices."""
    nodes = [text_node("What is it? ")]
    nodes += choice_nodes(
        [" one", " two", " three", " four", " five", " six", " seven", " eight"], 0, "a", 2
    )
    nodes += [text_node("A long text. " * 40, 1), text_node(" short", 2)]
    nodes += choice_nodes([" end", " other"], 9, "b")
    nodes[11] = ThoughtNode(
        **{**{name: getattr(nodes[11], name) for name in nodes[11].__slots__}, "last": True}
    )
    token_bytes = {"": {token: f" t{token}".encode() for token in range(20)}}
    return ThoughtTree(nodes=tuple(nodes), token_bytes=token_bytes)


def shown(page: Any) -> list[str]:
    return page.eval_on_selector_all("[role=treeitem]", "all => all.map(e => e.dataset.id)")


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.dataset.id || document.activeElement.type")


def test_a_reader_opens_searches_and_follows_links(open_page: OpenPage, tmp_path: Path) -> None:
    path = write(tmp_path, small_tree())
    with open_page(path) as page:
        assert shown(page)[:4] == ["0", "1", "9", "11"]
        boxes = page.eval_on_selector_all(
            "[role=treeitem]",
            """all => all.map(e => e.getBoundingClientRect()).map(b => [b.x, b.y, b.right,
            b.bottom])""",
        )
        for at, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[:at]:
                assert (
                    left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
                )
        # A script and a template give a token the same color.
        logprobs = [-0.01 * step for step in range(600)]
        levels = page.evaluate("all => all.map(autocogTokenLevel)", logprobs)
        assert levels == [token_level(logprob) for logprob in logprobs]
        # Details: numbers, siblings, tokens, and the link to the node.
        page.click("[data-id='3']")
        panel = page.inner_text(".explorer-panel")
        for part in ("pruned", "width", "Siblings (8)", "0.1255", '" t2"', "-0.100", "#node-3"):
            assert part in panel
        assert page.url.endswith("#node-3")
        check_widths_and_colors(page)
        # Keys.
        page.press("[data-id='3']", "ArrowLeft")
        assert focused(page) == "0"
        page.keyboard.press("ArrowLeft")
        assert shown(page) == ["0"]
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert focused(page) == "1"
        page.keyboard.press("ArrowDown")
        assert focused(page) == "2"
        page.keyboard.press("End")
        assert focused(page) == "11"
        page.keyboard.press("Enter")
        assert "complete: the program ends here" in page.inner_text(".explorer-panel")
        page.keyboard.press("?")
        assert page.is_visible("dialog")
        page.keyboard.press("Escape")
        # The button opens what is folded; a long text has a button.
        page.click("text=1 pruned")
        assert "8" in shown(page)
        before = page.inner_text("[data-id='9']")
        page.click("[data-id='9'] .cut")
        assert len(page.inner_text("[data-id='9']")) > 2 * len(before)
        page.keyboard.press("t")
        assert page.locator(".plain").count() == 1
        # Search goes to what is not open.
        page.click("text=Close all")
        page.keyboard.press("/")
        page.keyboard.type("OTHER")
        assert page.inner_text(".count") == "1 found"
        page.keyboard.press("Enter")
        assert "12" in shown(page)
        assert "other" in page.inner_text(".explorer-panel")
    with open_page(path) as page:
        page.goto(f"{path.as_uri()}#node-8")
        page.reload()
        assert "8" in shown(page)
        assert "eight" in page.inner_text(".explorer-panel")


def test_texts_are_only_text(open_page: OpenPage, tmp_path: Path) -> None:
    with open_page(write(tmp_path, hostile_tree())) as page:
        for index in range(len(HOSTILE) + 1):
            page.evaluate("id => { location.hash = `#node-${id}`; }", index)
            page.wait_for_function(
                "id => document.querySelector(`[data-id='${id}'][aria-selected=true]`)", arg=index
            )
            page.hover(f"[data-id='{index}']")
        text = page.inner_text("main")
        assert page.title() == "Thought tree"
        assert page.locator("main img, main script, main b").count() == 0
        for part in (HOSTILE[0], HOSTILE[1], "␛[31m␀␡⟨U+009B⟩", "⟨RIGHT-TO-LEFT OVERRIDE⟩right"):
            assert part in text
        assert not set(UNSEEN) & set(text)


@pytest.mark.parametrize("make", [big_tree, chain_tree][: count(normal=1, soak=2)])
def test_ten_thousand_nodes_are_drawn_as_they_are_opened(
    open_page: OpenPage, tmp_path: Path, make: Any
) -> None:
    size = count(normal=10_000, soak=20_000)
    with open_page(write(tmp_path, make(size))) as page:
        page.wait_for_function(f"{FIRST_PAINT} !== undefined")
        paint = page.evaluate(f"{FIRST_PAINT}.startTime")
        opening = page.evaluate(
            """() => {
              const closed = [...document.querySelectorAll("[aria-expanded=false]")];
              const toggle = (closed[0] || document.querySelector("[aria-expanded=true]"))
                .querySelector(".toggle");
              const start = performance.now();
              toggle.click();
              document.body.offsetHeight;
              return performance.now() - start;
            }"""
        )
        assert len(shown(page)) < 300
        page.keyboard.press("Tab")
        page.click("text=Open all")
        assert len(shown(page)) < 1500
        page.evaluate("id => { location.hash = `#node-${id}`; }", size - 1)
        page.wait_for_function("() => document.querySelector('[aria-selected=true]')")
        # On a busy machine, both take several times as long.
        assert paint < count(normal=10_000, soak=3000), paint
        assert opening < count(normal=1000, soak=300), opening
        print(json.dumps({"first paint": paint, "opening a level": opening}))


def test_an_empty_tree_and_one_that_was_cut_are_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    with open_page(write(tmp_path, ThoughtTree(nodes=()))) as page:
        assert "The tree has no nodes." in page.inner_text("main")
        assert page.locator("button, .explorer-view").count() == 0
    cut = ThoughtTree(
        nodes=tuple(choice_nodes([" a", " b"], -1, "c", kept=0)),
        stopped_by="tokens",
        provenance={"model": {"name": "long" * 100}},
    )
    with open_page(write(tmp_path, cut), width=390) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert shown(page) == ["0", "1"]
        assert "the budget of tokens was spent" in page.inner_text("main")


def test_long_texts_long_paths_and_all_pruned_branches(open_page: OpenPage, tmp_path: Path) -> None:
    nodes = [text_node("line\n" * 100_000), *chain_tree(80).nodes[1:]]
    nodes[79] = text_node("x" + "\U0001f600" * 400, 78)
    nodes += choice_nodes([f" {rank}" for rank in range(12)], 79, "a", 2)
    nodes += choice_nodes([f" {rank}" for rank in range(12)], 80, "b")
    with open_page(write(tmp_path, ThoughtTree(nodes=tuple(nodes)))) as page:
        page.press("[data-id='0']", "Enter")
        # What scrolls has the focus.
        assert page.get_attribute(".explorer-panel pre", "tabindex") == "0"
        page.press("[data-id='0']", "End")
        # A character is not cut.
        assert "\ufffd" not in page.inner_text("[data-id='79']")
        # Also the pruned branches of a node that is opened later are shown.
        page.keyboard.press("ArrowLeft")
        page.press("[data-id='80']", "p")
        page.press("[data-id='80']", "ArrowRight")
        assert {"81", "91", "92", "103"} <= set(shown(page))
        assert page.locator("text=/^. [0-9]+ pruned/").count() == 0
        assert "0" not in shown(page)
        page.keyboard.press("Home")
        assert focused(page) == "0"


def test_two_trees_are_drawn_side_by_side(open_page: OpenPage, tmp_path: Path) -> None:
    first, second = small_tree(), small_tree()
    nodes = list(second.nodes)
    # The second tree prefers the second choice, and has another text than " three".
    probs = [0.125, 0.5, *(node.prob for node in nodes[3:9])]
    for index, prob in enumerate(probs, start=1):
        values = {name: getattr(nodes[index], name) for name in nodes[index].__slots__}
        nodes[index] = ThoughtNode(**{**values, "prob": prob})
    nodes[3] = ThoughtNode(**{**values, "text": HOSTILE[0], "value": "", "prob": 0.1})
    diff = first.diff(ThoughtTree(nodes=tuple(nodes), token_bytes=second.token_bytes))
    path = tmp_path / "diff.html"
    path.write_text(diff.to_html(), encoding="utf-8")
    with open_page(path) as page:
        check_widths_and_colors(page, is_short=True)
        text = page.inner_text("main")
        for decision in diff.differing:
            assert decision.divergence_note in text
            for each in decision.alternatives:
                assert picture_controls(each.text) in text
                assert each.first is None or f"{each.first:.4f}" in text
                assert each.second is None or f"{each.second:.4f}" in text
        assert "second: 0.1250" in page.inner_text("#first [data-id='1']")
        assert "not in the first tree" in page.inner_text("#second")
        # A link opens the node in its tree.
        page.click("section a[href='#second-2']")
        assert "second-2" in page.inner_text("#second .explorer-panel")
        assert "Best path" in page.inner_text("#first .explorer-panel")
    with pytest.raises(InputError, match="trees are not known"):
        replace(diff, trees=None).to_html()
