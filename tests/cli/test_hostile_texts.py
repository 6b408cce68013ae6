"""No text of a program, a config file, a row or an error reaches the terminal as a command."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

import autocog_core as autocog
from autocog_core.cli.console import Console
from autocog_core.cli.output import facts_table, new_console
from autocog_core.controls import escape_controls, escape_json_controls
from tests.cli.conftest import Run
from tests.support.small_backends import forget, install

#: Moves the cursor, sets the window's title, clears the screen (with a C1 control), returns to the
#: start of the line, turns the line around; and markup of rich.
HOSTILE = "\x1b[2Jx\x1b]0;title\x07\x9b2J\r\x7f\u202e[bold red]:smile:"
ESCAPED = r"\x1b[2Jx\x1b]0;title\x07\x9b2J\r\x7f\u202e[bold red]:smile:"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", r"\u007f").replace("\x9b", r"\u009b")


@pytest.fixture
def hostile(folder: Path) -> Path:
    """A folder with a program, a config file and rows full of hostile texts."""
    name = toml(HOSTILE)
    (folder / "autocog.toml").write_text(
        f"[models.{name}]\nbackend = 'random'\nengine = {name}\n"
        f"[models.broken]\nbackend = {name}\noptions = {{ {name} = {name} }}\n",
        encoding="utf-8",
    )
    program = {
        "description": HOSTILE,
        "inputs": {"input": "text"},
        "actions": [
            {"text": f"{HOSTILE} {{{{ input }}}}", "uid": HOSTILE},
            {"choices": [HOSTILE, "b"], "name": HOSTILE},
            {"length": 2, "name": f"text {HOSTILE}"},
        ],
    }
    (folder / "program.json").write_text(json.dumps(program))
    rows = [{"input": HOSTILE, "right": "b"}, {"input": HOSTILE, "right": HOSTILE}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / HOSTILE).write_text("")
    return folder


MODEL = ["--model", HOSTILE]
COMMANDS: dict[str, list[str]] = {
    "models": ["models"],
    "doctor": ["doctor", "--no-load", HOSTILE],
    "a model without a backend": ["choose", "x", "-c", "a", "-c", "b", "--model", "broken"],
    "an unknown model": ["choose", "x", "-c", "a", "-c", "b", "--model", f"not {HOSTILE}"],
    "an unknown backend": ["backends", HOSTILE],
    "an unknown command": [HOSTILE],
    "an unknown option": ["models", f"--{HOSTILE}"],
    "a config that is missing": ["models", "--config", f"not {HOSTILE}"],
    "a config that is none": ["models", "--config", "program.json"],
    "choose": ["choose", HOSTILE, "-c", HOSTILE, "-c", "b", *MODEL],
    "tokenize": ["tokenize", HOSTILE, *MODEL],
    "greedy": ["greedy", HOSTILE, *MODEL],
    "check": ["check", "program.json"],
    "check with a model": ["check", "program.json", *MODEL],
    "check of another file": ["check", HOSTILE],
    **{f"show {name}": ["show", "program.json", "--format", name] for name in ("text", "svg")},
    **{f"show {name}": ["show", "program.json", "--format", name] for name in ("dot", "mermaid")},
    "run": ["run", "program.json", "--set", f"input={HOSTILE}", *MODEL],
    "run of an input that is unknown": ["run", "program.json", "--set", f"{HOSTILE}=1", *MODEL],
    "run of rows": [
        *("run", "program.json", "-i", "rows.jsonl", "-o", "out.jsonl", *MODEL),
        *("--gold", f"right={HOSTILE}"),
    ],
    "complete of many": ["complete", HOSTILE, "--n", "2", "--temperature", "1", *MODEL],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_control_characters(run: Run, hostile: Path, command: str) -> None:
    result = run(*COMMANDS[command])
    printed = result.stdout + result.stderr
    assert "internal error" not in printed
    assert printed
    if command != "complete of many":
        assert OBEYED.findall(printed) == []


@pytest.mark.parametrize("command", ["models", "choose", "run of an input that is unknown"])
def test_what_was_written_can_be_read(run: Run, hostile: Path, command: str) -> None:
    result = run(*COMMANDS[command])
    printed = re.sub(r"\s", "", result.stdout + result.stderr)
    # Tables wrap long texts, and `repr` escapes as well.
    assert ESCAPED[:12] in printed or ESCAPED[:12] in printed.replace("\\\\", "\\")
    assert "[boldred]:smile:" in printed


def test_an_exception_cannot_move_the_cursor_not_even_in_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError(HOSTILE)

    monkeypatch.setattr(autocog.Model, "next_tokens", fail)
    for arguments in (["greedy", "x"], ["--debug", "greedy", "x"]):
        assert OBEYED.findall(run(*arguments).stderr) == []


def test_names_of_plugins_are_printed_without_control_characters(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a\x1b[31mb"
    install(tmp_path / "site", "hostile-plugin", {"autocog": {name: "nowhere:X"}}, {})
    monkeypatch.syspath_prepend(tmp_path / "site")
    for arguments in (["backends"], ["backends", name]):
        result = run(*arguments)
        assert r"a\x1b[31mb" in result.stdout + result.stderr
        assert OBEYED.findall(result.stdout + result.stderr) == []
    forget("nowhere")


def test_json_for_programs_is_unchanged(run: Run, hostile: Path) -> None:
    result = run("choose", HOSTILE, "-c", HOSTILE, "-c", "b", "--json", *MODEL)
    assert [score["choice"] for score in json.loads(result.stdout)["scores"]] == [HOSTILE, "b"]
    assert "\x9b" in result.stdout, "only on a terminal it is escaped"
    document = json.dumps({"text": HOSTILE}, ensure_ascii=False)
    assert OBEYED.findall(escape_json_controls(document)) == []
    assert json.loads(escape_json_controls(document)) == json.loads(document)


PRINTED: dict[str, Callable[[], Any]] = {
    "text": lambda: HOSTILE,
    "styled text": lambda: Text.assemble((HOSTILE, "bold"), HOSTILE),
    "text in a table": lambda: table(HOSTILE, Text(HOSTILE)),
    "names and values": lambda: facts_table([(HOSTILE, HOSTILE), ("name", Text(HOSTILE))]),
    "a table in a table": lambda: table(table(HOSTILE)),
}


def table(*cells: Any) -> Table:
    result = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    for cell in cells:
        result.add_row(cell)
    return result


@pytest.mark.parametrize("kind", PRINTED)
def test_the_console_obeys_only_itself(kind: str) -> None:
    output = io.StringIO()
    console = Console(
        file=output,
        force_terminal=True,
        color_system="truecolor",
        markup=False,
        emoji=False,
        width=200,
    )
    console.print(PRINTED[kind]())
    without_styles = re.sub("\x1b\\[[0-9;]*m", "", output.getvalue())
    assert OBEYED.findall(without_styles) == []
    # Some texts of rich leave out \r and \x07 altogether.
    assert r"\x1b[2Jx\x1b]0;title" in without_styles
    assert r"\u202e[bold red]:smile:" in without_styles


def test_columns_stay_columns() -> None:
    output = io.StringIO()
    console = Console(file=output, markup=False, width=200)
    rows = Table()
    rows.add_row("\x1b[31m" * 3, "1")
    rows.add_row(Text("plain"), "2")
    console.print(rows)
    assert len({len(line) for line in output.getvalue().splitlines()}) == 1


def test_every_console_of_the_commands_is_such_a_console() -> None:
    assert isinstance(new_console(), Console)
    assert isinstance(new_console(stderr=True), Console)


@pytest.mark.parametrize(
    "text",
    ["naïve Ελλάδα", "\u200f\u05e9\u05dc\u05d5\u05dd", "👩\u200d💻 🇫🇷", "a\tb\nc", "\u2028\xa0"],
)
def test_text_in_any_language_stays(text: str) -> None:
    assert escape_controls(text) == text
