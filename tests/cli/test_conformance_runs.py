"""`autocog conformance` as it goes: lines, budgets, quick checks, and what an end leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.support.processes import child_environment

RANDOM = ("--backend", "random")
SLOW = """
import signal
import time
# Jobs in the background of a shell inherit that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from autocog_core.backends.random import RandomLM
row = RandomLM.greedy_impl
def slow(self, tokens):
    time.sleep(0.02)
    return row(self, tokens)
slow.__dict__.update(row.__dict__)
RandomLM.greedy_impl = slow
from autocog_core.cli.main import main
main()
"""


def test_a_line_for_each_law_goes_to_stdout_and_with_json_to_stderr(run: Run) -> None:
    laws = ("--law", "determinism", "--law", "bos_once")
    done = run("conformance", *RANDOM, *laws)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [
        ["determinism", "holds"],
        ["bos_once", "holds"],
    ]
    done = run("conformance", *RANDOM, *laws, "--json")
    assert len(done.stdout.splitlines()) == 1
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["determinism", "bos_once"]


def test_json_names_at_the_top_what_does_not_apply(run: Run) -> None:
    done = run("conformance", *RANDOM, "--quick", "--json", "--option", "bos=false")
    facts = json.loads(done.stdout)
    names = list(facts)
    assert names.index("not_applicable") < names.index("laws")
    assert facts["not_applicable"]["bos_counts"] == "the model adds no BOS"
    assert facts["not_applicable"]["tree_scores_match"] == "needs trees"
    assert (facts["finished"], facts["not_run"], facts["stopped_by"]) == (True, [], None)


def test_the_largest_difference_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from autocog_core.testing import BackendUnderTest

    laws = ("--law", "determinism", "--law", "distribution")
    assert "largest difference: 0 nats" in run("conformance", *RANDOM, *laws).stdout

    def noisy(self: Any, difference: float, tokens: int = 1) -> bool:
        return original(self, difference + 3e-7, tokens)

    original = BackendUnderTest.is_tolerable
    monkeypatch.setattr(BackendUnderTest, "is_tolerable", noisy)
    facts = json.loads(run("conformance", *RANDOM, *laws, "--json").stdout)
    assert facts["largest_difference"] == pytest.approx(3e-7)
    assert (facts["largest_difference_law"], facts["tolerance"]) == ("determinism", 1e-6)
    differences = {law["law"]: law.get("largest_difference") for law in facts["laws"]}
    assert differences == {"determinism": pytest.approx(3e-7), "distribution": None}


def test_fail_fast_stops_at_the_first_broken_law(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    rows = 'options = { rows = { "never" = { a = 0.5 } } }'
    config.write_text(f'[models.one]\nbackend = "table"\n{rows}\n')
    done = run("conformance", "one", "--config", str(config), "--fail-fast", "--json")
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert facts["broken"] == ["last_token_matters"]
    assert facts["laws"][-1]["law"] == "last_token_matters"
    assert facts["stopped_by"] == "fail-fast"
    assert facts["not_run"][0] == "first_tokens_matter"
    assert facts["conforms"] is False


def test_an_empty_table_breaks_no_law(run: Run) -> None:
    done = run("conformance", "--backend", "table", "--quick", "--json")
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["broken"]) == (0, [])
    reason = "the model declares that its rows depend on no token"
    assert facts["not_applicable"]["last_token_matters"] == reason


def test_a_used_up_budget_names_the_laws_that_were_not_checked(tmp_path: Path) -> None:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SLOW, "conformance", *RANDOM, "--budget", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=child_environment(),
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert time.perf_counter() - start < 30
    facts = json.loads(done.stdout)
    assert (facts["finished"], facts["conforms"], facts["stopped_by"]) == (False, None, "budget")
    assert [law["status"] for law in facts["laws"]].count("broken") == 0
    assert "closed_is_closed" in facts["not_run"]


@pytest.mark.parametrize("budget", ["0", "0.000001", "0.01"])
def test_a_budget_that_is_used_up_at_once_ends_cleanly(budget: str, run: Run) -> None:
    done = run("conformance", *RANDOM, "--budget", budget, "--json")
    assert done.exit_code == 3, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["finished"], facts["conforms"], facts["stopped_by"]) == (False, None, "budget")
    assert "closed_is_closed" in facts["not_run"]
    text = run("conformance", *RANDOM, "--budget", budget)
    assert "the budget of seconds is used up" in text.stdout
    assert "internal error" not in done.stderr + text.stderr


def test_a_budget_also_ends_a_job_in_the_background(run: Run) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run("conformance", *RANDOM, "--budget", "0", "--json").exit_code == 3
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals of Unix")
@pytest.mark.parametrize(
    ("number", "exit_code", "reason"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by a signal")],
)
def test_a_signal_leaves_the_report_of_what_was_checked(
    tmp_path: Path, number: int, exit_code: int, reason: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "conformance", *RANDOM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=child_environment(),
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("round_trip")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == exit_code, stderr
    assert f"{reason}:" in stdout
    assert "1 law holds, 0 are broken" in stdout
    assert "Traceback" not in stderr
