"""A data set on a server with 30% faults: each row ends as a correct result or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from autocog_core import Automaton
from autocog_core.cli.main import app
from autocog_core.errors import AutocogError, EngineError
from autocog_core.evaluation.evaluation import Strategy
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.faults import KINDS, Faults
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.vllm import VLLM

PROGRAM: dict[str, Any] = {
    "autocog": 1,
    "inputs": {"question": "text"},
    "actions": [
        {"uid": "ask", "text": "{{ question }}"},
        {"uid": "answer", "name": "answer", "choices": [" the", " and"]},
        {"uid": "why", "name": "why", "length": 4, "stop": "\n"},
    ],
}
#: Seconds for one request. Each request of a row may time out.
TIMEOUT = 0.5
#: A completion is then one request, instead of one for each token.
STRATEGY: Strategy = "text"


def faulty(server: VLLM) -> Faults:
    return Faults(server, retry_after=0.01, slow=0.05, seed=11)


def same(one: Any, other: Any) -> bool:
    """Whether two rows are equal, except for the number of evaluated tokens."""
    mine, another = dict(one), dict(other)
    for row in (mine, another):
        row.pop("tokens_evaluated", None)
        row["logprob"] = pytest.approx(row["logprob"], abs=1e-4)
        row["prob"] = pytest.approx(row["prob"], abs=1e-4)
        row["margin"] = pytest.approx(row["margin"], abs=1e-4)
        row["probs"] = {name: pytest.approx(p, abs=1e-4) for name, p in row["probs"].items()}
    return bool(mine == another)


@pytest.mark.slow
@pytest.mark.parametrize("requests", [150, pytest.param(2500, marks=pytest.mark.soak)])
def test_every_row_ends_as_a_result_or_as_an_error_with_its_cause(
    connect: Connect, requests: int
) -> None:
    server = VLLM(Engine(vocabulary="merges"))
    faults = faulty(server)
    faults.enabled = False
    model = connect(faults, timeout=TIMEOUT, max_retries=1, max_concurrency=8).as_model()
    assert model.info.name
    automaton = Automaton.from_dict(PROGRAM)
    rows = [{"question": f"Question {number}"} for number in range(60)]
    server.log.clear()
    expected = list(automaton.run_many(model, rows, concurrency=8, strategy=STRATEGY))
    assert not any(isinstance(one, AutocogError) for one in expected)
    needed = server.log.paths.count("/v1/completions")
    faults.enabled, faults.requests = True, 0
    ended = {"result": 0, "error": 0}
    while faults.requests < requests:
        before = faults.requests
        results = list(automaton.run_many(model, rows, concurrency=8, strategy=STRATEGY))
        # There are no more requests than `max_retries` allows.
        assert faults.requests - before <= 2 * needed
        assert len(results) == len(rows)
        for one, tree in zip(results, expected, strict=True):
            if isinstance(one, AutocogError):
                ended["error"] += 1
                assert isinstance(one, EngineError)
                assert one.retryable
                assert one.message
                assert one.where
                continue
            ended["result"] += 1
            assert one.fields == tree.fields
            assert one.best().logprob == pytest.approx(tree.best().logprob, abs=1e-4)
    assert min(ended.values()) > 0
    assert faults.injected.keys() == set(KINDS)
    assert faults.injected.total() >= 0.2 * faults.requests
    faults.enabled = False
    again = automaton.run_many(model, rows, concurrency=8, strategy=STRATEGY)
    for one, tree in zip(again, expected, strict=True):
        assert not isinstance(one, AutocogError)
        assert one.fields == tree.fields


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "first"), [(40, 30), pytest.param(80, 50, marks=pytest.mark.soak)]
)
def test_the_command_resumes_and_ends_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, first: int
) -> None:
    faults = faulty(VLLM(Engine(vocabulary="merges")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.json").write_text(json.dumps(PROGRAM))
    rows = [json.dumps({"question": f"Question {number}"}) for number in range(count)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")

    def run(output: str, *more: str) -> Result:
        command = ["run", "program.json", "-i", "rows.jsonl", "-o", output, "--concurrency", "8"]
        command += ["--strategy", "text"]
        return CliRunner().invoke(app, [*command, *more])

    def written(output: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / output).read_text().splitlines()]

    with serving(faults) as url:
        (tmp_path / "autocog.toml").write_text(
            f'default_model = "remote"\n[models.remote]\nbackend = "openai"\n'
            f'[models.remote.options]\nmodel = "random"\nbase_url = "{url}/v1"\n'
            f"timeout = {TIMEOUT}\nmax_retries = 1\nmax_concurrency = 8\n"
        )
        faults.enabled = False
        assert run("fine.jsonl").exit_code == 0
        expected = written("fine.jsonl")
        assert all(row["error"] is None for row in expected)
        # Requests before the first row belong to no row.
        faults.enabled, faults.spare = True, ("/v1/models",)
        result = run("out.jsonl", "--limit", str(first))
        assert result.exit_code == 0, result.output
        begun = written("out.jsonl")
        assert len(begun) == first
        failed = [row for row in begun if row["error"] is not None]
        assert 0 < len(failed) < first
        assert all(row["error"]["message"] and row["error"]["where"] for row in failed)
        assert f"errors {len(failed)}" in " ".join(result.stderr.split())
        faults.enabled = False
        assert run("out.jsonl").exit_code == 0
        whole = written("out.jsonl")
    assert all(row["error"]["retryable"] for row in failed)
    for number, row in enumerate(expected):
        assert same(whole[number], row)
        if number < first and begun[number]["error"] is None:
            assert whole[number] == begun[number]
