"""`autocog run`: one input, or all rows of a file; it resumes after a kill at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import autocog_core as autocog
from autocog_core import Automaton
from autocog_core.dataset import Run, run_file
from autocog_core.dataset.output_file import lock_output
from autocog_core.types.thought_tree import ThoughtTree
from tests.cli.conftest import CONFIG
from tests.cli.conftest import Run as Invoke
from tests.cli.test_process import COMMAND
from tests.support.small_backends import forget, install
from tests.support.soak import count

PROGRAM = """
autocog: 1
inputs:
  question: text
  options: {type: list, default: [a, b]}
  note: {type: any, default: none}
actions:
- {uid: ask, text: "{{ question }} ({{ note }}):"}
- uid: answer
  name: answer
  choices: {each: options, text: " {{ item }}"}
- {uid: then, text: " Sure?"}
- {uid: sure, name: sure, choices: [" yes", " no"]}
"""
ROWS = [
    {"question": "One", "label": "a"},
    {"question": "Two", "label": "b"},
    {"label": "b"},
    {"question": "Four", "options": ["x", "y"], "label": "x"},
]


@pytest.fixture
def files(folder: Path) -> Path:
    """A folder with a program, and rows for it."""
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    write_rows(folder / "rows.jsonl", ROWS)
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def records(text: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def without_input(text: str | bytes) -> list[dict[str, Any]]:
    """The rows of an output without their input, which keeps the types of its file."""
    return [{k: v for k, v in record.items() if k != "input"} for record in records(text)]


def api(rows: list[dict[str, Any]], folder: Path, model: str = "noise") -> bytes:
    """The output as the API writes it."""
    write_rows(folder / "api-rows.jsonl", rows)
    with autocog.load(model) as loaded:
        run = Run(Automaton.from_file(folder / "program.yaml"), loaded)
        run_file(run, folder / "api-rows.jsonl", folder / "api.jsonl")
    return (folder / "api.jsonl").read_bytes()


def test_one_input_gives_its_record_and_its_tree(files: Path, run: Invoke) -> None:
    result = run("run", "program.yaml", "-m", "noise", "--set", "question=One")
    assert result.exit_code == 0
    assert result.stderr == ""
    with autocog.load("noise") as model:
        tree = Automaton.from_file("program.yaml").run(model, {"question": "One"})
    lines = result.stdout.splitlines()
    for line, (name, text) in zip(lines, tree.fields.items(), strict=False):
        assert line.split()[:2] == [name, str(text).strip()]
    assert f"logprob {tree.best().logprob:.3f}" in result.stdout
    assert "'One (none):'" in result.stdout
    assert sum(line.startswith(">") for line in lines) == 4
    assert sum(line.endswith(" width") for line in lines) == 2
    assert max(len(line) for line in lines) <= 80


def test_json_of_one_input_is_the_tree(files: Path, run: Invoke) -> None:
    result = run("run", "program.yaml", "-m", "noise", "--set", "question=One", "--json")
    with autocog.load("noise") as model:
        tree = Automaton.from_file("program.yaml").run(model, {"question": "One"})
    assert ThoughtTree.from_dict(json.loads(result.stdout)).nodes == tree.nodes


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_the_strategy_can_be_given(files: Path, run: Invoke, strategy: str) -> None:
    given = ("run", "program.yaml", "-m", "noise", "--strategy", strategy)
    result = run(*given, "--set", "question=One", "--json")
    assert json.loads(result.stdout)["provenance"]["strategy"] == strategy
    result = run(*given, "-i", "rows.jsonl", "-o", "out.jsonl", "--trees", "trees")
    assert result.exit_code == 0, result.output
    tree = json.loads((files / "trees" / "000000.json").read_bytes())
    assert tree["provenance"]["strategy"] == strategy
    again = run("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl")
    assert again.exit_code == 2
    assert f"another strategy (was {strategy}, is none)" in again.stderr


def test_an_unknown_strategy_is_an_error_that_lists_the_strategies(
    run: Invoke, files: Path
) -> None:
    result = run("run", "program.yaml", "-m", "noise", "--strategy", "guess")
    assert result.exit_code == 2
    assert "token_tree" in result.stderr
    assert "text" in result.stderr


COUNTING = """
from autocog_core import Usage
from autocog_core.backends.random import RandomLM

