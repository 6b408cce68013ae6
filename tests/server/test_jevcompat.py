"""An outside suite of the System One protocol: https://pypi.org/project/jevcompat."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from jevcompat import report, runner
from jevcompat.checks import CASES

from autocog_core import Model, load
from tests.support.engines import SMOL
from tests.support.served import server_in_thread, small_models
from tests.support.soak import SOAK

#: A folder that keeps the reports.
REPORTS = os.environ.get("AUTOCOG_REPORTS", "")
#: Of 255 options, which take SmolLM2 long.
LONG_CASES = frozenset({"choice-options", "out-of-range"})


def check(
    name: str, loader: Callable[[], Model], key: str | None, *, leave_out: frozenset[str]
) -> None:
    """Run the suite against a server with one model; all that is tested must pass."""
    cases = {case.name for case in CASES} - leave_out
    with server_in_thread({"model": loader}, keys=[key] if key else []) as url:
        result = runner.run(url, key=key, timeout=1200, only=cases)
    if REPORTS and not leave_out:
        write(result, Path(REPORTS, f"jevcompat-{name}"))

    failed = [(entry.id, entry.findings[0].message) for entry in result.results if entry.findings]
    assert failed == []
    assert not result.aborted
    assert not result.case_errors
    assert not result.inconclusive
    skipped = {entry.id for entry in result.results if entry.status == "skip"}
    # With a key, what holds without one is not tested, and the other way round.
    apart = {"auth.ignored-when-off"} if key else {"auth.bearer", "auth.missing", "auth.invalid"}
    assert skipped <= apart | ({"choice.options"} if leave_out else set())
    assert leave_out or result.conformant


def write(result: runner.Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(report.to_json(result) + "\n", encoding="utf-8")
    text = report.markdown(result, title=path.name)
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(None, id="open", marks=pytest.mark.soak),
        pytest.param("sk-secret", id="with a key"),
    ],
)
def test_all_requirements_on_a_random_model(key: str | None) -> None:
    name = "random-key" if key else "random"
    check(name, small_models()["random"], key, leave_out=frozenset())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_requirements_on_smollm2() -> None:
    # 255 options with descriptions are 4,600 tokens.
    options = {"model_path": SMOL, "n_ctx": 8192}
    leave_out = frozenset() if SOAK or REPORTS else LONG_CASES
    check("smollm2", lambda: load(backend="llamacpp", options=options), "sk", leave_out=leave_out)
