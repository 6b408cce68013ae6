"""Programs in the operator's folder: clients run them by name, and reach nothing else."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from autocog_core import ConfigError, InputError
from autocog_core.config.server_config import ServerConfig
from autocog_core.server.program_folder import ProgramFolder
from tests.server.own_routes import error, plain, post
from tests.support.served import app_in_process, small_app

GOOD = """\
description: Says how a review sounds.
inputs:
  text: {type: text, description: The review.}
  count: {type: integer, default: 2}
actions:
- text: "Review: {{ text }} {{ count }}"
- choices: [" good", " bad"]
  name: verdict
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a program, beside a file that no client may reach."""
    (tmp_path / "secret.yaml").write_text(GOOD)
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "review.yaml").write_text(GOOD)
    (folder / "notes.txt").write_text("no program")
    (folder / ".hidden.yaml").write_text("no: program")
    return folder


def test_clients_list_and_run_programs_by_name(folder: Path) -> None:
    with app_in_process(config=ServerConfig(programs=folder)) as client:
        (entry,) = client.get("/v1/programs").json()["data"]
        assert (entry["name"], entry["description"]) == ("review", "Says how a review sounds.")
        text = {"type": "text", "required": True, "default": None, "description": "The review."}
        count = {"type": "integer", "required": False, "default": 2, "description": ""}
        assert entry["inputs"] == {"text": text, "count": count}
        named = post(client, "/v1/runs", {"program": "review", "inputs": {"text": "x"}})
        # JSON is YAML for the reader of programs, so the file is data here, too.
        actions = [
            {"text": "Review: {{ text }} {{ count }}"},
            {"choices": [" good", " bad"], "name": "verdict"},
        ]
        inputs = {"text": "text", "count": {"type": "integer", "default": 2}}
        program = {"inputs": inputs, "actions": actions}
        whole = post(client, "/v1/runs", {"program": program, "inputs": {"text": "x"}})
        assert plain(named["results"]) == plain(whole["results"])


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "../secret.yaml", "review.yaml", "notes", "notes.txt", ".hidden", "."),
        *("programs/review", "./review", "review/", "review\x00", "", "..", "REVIEW", "*", "%2e"),
    ],
)
def test_names_never_become_paths(folder: Path, name: str) -> None:
    names = [name, f"{folder}/{name}", f"file://{folder}/review.yaml", f"@{folder}/review.yaml"]
    with app_in_process(config=ServerConfig(programs=folder)) as client:
        for each in names:
            status, text, parameter = error(client, "/v1/runs", {"program": each})
            assert (status, parameter) == (404, "program")
            assert text.endswith(('did you mean "review"?', "valid names: review"))


def test_a_changed_or_new_file_counts_from_the_next_request_on(folder: Path) -> None:
    with app_in_process(config=ServerConfig(programs=folder)) as client:
        program = {"actions": [{"text": "So: "}, {"choices": ["a", "b"], "name": "letter"}]}
        (folder / "letter.json").write_text(json.dumps(program))
        (result,) = post(client, "/v1/runs", {"program": "letter"})["results"]
        assert result["fields"]["letter"] in ("a", "b")
        program["actions"][1]["choices"] = ["c", "dd"]
        (folder / "letter.json").write_text(json.dumps(program))
        (result,) = post(client, "/v1/runs", {"program": "letter"})["results"]
        assert result["fields"]["letter"] in ("c", "dd")
        (folder / "letter.json").unlink()
        assert error(client, "/v1/runs", {"program": "letter"})[0] == 404


def test_errors_in_files_end_the_start_and_later_name_no_path(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "wrong.yaml").write_text("actions: 3")
    with pytest.raises(InputError, match=r"wrong\.yaml"):
        small_app(config=ServerConfig(programs=folder))
    (folder / "wrong.yaml").unlink()
    with app_in_process(config=ServerConfig(programs=folder)) as client:
        (folder / "wrong.yaml").write_text("actions: 3")
        status, text, _ = error(client, "/v1/runs", {"program": "wrong"})
        assert status == 503
        assert str(folder) not in text
        (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
        assert record.name.startswith("autocog_core.")
        assert "wrong.yaml" in record.getMessage()
        # The others are there.
        assert [entry["name"] for entry in client.get("/v1/programs").json()["data"]] == ["review"]


def test_a_folder_that_cannot_be_used_is_an_error_of_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ProgramFolder(tmp_path / "missing")
    for name in ("a.yaml", "a.json"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(ConfigError, match=r"a.json and a.yaml have one name"):
        ProgramFolder(tmp_path)
    (tmp_path / "a.json").unlink()
    assert ProgramFolder(tmp_path).names() == ["a"]
    os.rename(tmp_path / "a.yaml", tmp_path / "a.yml")
    assert ProgramFolder(tmp_path).names() == ["a"]
    assert ProgramFolder(None).names() == []
