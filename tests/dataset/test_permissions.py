"""Runs of a user who may not read or write everything: one error that names the file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autocog_core import Automaton, InputError
from autocog_core.dataset import Run, check_columns, run_file
from autocog_core.dataset.run_identity import identity_path
from tests.support.small_backends import random_model

PROGRAM = Automaton.from_dict(
    {"inputs": {"question": "text"}, "actions": [{"text": "{{ question }}"}, {"choices": ["a"]}]}
)
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with an input file, and one output row."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    (path / "rows.jsonl").write_text('{"question": "One"}\n' * 3)
    (path / "none").mkdir(mode=0o700)
    (path / "full").mkdir(mode=0o755)
    # Also imports what the user below may not read.
    run_file(start(path), path / "rows.jsonl", path / "out.jsonl", limit=1)
    yield path
    shutil.rmtree(path)


def start(folder: Path, trees: str | None = None) -> Run:
    return Run(PROGRAM, random_model(seed=3), tree_dir=None if trees is None else folder / trees)


@contextmanager
def other_user(folder: Path | None = None) -> Iterator[None]:
    """Become a user without rights; as such a user, give away the rights to the folder."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    folders = [] if folder is None else [folder, folder / "full", folder / "none"]
    for path in folders:
        path.chmod(0o555 if path.name != "none" else 0o000)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("output", "trees", "overwrite", "named"),
    [
        ("new.jsonl", None, False, "new.jsonl: cannot be written: Permission denied"),
        ("full/new.jsonl", None, False, "new.jsonl: cannot be written: Permission denied"),
        ("none/new.jsonl", None, False, "none/new.jsonl: cannot be written: Permission denied"),
        ("out.jsonl", None, False, "out.jsonl: cannot be written: Permission denied"),
        ("out.jsonl", None, True, "out.jsonl: cannot be written: Permission denied"),
    ],
)
def test_an_output_that_may_not_be_written_is_one_error(
    folder: Path, output: str, trees: str | None, overwrite: bool, named: str
) -> None:
    run = start(folder, trees)
    with other_user(folder), pytest.raises(InputError, match=named):
        run_file(run, folder / "rows.jsonl", folder / output, overwrite=overwrite)
    # The lock that an earlier run left may be another user's.
    assert (folder / "out.jsonl").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("trees", ["full", "none/trees", "full/trees"])
def test_a_folder_of_trees_that_may_not_be_written_is_one_error(folder: Path, trees: str) -> None:
    run = start(folder, trees)
    open_folder = folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    with other_user(folder), pytest.raises(InputError, match=r"cannot be (written|created)"):
        run_file(run, folder / "rows.jsonl", open_folder / "out.jsonl")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: check_columns(path, PROGRAM),
        lambda path: run_file(start(path.parent), path, path.with_suffix(".out.jsonl")),
    ],
)
@pytest.mark.parametrize("name", ["none/rows.jsonl", "secret.jsonl", "secret.csv"])
def test_an_input_that_may_not_be_read_is_one_error(
    folder: Path, act: Callable[[Path], object], name: str
) -> None:
    path = folder / name
    path.write_text("question\nOne\n")
    path.chmod(0o000)
    with other_user(folder), pytest.raises(InputError, match="cannot be read: Permission denied"):
        act(path)


def test_an_identity_that_may_not_be_read_is_one_error(folder: Path) -> None:
    folder.chmod(0o777)
    (folder / "out.jsonl").chmod(0o666)
    (folder / "out.jsonl.lock").unlink(missing_ok=True)
    identity_path(folder / "out.jsonl").chmod(0o000)
    run = start(folder)
    with (
        other_user(),
        pytest.raises(InputError, match=r"run\.json: cannot be read: .*Permission denied"),
    ):
        run_file(run, folder / "rows.jsonl", folder / "out.jsonl")
