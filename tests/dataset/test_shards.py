"""Shards of a run: each runs and resumes by itself, and merged they are the output of one run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autocog_core import Automaton, InputError
from autocog_core.dataset import Run, Shard, merge, merge_shards, run_file
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.journal import Journal
from autocog_core.dataset.run_identity import identity_path
from tests.support.small_backends import random_model

PROGRAM = {
    "inputs": {"question": "text"},
    "actions": [{"text": "{{ question }}:"}, {"name": "answer", "choices": [" a", " b"]}],
}
ROWS = 23
SHARDS = 4


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    automaton = Automaton.from_dict(PROGRAM)
    with random_model(seed=3) as model:
        yield Run(automaton, model, gold=Gold.parse("right", automaton))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": f"One {n:03}", "right": "a"} for n in range(ROWS)]
    # A row that cannot be read is an error of its shard.
    lines = [json.dumps(row) for row in rows]
    lines[6] = "{"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def run_shard(
    run: Run, source: Path, folder: Path, number: int, *, kill_after: int | None = None, **more: int
) -> Path:
    output = folder / f"{number}.jsonl"

    def kill(progress: object) -> None:
        if kill_after is not None and getattr(progress, "done", None) == kill_after:
            raise Killed

    run_file(run, source, output, shard=Shard(number, SHARDS), on_progress=kill, **more)
    return output


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_merged_shards_are_the_output_of_one_run(
    run: Run, source: Path, tmp_path: Path, suffix: str
) -> None:
    whole, merged = tmp_path / f"whole.{suffix}", tmp_path / f"merged.{suffix}"
    expected = run_file(run, source, whole)
    outputs = []
    for number in range(1, SHARDS + 1):
        with pytest.raises(Killed):
            run_shard(run, source, tmp_path, number, kill_after=number)
        outputs.append(run_shard(run, source, tmp_path, number))
    assert merge_shards(outputs[::-1], merged) == expected
    assert merged.read_bytes() == whole.read_bytes()
    # The merged output is that of a run, which can continue it; here, nothing is left to do.
    assert run_file(run, source, merged).rows == ROWS
    assert merged.read_bytes() == whole.read_bytes()


def test_a_run_continues_the_merged_rows(run: Run, source: Path, tmp_path: Path) -> None:
    run_file(run, source, tmp_path / "whole.jsonl")
    # 10 rows among 4 shards: 3, 3, 2 and 2.
    outputs = [
        run_shard(run, source, tmp_path, number, limit=10) for number in range(1, SHARDS + 1)
    ]
    assert [len(path.read_bytes().splitlines()) for path in outputs] == [3, 3, 2, 2]
    merge_shards(outputs, tmp_path / "merged.jsonl")
    run_file(run, source, tmp_path / "merged.jsonl")
    assert (tmp_path / "merged.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_table_of_a_shard_stands_for_its_journal(run: Run, source: Path, tmp_path: Path) -> None:
    run_file(run, source, tmp_path / "whole.jsonl")
    outputs = [tmp_path / f"{number}.csv" for number in (1, 2)]
    for number, output in enumerate(outputs, 1):
        run_file(run, source, output, shard=Shard(number, 2))
    merge_shards(outputs, tmp_path / "merged.jsonl")
    assert (tmp_path / "merged.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_more_shards_than_rows(run: Run, source: Path, tmp_path: Path) -> None:
    outputs = []
    for number in range(1, 4):
        outputs.append(tmp_path / f"{number}.jsonl")
        run_file(run, source, outputs[-1], shard=Shard(number, 3), limit=2)
    assert merge_shards(outputs, tmp_path / "merged.jsonl").rows == 2


def test_each_shard_removes_only_its_own_trees(run: Run, source: Path, tmp_path: Path) -> None:
    trees = tmp_path / "trees"
    with_trees = Run(run.automaton, run.model, tree_dir=trees)
    for number in (1, 2):
        run_file(with_trees, source, tmp_path / f"{number}.jsonl", shard=Shard(number, 2))
    before = {path.name for path in trees.iterdir()}
    assert len(before) == ROWS - 1
    run_file(with_trees, source, tmp_path / "1.jsonl", shard=Shard(1, 2), overwrite=True, limit=3)
    after = {path.name for path in trees.iterdir()}
    assert {int(name[:6]) for name in before - after} == set(range(4, ROWS, 2)) - {6}


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "a/b", "1/0", "0/0", "-1/4", "1/4/2", "\u0661/\u0664", ""]
)
def test_what_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--shard"):
        Shard.parse(text)


def test_a_run_does_not_continue_another_shard(run: Run, source: Path, tmp_path: Path) -> None:
    output = run_shard(run, source, tmp_path, 1)
    for other in (Shard(2, SHARDS), Shard(1, 2), Shard()):
        with pytest.raises(InputError, match=r"another input .*shard was 1/4, is"):
            run_file(run, source, output, shard=other)


class TestRefusedMerges:
    @pytest.fixture
    def outputs(self, run: Run, source: Path, tmp_path: Path) -> list[Path]:
        return [run_shard(run, source, tmp_path, number) for number in range(1, SHARDS + 1)]

    @pytest.fixture
    def merged(self, tmp_path: Path) -> Iterator[Path]:
        """Where a merge would write: it must write nothing."""
        path = tmp_path / "merged.jsonl"
        yield path
        assert not list(tmp_path.glob("merged.jsonl*.json*"))

    def test_missing_shards(self, outputs: list[Path], merged: Path) -> None:
        with pytest.raises(InputError, match=r"shards 2/4, 4/4 missing; .*--shard 2/4"):
            merge_shards([outputs[0], outputs[2]], merged)

    def test_a_shard_twice(self, outputs: list[Path], merged: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy.jsonl"
        shutil.copy(outputs[1], copy)
        shutil.copy(identity_path(outputs[1]), identity_path(copy))
        with pytest.raises(InputError, match=r"copy\.jsonl: is shard 2/4, and so is .*2\.jsonl"):
            merge_shards([*outputs, copy], merged)

    def test_missing_rows(self, outputs: list[Path], merged: Path) -> None:
        lines = outputs[1].read_bytes().splitlines(keepends=True)
        # A line that a killed run began does not count.
        outputs[1].write_bytes(b"".join(lines[:4]) + lines[4][:20])
        message = "shard 2/4 lacks 2 of 6 rows: 17, 21; .*--shard 2/4"
        with pytest.raises(InputError, match=message):
            merge_shards(outputs, merged)

    def test_shards_that_were_interrupted_after_equally_many_rows(
        self, run: Run, source: Path, tmp_path: Path, merged: Path
    ) -> None:
        for number in range(1, SHARDS + 1):
            with pytest.raises(Killed):
                run_shard(run, source, tmp_path, number, kill_after=3)
        outputs = [tmp_path / f"{number}.jsonl" for number in range(1, SHARDS + 1)]
        with pytest.raises(InputError, match=r"shard 1/4 lacks 3 of 6 rows: 12, 16, 20; "):
            merge_shards(outputs, merged)

    def test_a_shard_that_is_cut_while_it_is_read(
        self, outputs: list[Path], merged: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def count_and_cut(shards: Sequence[Journal]) -> int:
            outputs[2].write_bytes(outputs[2].read_bytes().partition(b"\n")[0] + b"\n")
            return ROWS

        monkeypatch.setattr(merge, "_count_rows", count_and_cut)
        with pytest.raises(InputError, match=r"3\.jsonl: has lost row 6: the file was changed"):
            merge_shards(outputs, merged)

    def test_one_of_very_many_shards(
        self, run: Run, source: Path, tmp_path: Path, merged: Path
    ) -> None:
        output = tmp_path / "one.jsonl"
        run_file(run, source, output, shard=Shard(7, 10**9 - 1))
        missing = r"shards 1/999999999, 2/999999999, .*\.\.\. missing"
        with pytest.raises(InputError, match=missing):
            merge_shards([output], merged)

    def test_the_output_of_a_whole_run(
        self, run: Run, source: Path, outputs: list[Path], merged: Path, tmp_path: Path
    ) -> None:
        run_file(run, source, tmp_path / "whole.jsonl")
        with pytest.raises(InputError, match=r"whole\.jsonl: has all rows"):
            merge_shards([*outputs, tmp_path / "whole.jsonl"], merged)

    def test_shards_of_another_count(
        self, run: Run, source: Path, outputs: list[Path], merged: Path, tmp_path: Path
    ) -> None:
        run_file(run, source, tmp_path / "other.jsonl", shard=Shard(2, 3))
        with pytest.raises(InputError, match=r"other\.jsonl: is shard 2/3, and .* is shard 1/4"):
            merge_shards([outputs[0], tmp_path / "other.jsonl"], merged)

    @pytest.mark.parametrize("what", ["program", "model", "input"])
    def test_shards_of_another_run(
        self, run: Run, source: Path, outputs: list[Path], merged: Path, what: str
    ) -> None:
        path = identity_path(outputs[2])
        identity = json.loads(path.read_text())
        identity[what] = {**identity[what], "sha256": "0"} if what == "input" else "other"
        path.write_text(json.dumps(identity))
        with pytest.raises(InputError, match=rf"3\.jsonl: is of another run .*another {what}"):
            merge_shards(outputs, merged)

    def test_a_changed_row(self, outputs: list[Path], merged: Path) -> None:
        outputs[3].write_bytes(outputs[3].read_bytes().replace(b'"row": 7', b'"row": 8'))
        with pytest.raises(InputError, match=r"4\.jsonl, line 2: is not row 7"):
            merge_shards(outputs, merged)

    def test_a_damaged_shard(self, outputs: list[Path], merged: Path) -> None:
        path = identity_path(outputs[0])
        identity = json.loads(path.read_text())
        identity["input"]["shard"] = "9/4"
        path.write_text(json.dumps(identity))
        with pytest.raises(InputError, match="9/4: the shards are 1 to 4"):
            merge_shards(outputs, merged)


def test_an_existing_output_is_kept(run: Run, source: Path, tmp_path: Path) -> None:
    outputs = [run_shard(run, source, tmp_path, number) for number in range(1, SHARDS + 1)]
    merged = tmp_path / "merged.jsonl"
    merged.write_text("precious\n")
    with pytest.raises(InputError, match=r"exists already; .*--overwrite"):
        merge_shards(outputs, merged)
    assert merged.read_text() == "precious\n"
    with pytest.raises(InputError, match=r"1\.jsonl: is the input file"):
        merge_shards(outputs, outputs[0], overwrite=True)
    assert merge_shards(outputs, merged, overwrite=True).rows == ROWS
