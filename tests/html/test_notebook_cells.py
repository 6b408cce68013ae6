"""Results in cells of notebooks: what they show, as text, and the progress of runs."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from autocog_core import Automaton
from autocog_core.dataset import run_frame, run_rows
from autocog_core.dataset.notebook_progress import NotebookProgress, notebook_progress
from autocog_core.dataset.progress import Progress
from tests.support.small_backends import random_model

HOSTILE = " <script>\x1b[31m\u202e&"
PROGRAM = {
    "inputs": {"question": "text"},
    "actions": [
        {"text": "{{ question }}:"},
        {"name": "answer", "choices": [" a", HOSTILE, *(f" {number}" for number in range(20))]},
    ],
}
pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")


def cells() -> dict[str, str]:
    choices = [" a", HOSTILE, *(f" {number}" for number in range(20))]
    schema = {"type": "object", "properties": {"<b>": {"enum": [HOSTILE, "a"]}}}
    with random_model(seed=3) as model:
        results: dict[str, Any] = {
            "choices": model.choose(HOSTILE, choices),
            "top": model.choose(HOSTILE, choices, top=2),
            "completion": model.complete(HOSTILE, max_tokens=9, n=2, temperature=1, seed=2),
            "tree": Automaton.from_dict(PROGRAM).run(model, {"question": HOSTILE}),
            "record": model.record("It is ", {**schema, "required": ["<b>"]}),
            "model": model,
        }
        return {name: result._repr_html_() for name, result in results.items()}


def test_cells_show_texts_as_text() -> None:
    shown = cells()
    for name, cell in shown.items():
        assert not re.search("<script|\x1b|\u202e|&(?!amp;|lt;|gt;|#)", cell), name
        assert not re.search(r"https?:|//|<style|class=", cell), name
    assert "and 12 more choices" in shown["choices"]
    assert shown["choices"].count("<tr") == 11
    assert "font-weight:bold" in shown["choices"]
    assert "proven" in shown["top"]
    assert "and 1 other completion<" in shown["completion"]
    assert "&gt; answer" in shown["tree"]
    assert "probability of the record" in shown["record"]
    assert "&lt;b&gt;" in shown["record"]
    assert "tokens" in shown["model"]
    model = random_model(seed=3)
    model.close()
    assert "closed" in model._repr_html_()


def test_the_progress_is_one_bar_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    updates: list[str] = []

    def show(content: str) -> Any:
        shown.append(content)
        return updates.append

    bar = NotebookProgress(show)
    for done in range(1, 1001):
        bar(Progress(done=done, total=1000, errors=done // 500, answered=done, right=done // 2))
    assert len(shown) == 1
    assert 1 <= len(updates) < 50
    assert 'value="1000" max="1000"' in updates[-1]
    assert "1,000 of 1,000 rows" in updates[-1]
    assert updates[-1].endswith("2 errors, accuracy 0.500</div>")


def test_runs_show_their_progress_in_notebooks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    automaton = Automaton.from_dict(PROGRAM)
    rows = [{"question": "One"}, {}, {"question": "Two"}]
    shown: list[str] = []

    def show(content: str) -> Any:
        shown.append(content)
        return shown.append

    with random_model(seed=3) as model:
        assert notebook_progress() is None
        assert len(list(run_rows(automaton, model, rows))) == 3
        shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
        monkeypatch.setitem(sys.modules, "IPython", shell)
        monkeypatch.setattr("autocog_core.dataset.notebook_progress._show_in_cell", show)
        assert len(list(run_rows(automaton, model, rows))) == 3
        assert "3 of 3 rows" in shown[-1]
        assert "1 error<" in shown[-1]
        run_frame(automaton, model, pd.DataFrame(rows[:1]))
        assert "1 of 1 rows" in shown[-1]
        # Without a length there is no bar.
        before = len(shown)
        assert len(list(run_rows(automaton, model, iter(rows)))) == 3
        assert len(shown) == before
