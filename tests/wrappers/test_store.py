"""The store of `cache`: bounded, shared by processes, and robust against damage."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autocog_core.wrappers.store import MAX_WAL_BYTES, ByteStore
from tests.support.soak import count

#: Writes values that depend on their keys, `count` times or forever (-1), and checks what it reads.
WRITER = """
import hashlib, random, sys
from pathlib import Path
from autocog_core.wrappers.store import ByteStore
path, seed, count, size = Path(sys.argv[1]), *map(int, sys.argv[2:])
store, draw, wrong = ByteStore(path, size), random.Random(seed), 0
def value(key):
    return hashlib.sha256(key).digest() * (1 + key[0] * 8)
print("ready", flush=True)
while count:
    count -= 1
    key = hashlib.sha256(b"%d" % draw.randrange(500)).digest()[:16]
    stored = store.get(key)
    wrong += stored not in (None, value(key))
    store.put(key, value(key))
print(wrong)
"""


#: Number of keys that the writer uses.
KEYS = 500


def value_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest() * (1 + key[0] * 8)


def keys(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest()[:16] for number in range(count)]


def writer(path: Path, seed: int, count: int, size: int = 10**9) -> subprocess.Popen[str]:
    arguments = [str(path), str(seed), str(count), str(size)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_whole(path: Path) -> bool:
    file = sqlite3.connect(path)
    answer = file.execute("PRAGMA integrity_check").fetchone()[0]
    file.close()
    return bool(answer == "ok")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "kept.sqlite"


@pytest.mark.slow
@pytest.mark.parametrize("size", [10**9, 600_000])
def test_two_processes_can_write_at_once(path: Path, size: int) -> None:
    for process in [writer(path, seed, 300, size) for seed in (1, 2)]:
        out, errors = process.communicate(timeout=60)
        # No warning on stderr.
        assert (out.split(), errors) == (["ready", "0"], "")
    assert is_whole(path)
    store = ByteStore(path, size)
    values = [(key, store.get(key)) for key in keys(KEYS)]
    assert all(value in (None, value_of(key)) for key, value in values)
    if size == 10**9:
        assert sum(value is not None for _, value in values) > 200


@pytest.mark.slow
def test_the_file_is_intact_after_a_writer_is_killed(path: Path) -> None:
    drawn = random.Random(0)
    processes = [writer(path, number, -1) for number in range(count(normal=2, soak=4))]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        time.sleep(0.05 + drawn.random() / 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        # Other processes may still be writing.
        store = ByteStore(path, 10**9)
        values = {key: store.get(key) for key in keys(KEYS)}
        assert all(value in (None, value_of(key)) for key, value in values.items())
        store.put(b"after", b"all")
        assert store.get(b"after") == b"all"
        store.close()
        assert is_whole(path)
    assert sum(value is not None for value in values.values()) > 50


def test_threads_share_a_store(path: Path) -> None:
    store = ByteStore(path, 10**9)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        mixed = keys(200)
        random.Random(seed).shuffle(mixed)
        for key in mixed:
            store.put(key, value_of(key))
            if store.get(key) != value_of(key):
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_opens_its_own_connection(path: Path) -> None:
    store = ByteStore(path, 10**9)
    store.put(b"of both", b"1")
    child = os.fork()
    if child == 0:
        store.put(b"of the child", b"2")
        os._exit(0 if store.get(b"of both") == b"1" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get(b"of the child") == b"2"
    store.put(b"more", b"3")
    assert is_whole(path)


@pytest.mark.parametrize("long", [2000, 9000, 150_000])
def test_a_full_file_loses_its_oldest_values(path: Path, long: int) -> None:
    size = 2_000_000
    store = ByteStore(path, size)
    names = keys(3 * size // long)
    for key in names:
        store.put(key, key * (long // 16))
    files = sum(file.stat().st_size for file in path.parent.iterdir())
    assert path.stat().st_size <= size
    assert files <= size + MAX_WAL_BYTES + 100_000
    values = [store.get(key) is not None for key in names]
    assert values[-1]
    # What is left is the end.
    assert values == sorted(values)
    # A value of half a page takes a whole one.
    assert sum(values) * long > size / 3


def test_a_smaller_limit_shrinks_the_file(path: Path) -> None:
    store = ByteStore(path, 10**9)
    for key in keys(1000):
        store.put(key, key * 300)
    store.close()
    store = ByteStore(path, 1_000_000)
    store.put(b"one", b"more")
    assert store.get(b"one") == b"more"
    assert path.stat().st_size <= 1_000_000


def test_used_values_are_evicted_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.time()
    monkeypatch.setattr("autocog_core.wrappers.store.time.time", lambda: clock)
    store = ByteStore(path, 1_000_000)
    names = keys(400)
    for key in names:
        clock += 4000
        assert store.get(names[0]) is not None or key == names[0]
        store.put(key, key * 300)
    assert store.get(names[0]) is not None
    assert store.get(names[1]) is None


def test_a_value_that_would_fill_the_file_is_not_stored(path: Path) -> None:
    store = ByteStore(path, 100_000)
    store.put(b"small", b"x")
    store.put(b"large", b"x" * 90_000)
    assert (store.get(b"small"), store.get(b"large")) == (b"x", None)


def test_a_path_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    store = ByteStore(tmp_path / "file" / "kept.sqlite", 10**9)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            store.put(b"key", b"value")
            assert store.get(b"key") is None
    assert len(caplog.records) == 1


def test_a_lock_timeout_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("autocog_core.wrappers.store.LOCK_TIMEOUT_SECONDS", 0.1)
    ByteStore(path, 10**9).put(b"a", b"1")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    store = ByteStore(path, 10**9)
    with caplog.at_level(logging.WARNING):
        store.put(b"b", b"2")
        assert store.get(b"b") is None
    assert "locked" in caplog.text
    holder.execute("ROLLBACK")
    store.put(b"b", b"2")
    assert store.get(b"b") == b"2"
