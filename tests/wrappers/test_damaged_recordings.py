"""Damaged recordings: never another number than the recorded one, and errors with file and line."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from autocog_core import InputError, Model, load
from autocog_core.backends.random import RandomLM
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.replay import NotRecordedError
from tests.support.mutations import mutate
from tests.support.trials import Trials, tried

CHOICES = ["yes", "no", "yes, of course"]


def record(path: Path) -> None:
    with Model(RandomLM(), wrappers=[Record(path=path)]) as model:
        answers(model)


def answers(model: Model) -> list[object]:
    """The answers to a call of each kind."""
    return [
        model.tokenize("Sure?"),
        model.greedy("Sure?").tobytes(),
        model.complete("Sure?", max_tokens=4),
        model.choose("Sure?", CHOICES),
        model.choose_many(["One"], CHOICES),
    ]


def replay(path: Path) -> list[object]:
    with load(backend="replay", options={"path": str(path)}) as model:
        return answers(model)


def outcome(path: Path) -> list[object] | InputError | NotRecordedError:
    try:
        return replay(path)
    except (InputError, NotRecordedError) as error:
        return error


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("recordings") / "whole.jsonl"
    record(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def expected() -> list[object]:
    with Model(RandomLM()) as model:
        return answers(model)


def test_another_number_in_a_line_is_refused_by_line(content: bytes, tmp_path: Path) -> None:
    lines = content.splitlines(keepends=True)
    number, line = next((n, line) for n, line in enumerate(lines, 1) if b"logprobs" in line)
    start = line.index(b"logprobs")
    position = next(i for i in range(start, len(line)) if line[i : i + 1] in b"12345678")
    damaged = line[:position] + b"9" + line[position + 1 :]
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(b"".join([*lines[: number - 1], damaged, *lines[number:]]))
    with pytest.raises(InputError, match=rf"damaged\.jsonl, line {number}: is damaged") as caught:
        replay(path)
    assert "record again" in caught.value.hint
    with pytest.raises(InputError, match=f"line {number}: is damaged"):
        record(path)
    assert damaged in path.read_bytes(), "what can be read is kept"


def test_a_line_without_a_checksum_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    path.write_bytes(content + b'{"hook":"detokenize","key":"00","answer":null,"raw":"QQ=="}\n')
    with pytest.raises(InputError, match=r"line \d+: has no checksum"):
        replay(path)


def test_a_recording_of_the_older_format_must_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "older.jsonl"
    path.write_text('{"autocog recording":1,"version":"0.1.0","fingerprint":"x","model":{}}\n')
    with pytest.raises(InputError, match="an older format, without checksums; record again"):
        replay(path)


def test_a_damaged_gzip_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl.gz"
    record(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.jsonl\.gz"):
        replay(path)
    with pytest.raises(InputError, match=r"damaged\.jsonl\.gz"):
        record(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_byte_order_marks_and_line_ends_are_no_damage(
    content: bytes, expected: list[object], tmp_path: Path, mark: bytes, line_end: bytes
) -> None:
    path = tmp_path / "saved.jsonl"
    path.write_bytes(mark + content.replace(b"\n", line_end))
    assert replay(path) == expected
    record(path)
    assert path.read_bytes() == content


@tried(
    "Recordings, mutated",
    expect="the recorded answers, or an error that names the file",
    normal=25,
    soak=1000,
)
def test_mutated_recordings(
    trials: Trials, content: bytes, expected: list[object], tmp_path: Path
) -> None:
    for seed in trials:
        generator = random.Random(seed)
        path = tmp_path / ("mutated.jsonl.gz" if seed % 4 == 0 else "mutated.jsonl")
        whole = gzip.compress(content) if path.suffix == ".gz" else content
        path.write_bytes(mutate(whole, generator))
        result = outcome(path)
        if isinstance(result, list):
            assert result == expected, seed
            trials.note("the recorded answers")
        elif isinstance(result, NotRecordedError):
            # The end is missing, as after the end of a process that recorded.
            trials.note("a call whose line is missing is named")
        else:
            assert str(path) in str(result), seed
            trials.note("refused")
