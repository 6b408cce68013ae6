"""`autocog backends` and `autocog models` list everything except secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autocog_core import __version__
from autocog_core.backends.random import RandomLM
from autocog_core.config import plugins
from autocog_core.hooks import manager
from tests.cli.conftest import Run


def test_backends_lists_every_installed_one(run: Run) -> None:
    listed = json.loads(run("backends", "--json").stdout)
    assert listed == [
        {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
        for plugin in plugins.installed_plugins()
    ]
    assert {"random", "table"} <= {backend["name"] for backend in listed}
    lines = run("backends").stdout.splitlines()
    assert any(line.split() == ["random", "autocog-core", __version__] for line in lines)


def test_backends_name_shows_contract_hooks_and_options(run: Run) -> None:
    data = json.loads(run("backends", "random", "--json").stdout)
    assert data["contract"] == RandomLM.contract
    assert data["hooks"] == manager.hooks_of(RandomLM)
    options = {option["name"]: option for option in data["options"]}
    assert list(options) == list(RandomLM.Options.model_fields)
    assert options["scale"]["type"] == "float >= 0"
    assert options["scale"]["default"] == 2.0
    assert options["vocabulary"]["type"] == '"bytes" | "merges"'
    output = run("backends", "random").stdout
    assert "float >= 0" in output
    assert "greedy_impl" in output


def test_backends_with_a_wrong_name_says_the_right_one(wrong: Callable[..., str]) -> None:
    assert 'did you mean "random"?' in wrong("backends", "randm")


def test_models_are_listed_as_configured_without_secrets(
    run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("AUTOCOG_TEST_SEED", "4711")
    shown, raw = run("models"), run("models", "--json")
    assert "4711" not in shown.output + raw.output
    assert "env:AUTOCOG_TEST_SEED" in shown.stdout
    data = json.loads(raw.stdout)
    assert data["config"] == str(folder / "autocog.toml")
    assert data["default_model"] == "known"
    models = {model["name"]: model for model in data["models"]}
    assert list(models) == ["known", "noise", "keyed"]
    assert [name for name, model in models.items() if model["default"]] == ["known"]
    assert models["keyed"]["options"] == {"seed": "env:AUTOCOG_TEST_SEED"}
    assert models["noise"]["backend"] == "random"


def test_keys_in_the_config_file_are_masked(run: Run, folder: Path) -> None:
    (folder / "autocog.toml").write_text(
        """
        [models.open]
        backend = "random"
        wrappers = [{ name = "trace", options = { token = "leak-5" } }]
        [models.open.options]
        api_key = "leak-1"
        pin = { password = 815 }
        headers = { X-Any = "leak-2", X-Other = "env:OTHER", Accept = ["leak-3"] }
        base_url = "https://me:leak-4@host/v1?key=leak-4&model=m"
        [models.open.completion]
        max_tokens = 9
        extra_headers = { X-Any = "leak-6" }
        """,
        encoding="utf-8",
    )
    shown, raw = run("models"), run("models", "--json")
    for output in (shown.output, raw.output):
        assert "leak-" not in output
        assert "815" not in output
    (model,) = json.loads(raw.stdout)["models"]
    assert model["options"] == {
        "api_key": "***",
        "pin": {"password": "***"},
        "headers": {"X-Any": "***", "X-Other": "env:OTHER", "Accept": ["***"]},
        "base_url": "https://***@host/v1?key=***&model=m",
    }
    assert model["completion"] == {"max_tokens": 9, "extra_headers": {"X-Any": "***"}}
    assert model["wrappers"] == [{"name": "trace", "options": {"token": "***"}}]


def test_models_warns_without_a_config(run: Run, folder: Path) -> None:
    (folder / "autocog.toml").unlink()
    result = run("models")
    assert result.exit_code == 0
    assert "no config file" in result.stderr
    assert json.loads(run("models", "--json").stdout) == {
        "config": None,
        "default_model": None,
        "models": [],
    }


def test_only_model_of_a_config_is_its_default(run: Run, folder: Path) -> None:
    (folder / "one.toml").write_text('[models.only]\nbackend = "random"\n', encoding="utf-8")
    data = json.loads(run("models", "--config", "one.toml", "--json").stdout)
    assert data["default_model"] == "only"
