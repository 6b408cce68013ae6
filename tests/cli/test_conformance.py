"""`autocog conformance`: what it says of backends that keep the laws, and of those that do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Run

TABLE = """
[models.noise]
backend = "random"
options = { seed = 4 }

[models.flat]
backend = "table"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "autocog.toml"
    path.write_text(TABLE)
    return str(path)


def test_a_sound_backend_conforms(run: Run, config: str) -> None:
    done = run("conformance", "noise", "--config", config)
    assert done.exit_code == 0
    assert "0 are broken" in done.stdout
    assert "chain_rule" in done.stdout


def test_broken_laws_are_shown_with_their_causes(run: Run, config: str) -> None:
    done = run("conformance", "flat", "--config", config, "--law", "last_token")
    assert done.exit_code == 1
    for part in ('the law "last_token" is broken', "given: 'a b'", "off by one", "1 are broken"):
        assert part in done.stdout
    facts = json.loads(run("conformance", "flat", "--config", config, "--json").stdout)
    assert facts["conforms"] is False
    broken = {law["law"]: law for law in facts["laws"] if law["status"] == "broken"}
    assert set(broken) == {"last_token", "first_tokens", "bos_counts"}
    assert "off by one" in broken["last_token"]["cause"]
    assert {"kind", "promise", "seconds", "given"} <= broken["last_token"].keys()


def test_what_does_not_apply_says_why(run: Run) -> None:
    done = run("conformance", "--backend", "random", "--option", "bos=false", "--json")
    laws = {law["law"]: law for law in json.loads(done.stdout)["laws"]}
    assert laws["bos_counts"]["status"] == "not applicable"
    assert laws["bos_counts"]["why"] == "the model adds no BOS"
    assert (laws["trees"]["status"], laws["trees"]["why"]) == ("not offered", "needs trees")


def test_unknown_laws_and_models_are_refused(run: Run, config: str) -> None:
    done = run("conformance", "noise", "--config", config, "--law", "chain_rul")
    assert done.exit_code == 2
    assert "chain_rule" in done.stderr
    assert run("conformance", "nois", "--config", config).exit_code == 2
    assert run("conformance", "noise", "--backend", "random").exit_code == 2
