"""The page of a report in a browser: what a reader clicks, and that it is light and quiet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core.dataset.run_identity import identity_path
from autocog_core.errors import InputError
from autocog_core.reports.page import report_page
from autocog_core.reports.report import make_report
from tests.reports.conftest import LABELS, MakeOutput
from tests.support.browser import OpenPage, serious_violations
from tests.support.soak import count


def written_page(tmp_path: Path, outputs: Sequence[Path], **options: Any) -> Path:
    path = tmp_path / "report.html"
    path.write_text(report_page(make_report(outputs, **options)), encoding="utf-8")
    return path


def first_cells(page: Any, column: int) -> list[str]:
    return list(page.locator(f"#rows tr > td:nth-child({column})").all_inner_texts())


def test_a_reader_clicks_through_a_report(
    output: MakeOutput, tmp_path: Path, open_page: OpenPage
) -> None:
    path = output("out.jsonl", tree_dir=tmp_path / "trees")
    page_path = written_page(tmp_path, [path], by="part")
    assert "://" not in page_path.read_text(encoding="utf-8")
    answers = {one.row: one for one in make_report([path]).runs[0].answers}
    with open_page(page_path) as page:
        assert "rows" in page.inner_text("#position")
        losses = [answers[int(row)].loss for row in page.locator("#rows button").all_inner_texts()]
        known = [loss for loss in losses if loss == loss]
        assert known == sorted(known, reverse=True)
        assert len(losses) == 50
        page.click("#forward")
        assert page.inner_text("#position") == "51 to 60 of 60 rows"
        page.select_option("#filter", "wrong")
        wrong = sum(one.right is False for one in answers.values())
        assert page.inner_text("#position").endswith(f"of {wrong} rows")
        page.select_option("#filter", "all")
        page.select_option("#order", "row")
        assert page.locator("#rows button").first.inner_text() == "0"
        page.fill("#find", "row 33 ")
        assert page.locator("#rows button").all_inner_texts() == ["33"]
        page.locator("#rows button").first.click()
        details = page.inner_text(".details")
        # Texts are texts, and what is not seen has a sign.
        assert "⟨RIGHT-TO-LEFT OVERRIDE⟩<script>alert(1)</script> ␛[31m [red]" in details
        assert "it's <b>bold</b>" in details
        assert "(right answer)" in details
        page.locator(".tree button").click()
        assert page.locator(".explorer").count() == 1
        # Hidden, and shown again.
        page.locator("#rows button").first.click()
        assert page.locator(".explorer").is_hidden()
        page.locator("#rows button").first.click()
        assert page.locator(".explorer").is_visible()
        page.fill("#find", "no row has this")
        assert page.inner_text("#position") == "no such row"
        assert page.locator("svg.chart").count() == 5
        assert page.locator("svg[role=img] > title").count() == 5


def test_reports_are_usable_by_all(output: MakeOutput, tmp_path: Path, open_page: OpenPage) -> None:
    outputs = [output(f"{seed}.jsonl", seed=seed, rows=16) for seed in (1, 2)]
    path = written_page(tmp_path, outputs, by="part")
    looks = [(390, True), (1280, False), (390, False), (1280, True)]
    for width, dark in looks[: count(normal=1, soak=4)]:
        with open_page(path, width=width, dark=dark) as page:
            page.locator("#rows button").first.click()
            assert serious_violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.select_option("#filter", "different")
            page.select_option("#order", "change")
            assert page.locator("#rows > tr").count() > 0
            assert "compared with 1.jsonl" in page.inner_text("main")


def test_a_report_without_right_answers_says_how_to_give_them(
    output: MakeOutput, tmp_path: Path, open_page: OpenPage
) -> None:
    with open_page(written_page(tmp_path, [output("out.jsonl", gold=None)])) as page:
        text = page.inner_text("main")
        assert "autocog report OUTPUT --gold COLUMN" in text
        assert "The columns are text, label, part." in text
        assert page.locator("svg.chart").count() == 1
        assert "Most frequent answers" in text
        probs = [float(prob) for prob in first_cells(page, 4) if prob]
        assert probs == sorted(probs)


def test_a_large_report_is_small_and_opens_at_once(
    output: MakeOutput, tmp_path: Path, open_page: OpenPage
) -> None:
    """10,000 rows with 77 choices: below 15 MB, and painted within 2 s."""
    rows = count(normal=500, soak=10_000)
    small = output("small.jsonl", rows=1)
    row = json.loads(small.read_text(encoding="utf-8"))
    labels = [f"a label with a long name, number {index}" for index in range(77)]
    draws = np.random.default_rng(0)
    large = tmp_path / "large.jsonl"
    with large.open("w", encoding="utf-8") as stream:
        for index in range(rows):
            shares = draws.dirichlet(np.full(77, 0.1)).tolist()
            best = labels[int(np.argmax(shares))]
            row |= {
                "row": index,
                "input": {"text": f"message {index}: " + "what a customer writes " * 8},
                "fields": {"color": best},
                "probs": {"color": max(shares)},
                "distribution": {"color": dict(zip(labels, shares, strict=True))},
                "gold": labels[index % 77],
                "gold_choice": labels[index % 77],
            }
            stream.write(json.dumps(row) + "\n")
    identity_path(large).write_bytes(identity_path(small).read_bytes())
    path = written_page(tmp_path, [large])
    assert path.stat().st_size < 100_000 + 15_000_000 * rows / 10_000
    with open_page(path) as page:
        paint = "performance.getEntriesByName('first-contentful-paint')[0]"
        page.wait_for_function(paint)
        # Beside other tests, a browser waits for a processor.
        limit = count(normal=10_000, soak=2_000)
        assert page.evaluate(f"{paint}.startTime") < limit
        assert page.inner_text("#position") == f"1 to 50 of {rows:,} rows"


def test_trees_are_found_or_refused(output: MakeOutput, tmp_path: Path) -> None:
    path = output("out.jsonl", rows=8, tree_dir=tmp_path / "trees")
    report = make_report([path])
    assert report_page(report).count('id="tree-0-') == 8
    (tmp_path / "trees").rename(tmp_path / "moved")
    assert 'id="tree-0-' not in report_page(report)
    assert report_page(report, tree_dirs=[tmp_path / "moved"]).count('id="tree-0-') == 8
    with pytest.raises(InputError, match="there is no such folder"):
        report_page(report, tree_dirs=[tmp_path / "none"])
    with pytest.raises(InputError, match="2 folders for 1 run"):
        report_page(report, tree_dirs=[tmp_path / "moved"] * 2)
    (tmp_path / "moved" / "000001.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as a tree"):
        report_page(report, tree_dirs=[tmp_path / "moved"])


def test_labels_are_escaped_in_charts(output: MakeOutput) -> None:
    page = report_page(make_report([output("out.jsonl")]), title="<title>\x1b")
    assert LABELS[4] not in page.replace("\\u003c", "")
    assert "&lt;title&gt;␛" in page
