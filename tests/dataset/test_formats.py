"""Input files of all formats and compressions: the same rows, the same run, the same manners."""

from __future__ import annotations

import json
import os
import random
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, InputError
from autocog_core.dataset import (
    InputFile,
    Progress,
    Run,
    check_columns,
    count_rows,
    read_rows,
    run_file,
)
from autocog_core.dataset.input_rows import column_names
from autocog_core.dataset.row_source import RowSource, guess_compression, guess_format
from autocog_core.dataset.run_identity import identity_path
from tests.dataset.test_mutated_files import RESULT, mutate, try_run
from tests.support.row_files import SUFFIXES, compress, write_rows, zstd
from tests.support.small_backends import random_model
from tests.support.soak import count

PROGRAM = {
    "inputs": {"question": "text", "note": {"type": "text", "default": "none"}},
    "actions": [
        {"text": "{{ question }} {{ note }}:"},
        {"name": "answer", "choices": [" a", " b"]},
    ],
}
#: Texts, since a .csv file has nothing else; None is its empty cell.
ROWS = [
    {"question": f'{n}, "what"\n\té [{{"', "label": "ab"[n % 2], "note": None if n % 3 else "]}"}
    for n in range(14)
]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


@pytest.fixture(scope="module")
def run(automaton: Automaton) -> Iterator[Run]:
    with random_model(seed=3) as model:
        yield Run(automaton, model)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_has_the_same_rows_and_the_same_run(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    source = write_rows(tmp_path, suffix, ROWS)
    assert count_rows(source) == len(ROWS)
    assert column_names(source) in (None, ("question", "label", "note"))
    for start, limit in [(0, None), (5, 9), (13, 20), (14, None)]:
        rows = list(read_rows(source, start, limit))
        assert [dict(row.values) for row in rows] == ROWS[start:limit]
        assert [row.index for row in rows] == list(range(len(ROWS)))[start:limit]
        assert count_rows(source, limit) == len(ROWS[:limit])

    plain, output = tmp_path / "plain.jsonl", tmp_path / "out.jsonl"
    write_rows(tmp_path, ".jsonl", ROWS, "plain-rows")
    run_file(run, tmp_path / "plain-rows.jsonl", plain)
    # In two parts: the second resumes, and reads the rows again from where the first stopped.
    run_file(run, source, output, limit=5)
    run_file(run, source, output)
    assert output.read_bytes() == plain.read_bytes()

    changed = [*ROWS[:-1], {**ROWS[-1], "question": "another"}]
    folder = tmp_path / "changed"
    folder.mkdir()
    with pytest.raises(InputError, match="another input"):
        run_file(run, write_rows(folder, suffix, changed), output)
    with pytest.raises(InputError, match='there is no column "question"'):
        check_columns(write_rows(folder, suffix, [{"query": "One"}] * 9, "missing"), run.automaton)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_changes_during_a_run_is_an_error(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    source = write_rows(tmp_path, suffix, ROWS)
    file = source if source.is_file() else source / "data-00001-of-00003.arrow"

    def change(progress: Progress) -> None:
        if progress.done == 3:
            os.truncate(file, file.stat().st_size // 2)

    with pytest.raises(InputError, match="was changed while the run read it"):
        run_file(run, source, tmp_path / "out.jsonl", on_progress=change)


def test_an_input_is_the_same_however_it_is_compressed(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    identities = []
    for suffix in (".csv", ".csv.gz", ".csv.zst"):
        source = write_rows(tmp_path, suffix, ROWS)
        identities.append(InputFile(source).identity())
        run_file(run, source, output, limit=5 * len(identities))
    assert identities[0] == identities[1] == identities[2]
    assert len(output.read_bytes().splitlines()) == len(ROWS)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix])
def test_content_says_its_format_and_compression(tmp_path: Path, suffix: str) -> None:
    """Standard input has no name."""
    named = RowSource.of(write_rows(tmp_path, suffix, ROWS))
    content = named.path.read_bytes()
    assert guess_compression(content) == named.compression
    plain = write_rows(tmp_path, suffix.removesuffix(".gz").removesuffix(".zst"), ROWS, "plain")
    assert guess_format(plain.read_bytes()) == named.format


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json.zst", ".csv.gz", ".parquet.zst"])
@pytest.mark.parametrize("damage", ["cut off", "changed", "another format"])
def test_damaged_compressed_files_are_one_error(tmp_path: Path, suffix: str, damage: str) -> None:
    source = write_rows(tmp_path, suffix, ROWS)
    content = source.read_bytes()
    middle = len(content) // 2
    source.write_bytes(
        {
            "cut off": content[:-3],
            "changed": content[:middle]
            + bytes([content[middle] ^ 255]) * 8
            + content[middle + 8 :],
            "another format": b'{"question": "plain text"}\n',
        }[damage]
    )
    for read in (count_rows, lambda path: list(read_rows(path)), InputFile):
        with pytest.raises(InputError, match=rf"rows\{suffix}: is damaged, or no"):
            read(source)


def test_without_its_package_zstandard_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path, ".jsonl.zst", ROWS)
    monkeypatch.setitem(sys.modules, zstd().__name__, None)
    with pytest.raises(InputError, match=r"rows.jsonl.zst: .* pip install .autocog-core\[zstd\]."):
        count_rows(source)


def test_several_compressed_parts_are_one_file(tmp_path: Path) -> None:
    """As `cat a.gz b.gz`, and as programs with several threads write."""
    for suffix in (".gz", ".zst"):
        parts = []
        for text in (b'{"a": 1}\n', b'{"a": 2}\n'):
            (tmp_path / "part").write_bytes(text)
            compress(tmp_path / "part", suffix)
            parts.append((tmp_path / "part").read_bytes())
        source = tmp_path / f"rows.jsonl{suffix}"
        source.write_bytes(b"".join(parts))
        assert [row.values for row in read_rows(source)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        ("", None, "is not a JSON list of objects"),
        ('{"a": 1}\n{"a": 2}', None, "the format jsonl"),
        ("7", None, "is not a JSON list of objects"),
        (" [ ] ", [], ""),
        ("\ufeff[]", [], ""),
        ('[{"a": 1}, 7, "x, ]", null, [1, {"b": 2}], {}]', [{"a": 1}, 1, 2, 3, 4, {}], ""),
        ('[{"a": 1}, {"a": }, {"a": "\\"]"}]', [{"a": 1}, 1, {"a": '"]'}], ""),
        ('[{"a": 1, "a": 2}, {"a": 1e999}, {"a": 3}]', [0, 1, {"a": 3}], ""),
        ("[" * 30_000 + "]" * 30_000, [0], ""),
        ('[{"a": 1}', None, "ends after row 0; it is not valid JSON"),
        ('[{"a": 1},', None, "ends in row 1"),
        ('[{"a": 1}, {"a": "never closed}]', None, "ends in row 1"),
        ('[{"a": 1}, ]', None, "has no value for row 1"),
        ('[{"a": 1} {"a": 2}]', None, "has no comma or bracket after row 0"),
        ("[1, 2] 3", None, "has text after the list"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_json_lists_are_split_into_rows(
    tmp_path: Path, text: str, rows: list[Any] | None, message: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    if rows is None:
        with pytest.raises(InputError, match=message):
            list(read_rows(path))
        with pytest.raises(InputError, match=message):
            count_rows(path)
        return
    read = [
        dict(row.values) if row.error is None else int(row.error.where.partition(", row ")[2])
        for row in read_rows(path)
    ]
    assert read == rows
    assert count_rows(path) == len(rows)


def test_json_lists_are_those_that_python_reads(tmp_path: Path) -> None:
    """Also where texts and elements end at the borders of what is read at once."""
    path = tmp_path / "rows.json"
    for size in range(0, 40 * count(normal=4, soak=40), 40):
        rows = [
            {"a": "x" * (2**16 - 60 + size - n), "b": ['\\"]', n, {"c": None}]} for n in range(3)
        ]
        for indent in (None, 1):
            path.write_text(json.dumps([*rows, size, "y" * 2**17], indent=indent), "utf-8")
            read = list(read_rows(path))
            assert [row.values for row in read[:3]] == rows
            assert [row.error is None for row in read[3:]] == [False, False]


def test_what_no_reader_knows_is_one_error(tmp_path: Path) -> None:
    for name, message in [
        ("rows.txt", 'cannot read rows from ".txt" files; use one of .csv, .tsv, .json, .jsonl'),
        ("rows.xlsx.gz", 'cannot read rows from ".xlsx" files'),
        ("rows", "has no suffix"),
        (".", "is a folder without a data set"),
    ]:
        with pytest.raises(InputError) as caught:
            count_rows(tmp_path / name)
        assert message in str(caught.value)
    (tmp_path / "rows.txt").write_text("a\n1\n")
    assert count_rows(RowSource.of(tmp_path / "rows.txt", "csv")) == 1


def test_a_saved_data_set_with_splits_needs_the_name_of_one(tmp_path: Path) -> None:
    for name, splits in [("one", ["train"]), ("two", ["train", "test"])]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
        for split in splits:
            write_rows(folder, "", ROWS, split)
    assert count_rows(tmp_path / "one") == count_rows(tmp_path / "two" / "test") == len(ROWS)
    with pytest.raises(InputError, match=r"has several splits; name the folder of one: .*two/test"):
        count_rows(tmp_path / "two")


@pytest.mark.parametrize("suffix", [".json", ".csv.gz", ".jsonl.zst", ".parquet.gz", ""])
def test_mutated_files_are_one_clear_error_or_read(run: Run, tmp_path: Path, suffix: str) -> None:
    source, output = write_rows(tmp_path, suffix, ROWS), tmp_path / "out.jsonl"
    file = source if suffix else source / "data-00001-of-00003.arrow"
    content = file.read_bytes()
    assert try_run(run, source, output) == RESULT
    for seed in range(count(normal=8, soak=1000)):
        identity_path(output).unlink(missing_ok=True)
        output.unlink(missing_ok=True)
        file.write_bytes(mutate(content, random.Random(seed)))
        try_run(run, source, output)


@pytest.mark.slow
def test_folders_of_datasets_itself_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    labels = datasets.ClassLabel(names=["no", "yes"])
    rows = {"text": [f"text {n}" for n in range(2500)], "label": [n % 2 for n in range(2500)]}
    features = datasets.Features({"text": datasets.Value("string"), "label": labels})
    data = datasets.Dataset.from_dict(rows, features=features)
    data.shuffle(seed=1).save_to_disk(tmp_path / "data", num_shards=3)
    assert [row.values for row in read_rows(tmp_path / "data")] == list(data.shuffle(seed=1))
    datasets.DatasetDict(train=data, test=data).save_to_disk(tmp_path / "splits")
    assert count_rows(tmp_path / "splits" / "test") == 2500
    with pytest.raises(InputError, match="has several splits"):
        count_rows(tmp_path / "splits")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_long_files_are_read_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    text = "x" * count(normal=2500, soak=300)
    rows = [{"question": f"{n} {text}"} for n in range(count(normal=1_200, soak=200_000))]
    source, number = write_rows(tmp_path, suffix, rows), len(rows)
    del rows
    next(read_rows(source))
    tracemalloc.start()
    try:
        assert sum(1 for row in read_rows(source)) == count_rows(source) == number
        InputFile(source).check_content()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # pyarrow reads a row group's compressed columns whole.
    assert peak < count(normal=2**21, soak=2**23)
