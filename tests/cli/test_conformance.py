"""`autocog conformance`: the report on backends that pass all laws, or break some."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autocog_core import hookimpl
from autocog_core.backends.random import RandomLM
from tests.cli.conftest import Run

TABLE = """
[models.noise]
backend = "random"
options = { seed = 4 }

[models.flat]
backend = "table"
options = { rows = { "unknown to the laws" = { a = 0.5 } } }
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "autocog.toml"
    path.write_text(TABLE)
    return str(path)


def test_a_sound_backend_conforms(run: Run, config: str) -> None:
    done = run("conformance", "noise", "--config", config, "--quick")
    assert done.exit_code == 0
    assert "0 are broken" in done.stdout
    assert "chain_rule" in done.stdout


def test_broken_laws_are_shown_with_their_causes(run: Run, config: str) -> None:
    done = run("conformance", "flat", "--config", config, "--law", "last_token_matters")
    assert done.exit_code == 1
    for part in (
        'the law "last_token_matters" is broken',
        "given: 'a b'",
        "off by one",
        "1 is broken",
    ):
        assert part in done.stdout
    facts = json.loads(run("conformance", "flat", "--config", config, "--quick", "--json").stdout)
    assert facts["conforms"] is False
    broken = {law["law"]: law for law in facts["laws"] if law["status"] == "broken"}
    assert set(broken) == {"last_token_matters", "first_tokens_matter", "bos_counts"}
    assert "off by one" in broken["last_token_matters"]["cause"]
    assert {"kind", "promise", "seconds", "given"} <= broken["last_token_matters"].keys()


def test_a_law_that_does_not_apply_has_a_reason(run: Run) -> None:
    done = run("conformance", "--backend", "random", "--option", "bos=false", "--quick", "--json")
    laws = {law["law"]: law for law in json.loads(done.stdout)["laws"]}
    assert laws["bos_counts"]["status"] == "not applicable"
    assert laws["bos_counts"]["reason"] == "the model adds no BOS"
    assert (laws["tree_scores_match"]["status"], laws["tree_scores_match"]["reason"]) == (
        "not offered",
        "needs trees",
    )


def test_unknown_laws_and_models_are_refused(run: Run, config: str) -> None:
    done = run("conformance", "noise", "--config", config, "--law", "chain_rul")
    assert done.exit_code == 2
    assert "chain_rule" in done.stderr
    assert run("conformance", "nois", "--config", config).exit_code == 2
    assert run("conformance", "noise", "--backend", "random").exit_code == 2


def test_laws_that_one_error_breaks_are_reported_together(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    @hookimpl(specname="greedy_impl")
    def fails(self: RandomLM, tokens: Sequence[int]) -> Any:
        raise ValueError("the engine is out of order")

    monkeypatch.setattr(RandomLM, "greedy_impl", fails)
    done = run("conformance", "--backend", "random")
    assert done.exit_code == 1
    output = " ".join(done.stdout.split())
    assert output.count("ValueError: the engine is out of order") == 1
    assert "test_conformance.py:" in output
    assert "one error breaks" in output
    assert "distribution, determinism" in output


def test_a_backend_whose_description_fails_gets_one_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    @hookimpl(specname="describe")
    def fails(self: RandomLM) -> Any:
        raise KeyError("vocab_size")

    monkeypatch.setattr(RandomLM, "describe_impl", fails)
    done = run("conformance", "--backend", "random")
    assert done.exit_code == 1
    assert done.stdout.count("KeyError: 'vocab_size'") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_prompts_and_choices_can_be_set(run: Run) -> None:
    done = run(
        "conformance", "--backend", "random",
        "--law", "bos_counts", "--law", "probabilities_sum_to_one",
        "--prompt", "Is it?", "-c", " yes", "-c", " no", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["conforms"] is True
    done = run("conformance", "--backend", "random", "-c", " yes")
    assert done.exit_code == 2
    assert "--choice" in done.stderr
