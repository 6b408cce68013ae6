"""`autocog serve`: what it refuses before it serves, each with one line; and its logs."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Run
from tests.support.served import serve_process


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], 'no model "nothing"'),
        (["known", "--backend", "random"], "--backend: cannot be combined with models"),
        (["--option", "seed=3"], "--option: requires --backend"),
        (["--host", "0.0.0.0"], "--host: other computers may reach 0.0.0.0, and there is no key"),
        (["--host", "example.org"], "give --key env:NAME, or --no-auth to answer everybody"),
        (["--key", "s3cret-value"], "must be env:NAME"),
        (["--key", "env:AUTOCOG_TEST_UNSET"], "AUTOCOG_TEST_UNSET is not set"),
        (["--key", "env:AUTOCOG_TEST_EMPTY"], "AUTOCOG_TEST_EMPTY is not set"),
        (["--key", "env:AUTOCOG_TEST_BLANK"], "the key is blank"),
        (["--key", "env:AUTOCOG_TEST_LETTERS"], "characters that a header cannot hold"),
        (["--log-prompts"], "--log-prompts: requires --access-log"),
        (["known", "--access-log", "no/folder"], "cannot write the access log"),
        (["known", "--host", "203.0.113.1", "--no-auth"], "cannot listen"),
        (["known", "--host", "a" * 100, "--no-auth"], "cannot listen"),
        (["known", "--host", "no host", "--no-auth"], "cannot listen"),
        (["keyed"], "AUTOCOG_TEST_SEED is not set"),
        (["--port", "70000"], "--port"),
    ],
)
def test_what_cannot_be_served_is_one_message(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], message: str
) -> None:
    monkeypatch.setenv("AUTOCOG_TEST_EMPTY", "")
    monkeypatch.setenv("AUTOCOG_TEST_BLANK", "  ")
    monkeypatch.setenv("AUTOCOG_TEST_LETTERS", "key\nof two lines")

    done = run("serve", *arguments)

    assert done.exit_code == 2
    assert message in done.stderr, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "s3cret-value" not in done.output


def test_a_port_in_use_is_one_message(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "known", "--port", str(taken.getsockname()[1]))

    assert done.exit_code == 2
    assert "in use" in done.stderr
    assert "take another --port or --host" in done.stderr


def test_without_the_extra_the_message_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("autocog_core.server.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setitem(sys.modules, "fastapi", None)

    done = run("serve", "known")

    assert done.exit_code == 2
    assert 'pip install "autocog-core[serve]"' in done.stderr


def test_without_models_the_message_says_how_to_begin(run: Run, folder: Path) -> None:
    (folder / "autocog.toml").write_text("")

    done = run("serve")

    assert done.exit_code == 2
    assert "no model is configured" in done.stderr


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("prot = 1", 'server.prot: unknown key; did you mean "port"'),
        ('origins = ["app.example"]', "server.origins.0: expected an origin without a path"),
        ('origins = ["https://app.example/page"]', "server.origins.0: expected an origin"),
        ('hosts = ["https://api.example"]', "server.hosts.0: expected a name alone"),
        ('hosts = ["api.example:80"]', "server.hosts.0: expected a name alone"),
    ],
)
def test_wrong_settings_in_the_config_file_are_named(
    run: Run, folder: Path, setting: str, error: str
) -> None:
    (folder / "autocog.toml").write_text(f'[server]\n{setting}\n[models.a]\nbackend = "random"\n')

    done = run("serve")

    assert done.exit_code == 2
    assert error in done.stderr


def test_the_access_log_has_a_line_of_json_for_each_request_and_no_prompt(folder: Path) -> None:
    log = folder / "access.jsonl"
    arguments = ["known", "--access-log", str(log)]
    with (
        serve_process(*arguments, folder=folder) as server,
        httpx2.Client(base_url=server.url, timeout=30, verify=False) as client,
    ):
        body = {"prompt": "It is a secret plan", "choices": ["a", "b"]}
        answer = client.post("/v1/choose", json=body)
        client.get('/x%0a{"status": 1}')
        assert server.stop() == 0

    text = log.read_text()
    first, second = (json.loads(line) for line in text.splitlines())
    assert first["request"] == answer.headers["x-request-id"]
    assert first["path"] == "/v1/choose"
    assert first["model"] == "known"
    assert first["status"] == answer.status_code == 200
    assert (second["path"], second["status"]) == ('/x\n{"status": 1}', 404)
    # A choice that continues the last word of a prompt is a warning that quotes it.
    assert "secret" not in text + "".join(server.stderr_lines)
    assert len(server.stderr_lines) == 1, server.stderr_lines


@pytest.mark.soak
def test_the_access_log_has_prompts_if_it_shall(folder: Path) -> None:
    key = "a-key-that-nobody-guesses"
    arguments = ["known", "--access-log", "-", "--log-prompts", "--key", "env:SERVER_KEY"]
    with (
        serve_process(*arguments, folder=folder, environment={"SERVER_KEY": key}) as server,
        httpx2.Client(base_url=server.url, timeout=30, verify=False) as client,
    ):
        headers = {"Authorization": f"Bearer {key}"}
        body = {"prompt": f"It is {key}", "choices": ["a", "b"]}
        assert client.post("/v1/choose", json=body).status_code == 401
        assert client.post("/v1/choose", json=body, headers=headers).status_code == 200
        assert server.stop() == 0
        assert server.process.stdout is not None
        text = server.process.stdout.read()

    first, second = (json.loads(line) for line in text.splitlines())
    assert (first["status"], first["key"]) == (401, None)
    assert (second["status"], second["key"]) == (200, 0)
    assert "It is" in second["body"]
    assert key not in text
