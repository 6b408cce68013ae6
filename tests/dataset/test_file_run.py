"""Runs from file to file: what was promised is read, and what was read is written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autocog_core import Automaton, InputError
from autocog_core.dataset import Progress, Run, run_file, summarize
from autocog_core.dataset.output_file import lock_output, resolve_output
from autocog_core.dataset.run_identity import identity_path
from autocog_core.errors import FailedRowsError
from tests.support.small_backends import random_model

PROGRAM = {
    "inputs": {"question": "text"},
    "actions": [{"text": "{{ question }}:"}, {"name": "answer", "choices": [" a", " b"]}],
}
ROWS = 12


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with random_model(seed=3) as model:
        yield Run(Automaton.from_dict(PROGRAM), model)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    write_rows(path, "One")
    return path


@pytest.fixture
def whole(run: Run, source: Path, tmp_path: Path) -> bytes:
    """The output of a run that nothing disturbs."""
    run_file(run, source, tmp_path / "whole.jsonl")
    return (tmp_path / "whole.jsonl").read_bytes()


def write_rows(path: Path, word: str) -> None:
    text = "".join(json.dumps({"question": f"{word} {n:03}"}) + "\n" for n in range(ROWS))
    path.write_text(text, encoding="utf-8")


def after(rows: int, action: Callable[[], object]) -> Callable[[Progress], None]:
    """Do something once when so many rows are done."""

    def watch(progress: Progress) -> None:
        if progress.done == rows:
            action()

    return watch


def rewritten(source: Path) -> Callable[[], None]:
    return lambda: write_rows(source, "Two")


def replaced(source: Path) -> Callable[[], None]:
    def replace() -> None:
        write_rows(source.with_suffix(".new"), "Two")
        source.with_suffix(".new").replace(source)

    return replace


def appended(source: Path) -> Callable[[], None]:
    return lambda: source.write_bytes(source.read_bytes() + b'{"question": "more"}\n')


def truncated(source: Path) -> Callable[[], None]:
    return lambda: os.truncate(source, 40)


def rewritten_with_its_old_times(source: Path) -> Callable[[], None]:
    """As within one tick of the clock of the file system: only the content differs."""

    def rewrite() -> None:
        status = source.stat()
        write_rows(source, "Two")
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))

    return rewrite


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    "change", [rewritten, replaced, appended, truncated, rewritten_with_its_old_times]
)
def test_an_input_that_changes_during_a_run_is_an_error(
    run: Run,
    source: Path,
    tmp_path: Path,
    whole: bytes,
    change: Callable[..., None],
    concurrency: int,
) -> None:
    output = tmp_path / "out.jsonl"
    changing = Run(run.automaton, run.model, concurrency=concurrency)
    with pytest.raises(InputError, match=r"rows\.jsonl: was changed while the run read it"):
        run_file(changing, source, output, on_progress=after(3, change(source)))
    # Every row that was written is one of the promised input, and a run with it continues.
    assert whole.startswith(output.read_bytes())
    write_rows(source, "One")
    run_file(run, source, output)
    assert output.read_bytes() == whole


def test_an_input_that_changes_after_its_last_row_is_an_error(
    run: Run, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="was changed"):
        run_file(run, source, tmp_path / "o.jsonl", on_progress=after(ROWS, rewritten(source)))


def test_an_input_that_was_only_touched_is_none(run: Run, source: Path, tmp_path: Path) -> None:
    touch = after(3, lambda: write_rows(source, "One"))
    assert run_file(run, source, tmp_path / "out.jsonl", on_progress=touch).rows == ROWS


def test_a_parquet_file_that_changes_is_an_error(run: Run, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    source = tmp_path / "rows.parquet"

    def write(word: str) -> None:
        parquet.write_table(pa.table({"question": [f"{word} {n}" for n in range(600)]}), source)

    write("One")
    with pytest.raises(InputError, match="was changed"):
        run_file(run, source, tmp_path / "o.jsonl", on_progress=after(3, lambda: write("Two")))


def test_all_names_of_an_output_have_one_lock(run: Run, source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "by-folder").symlink_to(tmp_path / "folder")
    target = tmp_path / "folder" / "x.jsonl"
    (tmp_path / "link.jsonl").symlink_to(target)
    (tmp_path / "link-to-link.jsonl").symlink_to("link.jsonl")
    names = [
        tmp_path / "link.jsonl",
        tmp_path / "link-to-link.jsonl",
        tmp_path / "by-folder" / "x.jsonl",
        tmp_path / "folder" / ".." / "folder" / "x.jsonl",
        Path(os.path.relpath(target)),
    ]
    with lock_output(resolve_output(target, source)):
        for name in names:
            with pytest.raises(InputError, match="another run is writing it"):
                run_file(run, source, name)
    for name in names:
        assert run_file(run, source, name).rows == ROWS
    assert target.read_bytes().count(b"\n") == ROWS
    assert (tmp_path / "link.jsonl").is_symlink()
    assert identity_path(target).exists()
    assert not identity_path(tmp_path / "link.jsonl").exists()


def test_an_output_with_two_names_of_its_own_is_refused(
    run: Run, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    run_file(run, source, output, limit=2)
    os.link(output, tmp_path / "second.jsonl")
    before = output.read_bytes()
    for name in (output, tmp_path / "second.jsonl"):
        with pytest.raises(InputError, match="has a second name"):
            run_file(run, source, name)
    assert output.read_bytes() == before


def test_a_link_to_itself_is_refused(run: Run, source: Path, tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(InputError, match=r"loop\.jsonl: cannot be written"):
        run_file(run, source, tmp_path / "loop.jsonl")


def test_the_input_is_never_written_over(run: Run, source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    for name in (source, tmp_path / "link.jsonl", tmp_path / "hard.jsonl"):
        with pytest.raises(InputError, match="is the input file"):
            run_file(run, source, name, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize("change", ["removed", "replaced", "folder removed"])
def test_an_output_that_vanishes_during_a_run_is_an_error(
    run: Run, source: Path, tmp_path: Path, change: str
) -> None:
    output = tmp_path / "folder" / "out.jsonl"
    output.parent.mkdir()

    def act() -> None:
        if change == "folder removed":
            shutil.rmtree(output.parent)
        else:
            output.unlink()
        if change == "replaced":
            output.write_text("")

    with pytest.raises(InputError, match=r"out\.jsonl: was removed or replaced during the run"):
        run_file(run, source, output, on_progress=after(3, act))


def test_rows_that_another_program_adds_to_the_output_are_an_error(
    run: Run, source: Path, tmp_path: Path, whole: bytes
) -> None:
    output = tmp_path / "out.jsonl"

    def add() -> None:
        output.write_bytes(output.read_bytes() + whole.splitlines(keepends=True)[0])

    with pytest.raises(InputError, match="the file was changed"):
        run_file(run, source, output, on_progress=after(3, add))


def test_a_run_on_a_full_disk_ends_with_one_error_and_resumes(
    run: Run, source: Path, tmp_path: Path, whole: bytes
) -> None:
    output = tmp_path / "out.jsonl"
    trees = tmp_path / "trees"
    with_trees = Run(run.automaton, run.model, tree_dir=trees)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 100, 1000, 2500):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(InputError, match="cannot be written: File too large"):
                run_file(with_trees, source, output)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run_file(with_trees, source, output)
    assert output.read_bytes() == whole
    assert len(list(trees.iterdir())) == ROWS


def test_a_run_ends_after_so_many_errors_and_continues_after_them(
    run: Run, source: Path, tmp_path: Path
) -> None:
    source.write_text('{"question": "a"}\n' + "no row\n" * 5, encoding="utf-8")
    output = tmp_path / "out.jsonl"
    for rows in (3, 5):
        with pytest.raises(FailedRowsError, match=r"2 rows have errors, the limit; the last: row"):
            run_file(run, source, output, max_errors=2)
        assert output.read_bytes().count(b"\n") == rows
    assert run_file(run, source, output, max_errors=2).errors == 5


def test_overwrite_keeps_what_no_run_has_written(run: Run, source: Path, tmp_path: Path) -> None:
    output, trees = tmp_path / "out.jsonl", tmp_path / "trees"
    trees.mkdir()
    names = ["000003.json", "2024.json", "20240101.json", "7.json.part", "notes.json"]
    for name in names:
        (trees / name).write_text("mine")
    # The earlier run wrote its trees nowhere.
    run_file(run, source, output, limit=1)
    with_trees = Run(run.automaton, run.model, tree_dir=trees)
    run_file(with_trees, source, output, limit=1, overwrite=True)
    assert {path.name for path in trees.iterdir()} == {*names, "000000.json"}
    # This one wrote them there, each under the number of its row.
    run_file(with_trees, source, output, limit=1, overwrite=True)
    kept = {"2024.json", "7.json.part", "notes.json"}
    assert kept <= {path.name for path in trees.iterdir()}


def test_a_row_without_a_tree_keeps_no_tree_of_an_earlier_run(
    run: Run, source: Path, tmp_path: Path
) -> None:
    with_trees = Run(run.automaton, run.model, tree_dir=tmp_path / "trees")
    run_file(with_trees, source, tmp_path / "one.jsonl", limit=1)
    source.write_text("no row\n")
    run_file(with_trees, source, tmp_path / "two.jsonl")
    assert list((tmp_path / "trees").iterdir()) == []


def test_two_runs_on_two_names_write_each_row_once(
    run: Run, source: Path, tmp_path: Path, whole: bytes
) -> None:
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    errors: list[Exception] = []

    def start(name: str) -> None:
        with random_model(seed=3) as model:
            try:
                run_file(Run(run.automaton, model), source, tmp_path / name)
            except InputError as error:
                errors.append(error)

    threads = [threading.Thread(target=start, args=[name]) for name in ("out.jsonl", "link.jsonl")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("another run is writing it" in str(error) for error in errors)
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert summarize(tmp_path / "out.jsonl").rows == ROWS
