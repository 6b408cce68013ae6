"""`autocog init` writes files that work at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import autocog_core as autocog
from autocog_core.scaffold import write_project
from tests.cli.conftest import Run


def test_the_commands_that_it_shows_work(run: Run, folder: Path) -> None:
    result = run("init", "first")
    assert result.exit_code == 0, result.stderr
    assert "autocog.toml" in result.stdout
    assert "cd first" in result.stderr
    config = ["--config", "first/autocog.toml", "--model", "random"]
    program = "first/topics.yaml"
    one = run("run", program, *config, "--set", "text=My new card has not come.", "--json")
    assert one.exit_code == 0, one.stderr
    rows = run(
        *("run", program, *config, "--input", "first/messages.csv"),
        *("--output", "topics.jsonl", "--gold", "label"),
    )
    assert rows.exit_code == 0, rows.stderr
    assert "of 6" in rows.stdout + rows.stderr
    assert len((folder / "topics.jsonl").read_text("utf-8").splitlines()) == 6


@pytest.mark.parametrize(
    ("engines", "expected"),
    [([], "random"), (["tf"], "smol-tf"), (["llamacpp", "tf"], "smol")],
    ids=str,
)
def test_the_config_has_the_models_that_are_installed(
    tmp_path: Path, engines: list[str], expected: str
) -> None:
    write_project(tmp_path, engines)
    config = autocog.read_config(tmp_path / "autocog.toml")
    assert config.default_model == expected
    assert len(config.models) == len(engines) + 1


def test_a_name_that_is_too_long_is_one_message(wrong: Callable[..., str]) -> None:
    assert "name" in wrong("init", "a" * 300)


def test_no_file_is_overwritten(wrong: Callable[..., str], folder: Path) -> None:
    before = (folder / "autocog.toml").read_text("utf-8")
    message = wrong("init")
    assert "autocog.toml" in message
    assert (folder / "autocog.toml").read_text("utf-8") == before
    assert [path.name for path in folder.iterdir()] == ["autocog.toml"], "and no other is written"
