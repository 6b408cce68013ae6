"""No text of a program, a config file, a row or an error reaches the terminal as a command."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.table import Table
from rich.text import Text

import autocog_core as autocog
from autocog_core.cli.console import Console
from autocog_core.cli.core_commands import CORE_COMMANDS
from autocog_core.cli.output import facts_table, new_console
from autocog_core.cli.text import Text as SafeText
from autocog_core.controls import escape_controls, escape_json_controls
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from tests.cli.conftest import Run
from tests.support.small_backends import forget, install
from tests.support.soak import SOAK

#: Moves the cursor, sets the window's title, clears the screen (with a C1 control), returns to the
#: start of the line, turns the line around; and markup of rich.
HOSTILE = "\x1b[2Jx\x1b]0;title\x07\x9b2J\r\x7f\u202e\u200f[bold red]:smile:</script><b>"
ESCAPED = r"\x1b[2Jx\x1b]0;title\x07\x9b2J\r\x7f\u202e\u200f[bold red]:smile:</script><b>"
#: The same as the name of a file, which has no slash.
FILE = HOSTILE.replace("/", "")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", r"\u007f").replace("\x9b", r"\u009b")


@pytest.fixture
def hostile(folder: Path) -> Path:
    """A folder with a program, a config file and rows full of hostile texts."""
    name = toml(HOSTILE)
    (folder / "autocog.toml").write_text(
        f"[models.{name}]\nbackend = 'random'\nengine = {name}\n"
        f"[models.other]\nbackend = 'random'\noptions = {{ seed = 5 }}\n"
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
    (folder / "wrong.jsonl").write_text(json.dumps({HOSTILE: HOSTILE, f"{HOSTILE}2": 1}) + "\n")
    (folder / FILE).write_text("")
    (folder / f"{FILE}.txt").write_text(f"{HOSTILE.strip()}\tb\n".replace("\r", ""))
    schema = {"type": "object", "properties": {HOSTILE: {"enum": [HOSTILE, "b"]}}}
    schema |= {"required": [HOSTILE], "additionalProperties": False}
    (folder / "schema.json").write_text(json.dumps(schema))
    (folder / "choose.json").write_text(json.dumps({**program, "actions": program["actions"][:2]}))
    for name, reason in (("tree.json", HOSTILE), (f"{FILE}.json", "")):
        prob = 0.75 if reason else 0.5
        common: dict[str, Any] = {"uid": HOSTILE, "name": HOSTILE, "kind": "choice"}
        nodes = (
            ThoughtNode(text=HOSTILE, prob=prob, exact=not reason, reason=reason, **common),
            ThoughtNode(text="b", prob=1 - prob, pruned_by="width", **common),
        )
        (folder / name).write_text(json.dumps(ThoughtTree(nodes=nodes).to_dict()))
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
    "check of another file": ["check", FILE],
    "record": ["record", HOSTILE, "--schema", "schema.json", *MODEL],
    "a schema that is none": ["record", "x", "--schema", FILE, *MODEL],
    "score": ["score", f"{FILE}.txt", *MODEL],
    "score words": ["score", f"{FILE}.txt", "--words", *MODEL],
    "score tokens": ["score", f"{FILE}.txt", "--tokens", *MODEL],
    "score pairs": ["score", f"{FILE}.txt", "--pairs", *MODEL],
    "compare": ["compare", HOSTILE, HOSTILE, f"{FILE}.txt", "-c", HOSTILE, "-c", "b"],
    "compare programs": ["compare", HOSTILE, "other", "choose.json", "-i", "rows.jsonl"],
    "compare norms": [
        *("compare-norms", "choose.json", "-i", "rows.jsonl", *MODEL),
        *("--gold", f"{HOSTILE}=right"),
    ],
    "export": ["export", FILE, "-o", "out.csv"],
    "init": ["init", FILE],
    "docs": ["docs", HOSTILE],
    "merge": ["merge", FILE, f"{FILE}.txt", "-o", "merged.jsonl"],
    "serve": ["serve", "--host", HOSTILE, "--no-auth"],
    "serve of an unknown model": ["serve", HOSTILE + "x"],
    "report": ["report", FILE, "-o", "report.html"],
    "report of what is no output": ["report", HOSTILE, "--json", "-"],
    "a tree": ["show", "tree.json"],
    "run to a page": [
        *("run", "program.json", "--set", f"input={HOSTILE}", "--html", "tree.html", *MODEL),
    ],
    "new plugin": ["new-plugin", HOSTILE],
    "conformance": ["conformance", "--backend", "random", "--option", f"{HOSTILE}=1"],
    "demo": ["demo", "--model", f"not {HOSTILE}"],
    "two trees": ["show", "tree.json", "--diff", f"{FILE}.json"],
    "a tree that is none": ["show", "tree.json", "--diff", FILE],
    "rows": ["run", "program.json", "-i", "rows.jsonl", *MODEL],
    "rows with another column": ["run", "program.json", "-i", "wrong.jsonl", *MODEL],
    "rows in a table": ["run", "program.json", "-i", "rows.jsonl", "-o", f"{FILE}.csv", *MODEL],
    **{f"show {name}": ["show", "program.json", "--format", name] for name in ("text", "svg")},
    **{f"show {name}": ["show", "program.json", "--format", name] for name in ("dot", "mermaid")},
    "run": ["run", "program.json", "--set", f"input={HOSTILE}", *MODEL],
    "run of an input that is unknown": ["run", "program.json", "--set", f"{HOSTILE}=1", *MODEL],
    "run of rows": [
        *("run", "program.json", "-i", "rows.jsonl", "-o", "out.jsonl", *MODEL),
        *("--gold", f"{HOSTILE}=right"),
    ],
    "complete of many": ["complete", HOSTILE, "--n", "2", "--temperature", "1", *MODEL],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_control_characters(
    terminal: Run, hostile: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for columns in ("200", "60")[: 1 if command == "doctor" else 2]:
        monkeypatch.setenv("COLUMNS", columns)
        result = terminal(*COMMANDS[command])
        printed = result.stdout + result.stderr
        assert "internal error" not in printed
        assert printed
        assert OBEYED.findall(printed) == []


def test_the_commands_with_such_texts_are_all_of_core() -> None:
    assert {command[0] for command in COMMANDS.values()} >= CORE_COMMANDS.keys()


READABLE = (
    *("models", "choose", "run", "compare", "two trees", "run of an input that is unknown"),
    "rows with another column",
)


@pytest.mark.parametrize("command", READABLE)
def test_what_was_written_can_be_read(
    run: Run, hostile: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    result = run(*COMMANDS[command])
    printed = re.sub(r"\s", "", result.stdout + result.stderr)
    # Tables wrap long texts, and `repr` escapes as well.
    expected = ESCAPED.replace(" ", "")
    assert expected in printed or expected in printed.replace("\\\\", "\\")


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
    install(tmp_path / "site", "hostile-command", {"autocog.commands": {name: "nowhere:X"}}, {})
    monkeypatch.syspath_prepend(tmp_path / "site")
    # doctor imports every plugin, which takes long.
    doctor = [["doctor", "--no-load"]] if SOAK else []
    for arguments in (["backends"], ["backends", name], *doctor):
        result = run(*arguments)
        assert r"a\x1b[31mb" in result.stdout + result.stderr
        assert OBEYED.findall(result.stdout + result.stderr) == []
    assert OBEYED.findall(run("--help").stdout) == []
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


def test_texts_of_the_commands_leave_nothing_out() -> None:
    signs = "a\x07b\x08c\x0bd\x0ce\rf\x1b[31mg"
    escaped = r"a\x07b\x08c\x0bd\x0ce\rf\x1b[31mg"
    assert SafeText(signs).plain == SafeText().append(signs).plain == escaped
    assert SafeText.assemble(signs, (signs, "bold")).plain == escaped * 2
    for path in (Path(__file__).parents[2] / "autocog_core/cli").glob("*.py"):
        if path.name not in ("console.py", "text.py"):
            assert "from rich.text" not in path.read_text(encoding="utf-8"), path


def test_markup_is_text_in_a_picture(run: Run, hostile: Path) -> None:
    (hostile / "markup.json").write_text(
        json.dumps({"actions": [{"text": "</text><script>1</script> [red]", "uid": "</g>"}]})
    )
    picture = run("show", "markup.json", "--format", "svg").stdout
    shown = "".join(ET.fromstring(picture).itertext())
    assert "'</text><script>1</script> [red]'" in shown
    assert "</g>" in shown
    assert not re.search(r"<(?:script|b)\b", picture)
    assert "[red]" in run("show", "markup.json", "--format", "dot").stdout
    assert "<script" not in run("show", "markup.json", "--format", "mermaid").stdout


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
    # Texts of rich itself leave out \r and \x07 altogether.
    assert r"\x1b[2Jx\x1b]0;title" in without_styles
    assert r"\u202e\u200f[bold red]:smile:</script><b>" in without_styles


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
    [
        "naïve Ελλάδα",
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
        "👩\u200d💻 🇫🇷",
        "a\tb\nc",
        "\u2028\xa0",
    ],
)
def test_text_in_any_language_stays(text: str) -> None:
    assert escape_controls(text) == text