class Counting(RandomLM):
    calls = 0
    def greedy_tree_impl(self, queries):
        self.calls += 1000
        return None
    def usage_impl(self):
        return Usage(
            requests=self.calls,
            prompt_tokens=2 * self.calls,
            cached_tokens=self.calls // 2,
            completion_tokens=7,
        )
"""


def test_the_usage_that_a_model_counts_is_shown_at_the_end(
    files: Path, run: Invoke, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any
) -> None:
    site = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(site)
    points = {"autocog": {"counting": "counting_backend:Counting"}}
    install(site, "autocog-counting", points, {"counting_backend": COUNTING})
    try:
        one = run("run", "program.yaml", "--backend", "counting", "--set", "question=One")
        rows = run("run", "program.yaml", "--backend", "counting", "-i", "rows.jsonl")
        file = run(
            *("run", "program.yaml", "--backend", "counting", "-i", "rows.jsonl"),
            *("-o", "out.jsonl", "--json"),
        )
    finally:
        forget("counting_backend")
    # Two choices a row, and three rows that have what they need.
    assert shown_usage(one.stderr) == (
        "2,000 requests, 4,000 prompt tokens (1,000 cached), 0 completion tokens"
    )
    for result in (rows, file):
        assert shown_usage(result.stderr) == (
            "6,000 requests, 12,000 prompt tokens (3,000 cached), 0 completion tokens"
        )
    (usage,) = json.loads(file.stdout)["usage"].values()
    assert usage["cached_tokens"] == 3000
    assert "usage" not in run("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl").stderr


def shown_usage(stderr: str) -> str:
    lines = " ".join(stderr.split())
    return lines[lines.index("usage ") + len("usage ") :].partition(" time ")[0].strip()


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (["question=a=b"], "a=b (none):"),
        (["question=@question.txt"], "from a\nfile (none):"),
        (["question=@@home"], "@home (none):"),
        (["question=3", "note=[1"], "3 ([1):"),
        (["question=3", "note=1.50"], "3 (1.5):"),
        (["question=", 'options=["x", "y"]'], " (none):"),
    ],
    ids=str,
)
def test_values_are_read_as_their_inputs_are_declared(
    files: Path, run: Invoke, given: list[str], asked: str
) -> None:
    (files / "question.txt").write_bytes(b"\xef\xbb\xbffrom a\nfile\n")
    values = [part for pair in given for part in ("--set", pair)]
    result = run("run", "program.yaml", "-m", "noise", "--json", *values)
    nodes = json.loads(result.stdout)["nodes"]
    assert nodes[0]["text"] == asked
    choices = [node["text"] for node in nodes if node["uid"] == "answer"]
    assert choices == ([" x", " y"] if len(given) > 1 and "options" in given[1] else [" a", " b"])


def test_rows_go_to_stdout_as_the_api_writes_them(files: Path, run: Invoke) -> None:
    result = run("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl")
    assert result.exit_code == 0
    assert result.stdout.encode() == api(ROWS, files)
    assert [record["error"] is None for record in records(result.stdout)] == [
        True, True, False, True,
    ]  # fmt: skip
    assert "1; the first: row 2: inputs: " in " ".join(result.stderr.split())
    assert {path.name for path in files.iterdir() if path.name.startswith("out")} == set()


def test_rows_go_to_a_file_and_the_summary_has_their_totals(files: Path, run: Invoke) -> None:
    command = ["run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl"]
    result = run(*command, "--gold", "answer=label", "--trees", "trees")
    assert result.exit_code == 0
    assert result.stdout == ""
    rows = records((files / "out.jsonl").read_bytes())
    right = sum(
        record["error"] is None and record["fields"]["answer"].strip() == record["gold"]
        for record in rows
    )
    summary = " ".join(result.stderr.split())
    assert f"{right} right of 3 answered; 95% interval" in summary
    assert "expected error" in summary
    assert (
        f"tokens {sum(record.get('tokens_evaluated', 0) for record in rows)} evaluated" in summary
    )
    assert len(list((files / "trees").iterdir())) == 3

    again = run(*command, "--gold", "answer=label", "--trees", "trees", "--json")
    assert "rows 4 (4 of them before)" in " ".join(again.stderr.split())
    facts = json.loads(again.stdout)
    assert (facts["rows"], facts["errors"]) == (4, 1)
    assert facts["accuracy"]["right"] == right
    assert records((files / "out.jsonl").read_bytes()) == rows


def test_quiet_hides_the_summary(files: Path, run: Invoke) -> None:
    result = run("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "o.jsonl", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("output", [(), ("-o", "out.jsonl")], ids=["stdout", "file"])
def test_a_run_without_a_success_has_exit_code_1(
    files: Path, run: Invoke, output: tuple[str, ...]
) -> None:
    write_rows(files / "rows.jsonl", [{"question": None}, {"question": []}])
    command = ("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", *output, "-q")
    for _ in range(2):
        result = run(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: no row succeeded, 2 have errors; the first: row 0:")
        assert result.stderr.count("\n") == 1
    write_rows(files / "rows.jsonl", [{"question": None}, {"question": "One"}])
    assert run(*command, *(["--overwrite"] if output else [])).exit_code == 0


@pytest.mark.parametrize("output", [(), ("-o", "out.jsonl")], ids=["stdout", "file"])
def test_max_errors_ends_a_run(files: Path, run: Invoke, output: tuple[str, ...]) -> None:
    write_rows(files / "rows.jsonl", [ROWS[0], {"question": None}, {"question": []}, ROWS[1]])
    command = ("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "--max-errors", "2")
    result = run(*command, *output)
    assert result.exit_code == 1
    assert "error: 2 rows have errors, the limit; the last: row 2: inputs:" in result.stderr
    assert "3 of 4 rows are done" in result.stderr
    written = (files / "out.jsonl").read_text() if output else result.stdout
    assert len(records(written)) == 3
    if output:
        assert run(*command, *output).exit_code == 0
        assert len(records((files / "out.jsonl").read_text())) == 4


def test_an_input_without_rows_is_a_warning(files: Path, run: Invoke) -> None:
    (files / "rows.jsonl").write_text("\n")
    result = run("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-q")
    assert (result.exit_code, result.stderr) == (0, "warning: the input has no rows\n")


def test_right_answers_that_are_never_a_choice_are_a_warning(files: Path, run: Invoke) -> None:
    command = ("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "--gold", "answer=label")
    rows = [{"question": "One", "label": "A"}, {"question": "Two", "label": "B"}]
    write_rows(files / "rows.jsonl", rows)
    result = run(*command, "-q")
    assert result.stderr.startswith(
        "warning: no right answer is among the choices of its row: in row 0, 'A' is right, and a "
        "choice is '"
    )
    write_rows(files / "rows.jsonl", [*rows, {"question": "Three", "label": "a"}])
    result = run(*command)
    assert "warning" not in result.stderr
    shown = " ".join(result.stderr.split())
    assert "2 right answers are none of the choices of their row: in row 0, 'A' is right" in shown


@pytest.mark.parametrize("name", ["program.yaml", "link.jsonl"])
def test_the_program_is_never_written_over(
    files: Path, wrong: Callable[..., str], name: str
) -> None:
    (files / "link.jsonl").symlink_to("program.yaml")
    message = wrong(
        *("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", name, "--overwrite"),
        *("--output-format", "csv"),
    )
    assert f"{name}: is the program" in message
    assert (files / "program.yaml").read_text(encoding="utf-8") == PROGRAM


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "wrong.jsonl"],
        ["-i", "rows.jsonl", "--gold", "answer=lable"],
        ["-i", "rows.jsonl", "-o", "x" * 256 + ".jsonl"],
        ["-i", "rows.jsonl", "-o", "out.xlsx"],
        ["-i", "rows.jsonl", "-o", "out"],
        ["-i", "rows.jsonl", "-o", "out.parquet.gz"],
        ["-i", "rows.jsonl", "-o", "there.csv"],
        ["-i", "answer.jsonl", "-o", "out.csv"],
        ["-i", "rows.jsonl", "-o", "out.csv", "--id", "lable"],
        ["-i", "rows.jsonl", "-o", "out.csv", "--id", "label"],
        ["-i", "rows.jsonl", "-o", "out.jsonl", "--prefix", "p."],
        ["-i", "rows.jsonl", "--output-format", "parquet"],
        ["-i", "rows.jsonl", "-o", "nowhere/out.jsonl"],
        ["-i", "utf-16.jsonl"],
    ],
    ids=lambda arguments: " ".join(arguments)[-24:],
)
def test_what_is_wrong_is_found_before_the_model_is_loaded(
    files: Path, run: Invoke, wrong: Callable[..., str], arguments: list[str]
) -> None:
    write_rows(files / "wrong.jsonl", [{"query": "One"}])
    write_rows(files / "answer.jsonl", [{"question": "One", "answer": "a"}])
    (files / "there.csv").write_text("mine")
    (files / "utf-16.jsonl").write_text('{"question": "One"}', encoding="utf-16")
    with (files / "autocog.toml").open("a") as config:
        config.write('[models.absent]\nbackend = "random"\noptions = {seed = "env:NOWHERE"}\n')
    assert "NOWHERE" in run("run", "program.yaml", "-m", "absent", "-i", "rows.jsonl").stderr
    assert "NOWHERE" not in wrong("run", "program.yaml", "-m", "absent", *arguments)


def test_a_limit_can_be_raised(files: Path, run: Invoke) -> None:
    command = ["run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl"]
    for limit in ("1", "3", "9"):
        assert run(*command, "--limit", limit).exit_code == 0
        rows = len(records((files / "out.jsonl").read_bytes()))
        assert rows == min(int(limit), len(ROWS))
    assert (files / "out.jsonl").read_bytes() == api(ROWS, files)


def test_a_csv_file_gives_the_same_as_json_lines(files: Path, run: Invoke) -> None:
    (files / "rows.csv").write_text('question,options\nOne,"[""a"", ""b""]"\n', encoding="utf-8")
    result = run("run", "program.yaml", "-m", "noise", "-i", "rows.csv")
    assert without_input(result.stdout) == without_input(api([{"question": "One"}], files))


def test_a_parquet_file_gives_the_same_as_json_lines(files: Path, run: Invoke) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns: dict[str, Any] = {"question": None, "options": None, "label": None}
    table = arrow.Table.from_pylist([{**columns, **row} for row in ROWS])
    parquet.write_table(table, files / "rows.parquet")
    result = run("run", "program.yaml", "-m", "noise", "-i", "rows.parquet")
    assert without_input(result.stdout) == without_input(api(ROWS, files))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "program.yaml").write_text(PROGRAM + "- text: '!'\n"), "program"),
        (lambda folder: write_rows(folder / "rows.jsonl", ROWS[:3]), "input"),
        (lambda folder: (folder / "autocog.toml").write_text(CONFIG.replace("3", "4")), "model"),
    ],
    ids=["program", "input", "model"],
)
def test_a_changed_run_is_refused_without_overwrite(
    files: Path, run: Invoke, wrong: Callable[..., str], change: Any, expected: str
) -> None:
    command = ["run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl"]
    run(*command, "--limit", "2")
    before = (files / "out.jsonl").read_bytes()
    change(files)
    message = wrong(*command)
    assert f"another {expected} (" in message
    assert "--overwrite" in message
    assert (files / "out.jsonl").read_bytes() == before
    result = run(*command, "--overwrite")
    assert result.exit_code == 0
    assert (files / "out.jsonl").read_bytes() == run(*command[:-2]).stdout.encode()


def test_a_file_that_another_run_writes_is_refused(
    files: Path, run: Invoke, wrong: Callable[..., str]
) -> None:
    command = ["run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl"]
    with FileLock("out.jsonl.lock"):
        assert "another run is writing it" in wrong(*command)
    assert run(*command).exit_code == 0


def test_actions_run_on_the_models_that_they_name(
    files: Path, run: Invoke, wrong: Callable[..., str]
) -> None:
    (files / "two.yaml").write_text(
        "actions:\n- text: 'It is'\n- {name: a, choices: [x, y]}\n"
        "- {name: b, choices: [v, w], model: judge}\n",
        encoding="utf-8",
    )
    assert "--models judge=MODEL" in wrong("run", "two.yaml", "-m", "noise")
    given = ["run", "two.yaml", "-m", "noise", "--json", "--models"]
    result = run(*given, "judge=known")
    with autocog.load("noise") as noise, autocog.load("known") as known:
        tree = Automaton.from_file("two.yaml").run(noise, models={"judge": known})
    assert ThoughtTree.from_dict(json.loads(result.stdout)).nodes == tree.nodes
    assert 'did you mean "judge"' in wrong(*given, "jugde=known")
    # Under its own name it need not be given; and the main model may be the other one too.
    (files / "two.yaml").write_text((files / "two.yaml").read_text().replace("judge", "noise"))
    assert run("run", "two.yaml", "-m", "noise").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], '"question" is missing'),
        (["--set", "query=x"], "--set: the program has no input"),
        (["--set", "question"], "--set: expected NAME=VALUE"),
        (["--set", "question=a", "--set", "question=b"], "is given twice"),
        (["--set", "question=@nowhere"], "nowhere: cannot be read"),
        (["--set", "question=a", "--set", "options=["], '"options" is not a list'),
        (["--set", "question=a", "-i", "rows.jsonl"], 'has a column "question", which is also set'),
        (["--set", "options=[", "-i", "rows.jsonl"], 'write a list as JSON: ["first", "second"]'),
        (["--set", "question=a", "--input-format", "csv"], "--input-format: requires --input"),
        (["--set", "note=@-", "-i", "-"], "--set note: standard input is read only once"),
        (["--set", "question=a", "-o", "out.jsonl"], "--output: requires --input"),
        (["--set", "question=a", "--gold", "label"], "--gold: requires --input"),
        (["-i", "rows.jsonl", "--overwrite"], "--overwrite: requires --output"),
        (["-i", "rows.jsonl", "--json"], "--json: requires --output"),
        (["-i", "rows.txt"], "use one of .csv, .tsv, .json, .jsonl"),
        (["-i", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["-i", "rows.jsonl", "-o", "nowhere/out.jsonl"], "nowhere: there is no such folder"),
        (["-i", "rows.jsonl", "-o", "rows.jsonl"], "rows.jsonl: is the input"),
        (["-i", "rows.jsonl", "--gold", "anser=label"], 'did you mean "answer"'),
        (["-i", "rows.jsonl", "--models", "judge=known"], "--models: no action"),
        (["-i", "wrong.csv"], 'there is no column "question"'),
        (["-i", "right.csv", "--gold", "label"], 'there is no column "label"'),
        (["-i", "rows.jsonl", "--concurrency", "0"], "concurrency"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_one_message(
    files: Path, wrong: Callable[..., str], arguments: list[str], expected: str
) -> None:
    (files / "wrong.csv").write_text("query\nOne\n")
    (files / "right.csv").write_text("question\nOne\n")
    assert expected in wrong("run", "program.yaml", "-m", "noise", *arguments)


def test_help_imports_nothing_that_only_a_run_needs(files: Path) -> None:
    code = (
        "import sys\n"
        "from autocog_core.cli.main import app\n"
        "sys.argv = ['autocog', '--help']\n"
        "try:\n    app()\n"
        "except SystemExit:\n    pass\n"
        "late = ('rich.progress', 'pyarrow', 'jinja2', 'autocog_core.dataset')\n"
        "sys.exit(f'{set(late) & set(sys.modules)}' if set(late) & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", code], cwd=files, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


MANY = [
    {"question": f"Question {number}", "options": list("abcdefgh")}
    for number in range(count(normal=120, soak=250))
]
KILLS = count(normal=2, soak=5)
COMMAND_LINE = [
    *COMMAND,
    *("run", "program.yaml", "-m", "noise", "-i", "many.jsonl", "-o", "out.jsonl"),
    *("--trees", "trees"),
]


def begin(folder: Path) -> subprocess.Popen[str]:
    """Start the command in a separate process group, so that signals reach only it."""
    return subprocess.Popen(
        COMMAND_LINE,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What is started in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_more(process: subprocess.Popen[str], output: Path, size: int) -> None:
    """Until the file is larger than `size`, or the process has ended."""
    while process.poll() is None and (not output.exists() or output.stat().st_size <= size):
        time.sleep(0.001)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_loses_and_repeats_no_row(files: Path) -> None:
    write_rows(files / "many.jsonl", MANY)
    output = files / "out.jsonl"
    moments = random.Random(11)
    kills = 0
    for _ in range(KILLS):
        size = output.stat().st_size if output.exists() else 0
        process = begin(files)
        wait_for_more(process, output, size)
        time.sleep(moments.uniform(0, count(normal=50, soak=150) / 1000))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    killed = records(output.read_bytes()[: output.read_bytes().rfind(b"\n") + 1])
    assert kills == KILLS
    assert KILLS <= len(killed) < len(MANY)
    done = begin(files).communicate(timeout=120)
    assert f"({len(killed)} of them before)" in done[1]
    assert output.read_bytes() == api(MANY, files)
    names = sorted(path.name for path in (files / "trees").iterdir())
    assert names == [f"{row:06d}.json" for row in range(len(MANY))]
    for name, record in zip(names, records(output.read_bytes()), strict=True):
        tree = ThoughtTree.from_dict(json.loads((files / "trees" / name).read_text()))
        assert tree.fields == record["fields"]


def test_an_interrupted_run_writes_whole_lines_and_says_how_to_resume(files: Path) -> None:
    # More than are done before the signal comes, whatever the machine.
    many = MANY * 50
    write_rows(files / "many.jsonl", many)
    output = files / "out.jsonl"
    process = begin(files)
    wait_for_more(process, output, 1000)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    rows = len(records(output.read_bytes()))
    assert output.read_bytes().endswith(b"\n")
    assert 0 < rows < len(many)
    # The signal may come between a row and its count.
    ends = {f"{done} of {len(many)} rows are done" for done in (rows - 1, rows)}
    said, _, hint = stderr.partition("; ")
    assert said in ends
    assert hint == "the same command resumes the run\n"


@pytest.mark.slow
def test_two_runs_cannot_write_one_file_at_the_same_time(files: Path) -> None:
    some = MANY[:20]
    write_rows(files / "many.jsonl", some)
    output = files / "out.jsonl"
    # As long as the first one takes, whatever the machine.
    with lock_output(output):
        second = begin(files)
        _, stderr = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another run is writing it" in stderr
    assert stderr.count("\n") == 1
    third = begin(files)
    third.communicate(timeout=120)
    assert third.returncode == 0
    assert output.read_bytes() == api(some, files)
