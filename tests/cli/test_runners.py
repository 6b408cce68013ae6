"""`autocog run --runner`: the same output wherever rows are worked on, and errors before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocog_core.config import plugins
from tests.cli.conftest import Run as Invoke
from tests.support.small_backends import install

PROGRAM = """
inputs: {text: text}
actions:
- text: "It is "
- {name: topic, choices: [a, b]}
"""
COMMAND = ("run", "program.yaml", "-m", "known", "-i", "rows.csv")


@pytest.fixture
def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "program.yaml").write_text(PROGRAM)
    (folder / "rows.csv").write_text("text,right\n" + "one,a\ntwo,b\nthree,a\n" * 9)
    points = {plugins.RUNNERS: {"threads": "tests.runners.thread_runner:ThreadRunner"}}
    install(folder / "site", "autocog-threads", points, {})
    monkeypatch.syspath_prepend(str(folder / "site"))
    return folder


def test_a_runner_writes_what_one_process_writes(files: Path, run: Invoke) -> None:
    for name in ("local", "threads"):
        options = ("--gold", "right", "--runner", name, "--trees", name)
        result = run(*COMMAND, *options, "-o", f"{name}.csv")
        assert result.exit_code == 0, result.output
        assert "0.6667 of topic: 18 right of 27 answered" in result.stderr
    assert "2 workers started in" in result.stderr
    assert "the workers stopped in" in result.stderr
    assert (files / "threads.csv").read_bytes() == (files / "local.csv").read_bytes()
    names = [path.name for path in sorted((files / "threads").iterdir())]
    assert names == [path.name for path in sorted((files / "local").iterdir())]
    shown = [run(*COMMAND, "--runner", name, "--limit", "9") for name in ("local", "threads")]
    assert shown[0].stdout == shown[1].stdout


def test_another_runner_continues_a_run(files: Path, run: Invoke) -> None:
    assert run(*COMMAND, "-o", "out.jsonl", "--limit", "5").exit_code == 0
    result = run(*COMMAND, "-o", "out.jsonl", "--runner", "threads")
    assert "27 (5 of them before)" in result.stderr
    assert run(*COMMAND, "-o", "whole.jsonl").exit_code == 0
    assert (files / "out.jsonl").read_bytes() == (files / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runner", "shrds"), 'runner "shrds": no installed distribution provides it; did you'),
        (("--runner", "shards", "--address", "auto"), 'runner "shards": address: unknown key;'),
        (("--runner", "shards", "--workers", "0"), "workers: input should be greater than or"),
        (("--runner", "shards", "--workers", "2-4"), "always has the same number of workers; give"),
        (("--runner", "shards", "--workers", "two"), "'two' is neither a number nor a range such"),
        (("--runner", "shards", "--workers", "4-2"), "'4-2' ends before it begins: write 2-4"),
        (("--workers", "3"), "--workers: requires another --runner, such as shards"),
        (("--runner", "threads", "--dry-run"), "--dry-run: measures rows in this process"),
        (("--runner", "threads", "-m", "none"), 'no model "none"'),
        (("--runner", "threads", "-m", "keyed"), "AUTOCOG_TEST_SEED is not set"),
    ],
)
def test_wrong_arguments_are_one_message(
    files: Path, run: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*COMMAND, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_runner_requires_rows(files: Path, run: Invoke) -> None:
    result = run("run", "program.yaml", "--set", "text=one", "--runner", "threads")
    assert (result.exit_code, "--runner: requires --input" in result.stderr) == (2, True)


def test_without_autocog_ray_the_message_says_what_to_install(
    files: Path, run: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plugins._entry_points
    monkeypatch.setattr(
        plugins, "_entry_points", lambda group: [p for p in found(group) if p.name != "ray"]
    )
    result = run(*COMMAND, "--runner", "ray")
    assert result.exit_code == 2
    assert "pip install autocog-ray" in " ".join(result.stderr.split())
