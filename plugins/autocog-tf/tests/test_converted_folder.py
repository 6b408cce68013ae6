"""Where the converted form of a .gguf file is kept, and what happens if it cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocog_core import ModelLoadError
from autocog_core.config import cache_folder
from autocog_tf import gguf


def convert(path: Path, folder: Path) -> None:
    """Stands for Transformers, which takes a minute."""
    folder.mkdir()
    (folder / "config.json").write_text(path.name)


def test_without_a_cache_folder_the_model_is_converted_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gguf, "_convert", convert)
    cache_folder._warned.clear()
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF....")
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "kept"))
    kept = gguf.converted_folder(path)
    assert kept == gguf.converted_folder(path)
    assert kept.is_relative_to(tmp_path / "kept")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "file"))
    folders = [gguf.converted_folder(path) for _ in range(2)]
    assert [(folder / "config.json").read_text() for folder in folders] == ["tiny.gguf"] * 2
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_a_file_that_cannot_be_read_is_a_load_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"x\.gguf: cannot be read"):
        gguf.converted_folder(tmp_path / "x.gguf")


def test_equal_files_share_one_folder_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "_convert", convert)
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "kept"))
    paths = [tmp_path / name for name in ("one/tiny.gguf", "two/tiny.gguf", "two/renamed.gguf")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"GGUF....")
    (folder,) = {gguf.converted_folder(path) for path in paths}
    assert folder.name.startswith("tiny-")
    # Other content in the same place, and another config that the conversion reads.
    paths[0].write_bytes(b"GGUF::::")
    paths[1].with_name("generation_config.json").write_text("{}")
    assert len({folder, *map(gguf.converted_folder, paths)}) == 3
