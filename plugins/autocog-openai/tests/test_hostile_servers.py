"""Chat servers whose answers mislead: nothing is exact, and what may pass is tried again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse
from typer.testing import CliRunner, Result

from autocog_core.cli.main import app
from autocog_core.errors import EngineError
from autocog_openai import OpenAI
from autocog_openai.connection.errors import MalformedAnswerError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.rewriting import Rewriting, change_everywhere, make_certain
from tests.support.openai.servers.serving import serving

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
PROGRAM: dict[str, Any] = {
    "autocog": 1,
    "inputs": {"question": "text"},
    "actions": [
        {"uid": "ask", "text": "{{ question }}"},
        {"uid": "answer", "name": "answer", "choices": ["yes", "no"]},
        {"uid": "why", "name": "why", "length": 3},
    ],
}
NAN = change_everywhere(("logprob",), math.nan)
#: More than the probe needs, and fewer than the rows need.
ALLOWED_ANSWERS = 16
RATE_LIMIT = {"error": {"message": "slow down please", "code": 429}}


def opened(connect: Connect, tokenizer: str, server: Rewriting) -> OpenAI:
    return connect(server, api="chat", tokenizer=tokenizer, max_retries=0)


def assert_pick(model: OpenAI) -> None:
    """Check that `choose` and `complete` claim no number."""
    found = model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert (found.method, found.exact) == ("pick", False)
    assert "there is no distribution" in found.reason
    assert all(score.token_logprobs == () for score in found.scores)
    completion = model.complete(messages=MESSAGES, max_tokens=3)
    assert completion.text
    assert completion.logprobs is None
    # The next call is as good.
    assert model.choose(messages=MESSAGES, choices=["yes", "no"]).index == found.index


def run(folder: Path, url: str, tokenizer: str) -> Result:
    """Run a program over three rows by the command line."""
    (folder / "program.json").write_text(json.dumps(PROGRAM))
    rows = [json.dumps({"question": f"Question {number}"}) for number in range(3)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "autocog.toml").write_text(
        f'default_model = "remote"\n[models.remote]\nbackend = "openai"\n'
        f'[models.remote.options]\nmodel = "random"\nbase_url = "{url}/v1"\napi = "chat"\n'
        f'tokenizer = "{tokenizer}"\nmax_retries = 0\n'
    )
    command = ["run", "program.json", "-i", "rows.jsonl", "-o", "out.jsonl"]
    return CliRunner().invoke(app, [*command, "--trees", "trees"])


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def assert_nothing_exact(folder: Path) -> None:
    """Check the rows and trees of a run that ended well."""
    rows = written(folder)
    assert [row["error"] for row in rows] == [None] * 3
    assert {row["fields"]["answer"] for row in rows} <= {"yes", "no"}
    trees = sorted((folder / "trees").iterdir())
    assert len(trees) == 3
    for tree in trees:
        nodes = json.loads(tree.read_text())["nodes"]
        decided = [node for node in nodes if node["uid"] in ("answer", "why")]
        assert decided
        for node in decided:
            assert node["exact"] is False
            assert node["reason"]
            assert not node.get("logprobs")


@pytest.mark.parametrize("change", [NAN, make_certain], ids=["NaN", "0 and -9999"])
def test_numbers_that_are_none_are_not_used(
    connect: Connect,
    byte_tokenizer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    server = Rewriting(Generic(), change)
    assert_pick(opened(connect, byte_tokenizer, server))
    with serving(server) as url:
        result = run(tmp_path, url, byte_tokenizer)
    assert result.exit_code == 0, result.output
    assert_nothing_exact(tmp_path)


def test_nan_after_probing_is_an_error_that_may_pass(connect: Connect, byte_tokenizer: str) -> None:
    server = Rewriting(Generic())
    model = opened(connect, byte_tokenizer, server)
    right = model.choose(messages=MESSAGES, choices=["yes", "no"], method="top_logprobs")
    server.change = NAN
    for call in (
        lambda: model.choose(messages=MESSAGES, choices=["yes", "no"]),
        lambda: model.complete(messages=MESSAGES, max_tokens=3),
    ):
        with pytest.raises(MalformedAnswerError, match=r"logprob must be .* not nan"):
            call()
    server.change = None
    again = model.choose(messages=MESSAGES, choices=["yes", "no"], method="top_logprobs")
    assert again.scores == right.scores


def test_an_error_in_an_answer_with_status_200_is_that_error(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = Rewriting(Generic())
    model = opened(connect, byte_tokenizer, server)
    right = model.choose(messages=MESSAGES, choices=["yes", "no"])
    for body in (RATE_LIMIT, {**RATE_LIMIT, "choices": None}):
        server.instead = JSONResponse(body)
        for call in (
            lambda: model.choose(messages=MESSAGES, choices=["yes", "no"]),
            lambda: model.complete(messages=MESSAGES, max_tokens=3),
        ):
            with pytest.raises(EngineError, match="slow down please") as caught:
                call()
            assert caught.value.retryable is True
    server.instead = None
    assert model.choose(messages=MESSAGES, choices=["yes", "no"]).scores == right.scores


def test_an_error_while_probing_is_no_fact_about_the_server(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = Rewriting(Generic())
    server.instead = JSONResponse(RATE_LIMIT)
    model = opened(connect, byte_tokenizer, server)
    with pytest.raises(EngineError, match="slow down please") as caught:
        model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert caught.value.retryable is True
    server.instead = None
    assert model.as_model().info.details["chat_max_top_logprobs"] == 20


def test_a_run_goes_on_where_the_rate_limit_was(
    byte_tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = iter(range(1_000))

    def limit(node: Any) -> Any:
        # The first answers are those of the probe.
        return node if next(answers) < ALLOWED_ANSWERS else RATE_LIMIT

    server = Rewriting(Generic(), limit)
    with serving(server) as url:
        run(tmp_path, url, byte_tokenizer)
        failed = [row for row in written(tmp_path) if row["error"]]
        assert failed
        assert all(row["error"]["retryable"] for row in failed)
        server.change = None
        result = run(tmp_path, url, byte_tokenizer)
        assert result.exit_code == 0, result.output
        rows = written(tmp_path)
    assert [row["error"] for row in rows] == [None] * 3
    assert all(row["fields"]["answer"] in ("yes", "no") for row in rows)
    assert any("slow down please" in row["error"]["message"] for row in failed)
