"""A damaged file of `cache`: the stored values or none, no error, and the next value is stored."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from autocog_core.wrappers.store import ByteStore
from tests.support.mutations import mutate
from tests.support.trials import Trials, tried

KEYS = [hashlib.sha256(b"%d" % number).digest()[:16] for number in range(100)]
#: What SQLite keeps beside the file: the log of what is not in the file yet, and its index.
LOG_SUFFIXES = ("-wal", "-shm")


def value_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest() * (1 + key[0] * 8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file, and with its log, as a killed process leaves them."""
    folder = tmp_path_factory.mktemp("whole")
    store = ByteStore(folder / "writing.sqlite", 10**9)
    for key in KEYS[:50]:
        store.put(key, value_of(key))
    # A reader keeps the log from being emptied.
    reader = sqlite3.connect(store.path)
    reader.execute("BEGIN").execute("SELECT count(*) FROM kept").fetchone()
    for key in KEYS[50:]:
        store.put(key, value_of(key))
    for suffix in ("", *LOG_SUFFIXES):
        shutil.copy(f"{store.path}{suffix}", folder / f"kept.sqlite{suffix}")
    reader.close()
    store.close()
    shutil.copy(store.path, folder / "closed.sqlite")
    return folder


def damage(folder: Path, whole: Path, drawn: random.Random) -> Path:
    """Copy the files into `folder` and damage one of them; return the path of the store."""
    path = folder / "kept.sqlite"
    for file in folder.iterdir():
        file.unlink()
    if drawn.random() < 0.5:
        shutil.copy(whole / "closed.sqlite", path)
        damaged = path
    else:
        for suffix in ("", *LOG_SUFFIXES):
            shutil.copy(whole / f"kept.sqlite{suffix}", f"{path}{suffix}")
        damaged = Path(f"{path}{drawn.choice(['', '-wal', '-wal', '-shm'])}")
    content = bytearray(damaged.read_bytes())
    match drawn.randrange(3):
        case 0:
            content = bytearray(mutate(bytes(content), drawn))
        case 1:  # some bytes in a part of the file, such as the header of a page
            start = drawn.choice([0, drawn.randrange(len(content))])
            for _ in range(20):
                position = min(len(content) - 1, start + drawn.randrange(200))
                content[position] = drawn.randrange(256)
        case 2:  # a page of something else
            start = drawn.randrange(max(1, len(content) // 4096)) * 4096
            content[start : start + 4096] = drawn.randbytes(4096)
    damaged.write_bytes(content)
    return path


@tried(
    "Files of the wrapper `cache`, damaged, also with their log",
    expect="stored values or none, and the file works again",
    normal=15,
    soak=1000,
)
def test_damaged_files(trials: Trials, whole: Path, tmp_path: Path) -> None:
    for seed in trials:
        path = damage(tmp_path, whole, random.Random(seed))
        store = ByteStore(path, 10**9)
        values = [store.get(key) for key in KEYS]
        wrong = [
            key
            for key, value in zip(KEYS, values, strict=True)
            if value not in (None, value_of(key))
        ]
        assert wrong == [], seed
        # The first write may recreate the file; the second one succeeds.
        for _ in range(2):
            store.put(KEYS[0], value_of(KEYS[0]))
        assert store.get(KEYS[0]) == value_of(KEYS[0]), seed
        store.close()
        trials.note("all values" if None not in values else "some values missing")


def test_a_row_of_other_types_is_no_value(tmp_path: Path) -> None:
    store = ByteStore(tmp_path / "kept.sqlite", 10**9)
    store.put(b"key", b"value")
    for used in ("NULL", "'text'", "x'00'", "1e400"):
        with sqlite3.connect(store.path) as file:
            file.execute(f"UPDATE kept SET used = {used}")
        file.close()
        assert store.get(b"key") in (None, b"value")
    store.put(b"key", b"other value")
    assert store.get(b"key") == b"other value"
