"""The API key is in no error or its causes, and in no log, file or output."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from typer.testing import CliRunner

from autocog_core.cli.main import app
from autocog_core.errors import AutocogError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.faults import Faults
from tests.support.openai.servers.openai_api import CHAT, OpenAIServer
from tests.support.openai.servers.scripted import Scripted, cut_after, echo_key, refusal
from tests.support.openai.servers.serving import serving

SECRET = "sk-proj-A1b2C3d4E5f6G7h8-not-to-be-shown"
MESSAGES = [{"role": "user", "content": "Tell me."}]


@pytest.fixture(params=["literal", "environment"])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the key, or the reference to its variable."""
    monkeypatch.setenv("MY_KEY", SECRET)
    return SECRET if request.param == "literal" else "env:MY_KEY"


def all_text(error: BaseException) -> str:
    """Return all texts of an error and its causes."""
    parts = ["".join(traceback.format_exception(error))]
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        parts += [str(one), repr(one), repr(one.args)]
        parts += [repr(getattr(one, name, "")) for name in ("message", "body", "what", "hint")]
        todo += [one.__cause__, one.__context__]
    return "\n".join(parts)


def files(folder: Path) -> str:
    return "\n".join(
        path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


def test_errors_logs_and_files_do_not_contain_the_key(
    connect_chat: Connect,
    key: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    scripted = Scripted(OpenAIServer(key=SECRET))
    given = {"model": CHAT, "server": "openai", "api_key": key, "max_retries": 0}
    model = connect_chat(scripted, **given)
    shown = [repr(model), repr(model.as_model()), repr(model._engine.options)]
    shown += [repr(model.as_model().info), repr(dict(model.as_model().info.details))]
    answers: list[Any] = [
        echo_key,
        cut_after(0),
        Response(f"Authorization: Bearer {SECRET}"),
        *(refusal(status, f"wrong key {SECRET}") for status in (400, 401, 403, 404, 429, 500)),
    ]
    count = 0
    for answer in answers:
        for more in ({}, {"on_text": lambda text: None}):
            scripted.answers.append(answer)
            with pytest.raises(AutocogError) as caught:
                model.complete(messages=MESSAGES, max_tokens=4, **more)
            scripted.answers.clear()
            shown.append(all_text(caught.value))
            count += 1
    assert count == 2 * len(answers)
    assert "***" in "".join(shown)
    shown += [caplog.text, files(tmp_path)]
    assert "servers" in [path.name for path in tmp_path.rglob("*")]
    for text in shown:
        assert SECRET not in text


def test_errors_of_a_wrong_key_or_a_failing_probe_do_not_contain_the_key(
    connect_chat: Connect, key: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = Faults(OpenAIServer(key=SECRET), share=1.0)
    for kind in ("429", "503", "cut", "invalid json"):
        faults.kinds = (kind,)
        model = connect_chat(faults, model=CHAT, server="openai", api_key=key, max_retries=0)
        with pytest.raises(AutocogError) as caught:
            model.complete(messages=MESSAGES, max_tokens=4)
        assert SECRET not in all_text(caught.value)
    other = connect_chat(OpenAIServer(), model=CHAT, server="openai", api_key=key)
    with pytest.raises(AutocogError, match="401") as caught:
        other.complete(messages=MESSAGES, max_tokens=4)
    assert SECRET not in all_text(caught.value)
    assert SECRET not in caplog.text + files(tmp_path)


@pytest.mark.parametrize("debug", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_command_line_does_not_show_the_key(
    key: str,
    debug: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    byte_tokenizer: str,
) -> None:
    scripted = Scripted(OpenAIServer(key=SECRET))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with serving(scripted) as url:
        (folder / "autocog.toml").write_text(
            f'default_model = "remote"\n[models.remote]\nbackend = "openai"\n'
            f'[models.remote.options]\nmodel = "{CHAT}"\nserver = "openai"\n'
            f'base_url = "{url}/v1"\napi_key = "{key}"\nmax_retries = 0\n'
            f'tokenizer = "{byte_tokenizer}"\n',
            encoding="utf-8",
        )
        command = ["choose", "Yes or no?", "-c", "yes", "-c", "no"]
        command += ["--debug"] if debug else []
        fine = CliRunner().invoke(app, [*command, "--json"])
        assert fine.exit_code == 0, fine.output
        outputs = [fine.output]
        for answer in (echo_key, refusal(401, f"wrong: {SECRET}"), refusal(500, SECRET)):
            scripted.answers.append(answer)
            result = CliRunner().invoke(app, command)
            assert result.exit_code in (1, 2)
            assert "error: " in result.output
            assert ("Traceback" in result.output) is debug
            outputs.append(result.output)
        if not debug:
            outputs.append(CliRunner().invoke(app, ["doctor", "remote"]).output)
    for text in outputs:
        assert SECRET not in text
    assert SECRET not in files(tmp_path / "cache")
