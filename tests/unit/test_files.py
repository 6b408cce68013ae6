"""Files are complete or what they were before."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocog_core.files import write_atomically


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    (tmp_path / "file.json.part").write_text("left by a killed process, and longer than the new")
    with write_atomically(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path, suffix=".mine") as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), write_atomically(tmp_path / "nowhere" / "file"):
        pass
