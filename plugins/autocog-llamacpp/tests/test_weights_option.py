"""The option `weights`: converted once, kept, and never with other numbers than it says."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Model, ModelLoadError, load
from autocog_core.config import cache_folder
from autocog_llamacpp import weights_type
from autocog_llamacpp.gguf.info import read_gguf_info
from autocog_llamacpp.gguf.quantize import quantize
from autocog_llamacpp.llama import memory
from autocog_llamacpp.llama.speed import SpeedProbe, largest_difference
from tests.support.soak import count

PROMPT, CHOICES = "The capital of France is", [" Paris", " the", "a", "10"]
OPTIONS = {"n_ctx": 256, "n_threads": 1}

Open = Callable[..., Model]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    cache_folder._warned.clear()
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def path(gguf_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny quantized model."""
    target = tmp_path_factory.mktemp("quantized") / "tiny-q4.gguf"
    quantize(gguf_file("llama"), target, "Q4_1")
    return target


@pytest.fixture
def open_model(path: Path, cache: Path) -> Iterator[Open]:
    opened = []

    def make(weights: str = "file", **options: Any) -> Model:
        options = {"model_path": str(path), "weights": weights, **OPTIONS, **options}
        opened.append(load(backend="llamacpp", options=options))
        return opened[-1]

    yield make
    for model in opened:
        model.close()


def logprobs(model: Model) -> list[float]:
    return [score.logprob for score in model.choose(PROMPT, CHOICES).scores]


def converted(cache: Path) -> list[Path]:
    return sorted(cache.glob("llamacpp/weights/*.gguf"))


def conversions(caplog: pytest.LogCaptureFixture) -> int:
    return sum("converting" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "kind", ["F32", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("F16", "q8-0"))]
)
def test_the_numbers_are_those_of_a_file_that_was_converted_by_hand(
    open_model: Open, path: Path, tmp_path: Path, kind: str
) -> None:
    by_hand = tmp_path / "by-hand.gguf"
    name = quantize(path, by_hand, kind, requantize=True).target.quantization
    model = open_model(kind, exact=True)
    assert logprobs(model) == logprobs(open_model("file", model_path=str(by_hand), exact=True))
    assert model.info.details["weights"] == name
    assert model.info.details["weights_source"] == "converted from Q4_1"
    assert model.info.name == path.name


def test_the_default_is_the_file_and_its_type_converts_nothing(
    open_model: Open, cache: Path
) -> None:
    as_it_is, same, other = open_model(), open_model("Q4_1"), open_model("F32", exact=True)
    assert as_it_is.info.details["weights"] == same.info.details["weights"] == "Q4_1"
    assert logprobs(as_it_is) == logprobs(same)
    assert as_it_is.info.fingerprint == same.info.fingerprint
    assert other.info.fingerprint != open_model(exact=True).info.fingerprint
    assert other.info.tolerance == 1e-4
    assert [file.name.split("-")[2] for file in converted(cache)] == ["F32"]


def test_a_file_is_converted_once_and_again_if_it_is_damaged(
    open_model: Open, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "autocog_llamacpp")
    expected = logprobs(open_model("F16"))
    assert logprobs(open_model("F16")) == expected
    assert conversions(caplog) == 1
    (file,) = converted(cache)
    content = file.read_bytes()
    damages = (content[:-1000], b"", b"text" + content)
    for number, damaged in enumerate(damages[: count(1, 3)], start=2):
        # A new file: models that are open have mapped the old one.
        file.unlink()
        file.write_bytes(damaged)
        assert logprobs(open_model("F16")) == expected
        assert conversions(caplog) == number
        assert file.read_bytes() == content


CONVERT = """
import logging, sys
logging.basicConfig(level="INFO")
from pathlib import Path
from autocog_llamacpp.gguf.converted import converted_file
print(converted_file(Path(sys.argv[1]), "F16"))
"""


def test_of_two_processes_one_converts(path: Path, cache: Path) -> None:
    command = [sys.executable, "-c", CONVERT, str(path)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert [Path(out.strip()) for out, _ in outputs] == converted(cache) * 2
    assert sum(err.count("converting") for _, err in outputs) == 1
    assert read_gguf_info(converted(cache)[0]).quantization == "F16"


def test_a_full_disk_is_one_error_and_auto_uses_the_file(
    open_model: Open, monkeypatch: pytest.MonkeyPatch, cache: Path, caplog: Any
) -> None:
    usage = shutil.disk_usage(".")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(ModelLoadError, match="F16: the disk has too little space") as caught:
            open_model("F16")
        assert 'weights = "file"' in caught.value.hint
        assert len(str(caught.value).splitlines()) == 1
        assert converted(cache) == []
        model = open_model("auto")
        assert model.info.details["weights"] == "Q4_1"
        assert "the disk has too little space" in model.info.details["weights_source"]
        assert logprobs(model) == logprobs(open_model())
    assert "uses the file as it is" in caplog.text
    assert open_model("F16").info.details["weights"] == "F16"


def test_without_a_cache_folder_the_weights_are_converted_for_this_process(
    open_model: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level(logging.INFO, "autocog_llamacpp")
    expected = logprobs(open_model("F16"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "file"))
    assert logprobs(open_model("F16")) == logprobs(open_model("F16")) == expected
    # Once for the folder of before, and once for this process.
    assert conversions(caplog) == 2
    assert "nothing is kept" in caplog.text


def measured(monkeypatch: pytest.MonkeyPatch, *seconds: float, difference: float = 0) -> list[int]:
    """Replace the measurement by its result; return a list that counts the measurements."""
    counts: list[int] = []

    def compare(probes: Any) -> list[float]:
        counts.append(len(probes))
        return list(seconds)

    monkeypatch.setattr(weights_type, "compare_speeds", compare)
    monkeypatch.setattr(weights_type, "largest_difference", lambda *probes: difference)
    monkeypatch.setattr(weights_type, "has_fast_half_precision", lambda: True)
    return counts


def test_auto_takes_the_faster_type_and_keeps_the_verdict(
    open_model: Open, path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts = measured(monkeypatch, 2.2, 1.0)
    model = open_model("auto")
    assert model.info.details["weights"] == "F16"
    source = "auto: converted from Q4_1, 2.2 times as fast on this machine"
    assert model.info.details["weights_source"] == source
    assert logprobs(model) == logprobs(open_model("F16"))
    assert model.info.fingerprint == open_model("F16").info.fingerprint
    advice = open_model().info.details["faster_weights"]
    assert advice == 'weights = "F16" would be about 2.2 times as fast on this machine'
    copy = Path(shutil.copy(path, tmp_path / path.name))
    assert open_model("auto", model_path=str(copy)).info.details["weights_source"] == source
    assert counts == [2]
    for file in cache.glob("llamacpp/weights/*.speed"):
        file.write_bytes(b"damaged")
    assert "may be faster" in open_model().info.details["faster_weights"]
    open_model("auto")
    # Another number of threads may favor another type.
    open_model("auto", n_threads=2)
    assert counts == [2, 2, 2]


def test_auto_keeps_the_file_if_no_type_is_faster(
    open_model: Open, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = measured(monkeypatch, 1.0, 1.0)
    for _ in range(2):
        details = open_model("auto").info.details
        assert details["weights"] == "Q4_1"
        assert details["weights_source"].endswith("F16 is 1.0 times as fast on this machine")
    assert counts == [2]
    assert converted(cache) == []
    assert "faster_weights" not in open_model().info.details


def test_auto_takes_no_type_with_other_numbers(
    open_model: Open, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 2.0, 1.0, difference=float("nan"))
    details = open_model("auto").info.details
    assert details["weights_source"] == "auto: as in the file, because F32 has other numbers"
    assert converted(cache) == []


def test_auto_respects_the_memory_and_exact(
    open_model: Open, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    counts = measured(monkeypatch, 2.0, 1.0)
    model = open_model("auto", exact=True)
    assert (model.info.details["weights"], model.info.tolerance) == ("F32", 1e-4)
    monkeypatch.setattr(weights_type, "available_memory", lambda: 10_000)
    details = open_model("auto").info.details
    assert details["weights"] == "Q4_1"
    assert "and 0.0 GB are free" in details["weights_source"]
    assert counts == []


def test_auto_measures_this_machine(open_model: Open) -> None:
    model = open_model("auto")
    assert "on this machine" in model.info.details["weights_source"]
    np.testing.assert_allclose(logprobs(model), logprobs(open_model()), atol=1.5)


def test_the_rule_of_auto_allows_only_types_that_are_as_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights_type, "has_fast_half_precision", lambda: True)
    found = {kind: weights_type.exact_type(kind, exact=False) for kind in ("F32", "F16", "BF16")}
    assert found == {"F32": None, "F16": None, "BF16": "F32"}
    for kind in ("Q4_1", "Q8_0", "IQ4_NL", None):
        assert weights_type.exact_type(kind, exact=False) == "F16"
        assert weights_type.exact_type(kind, exact=True) == "F32"
    monkeypatch.setattr(weights_type, "has_fast_half_precision", lambda: False)
    assert {weights_type.exact_type(kind, exact=False) for kind in ("F16", "Q4_1")} == {"F32"}


def test_numbers_that_are_not_finite_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [np.log(np.full(20, 0.05, np.float32)) for _ in range(2)]
    probes: list[Any] = [object.__new__(SpeedProbe) for _ in rows]
    found = {id(probe): row for probe, row in zip(probes, rows, strict=True)}
    monkeypatch.setattr(SpeedProbe, "logprobs", lambda self, work: found[id(self)])
    assert largest_difference(*probes) == 0
    rows[0][3:] -= 0.5
    assert largest_difference(*probes) == pytest.approx(0.5)
    rows[0][:] = np.nan
    assert largest_difference(*probes) == float("inf")


def test_the_memory_of_a_container_counts_cached_files_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = (str(tmp_path), "max", "current", "inactive_file")
    monkeypatch.setattr(memory, "_CGROUPS", [group, (str(tmp_path / "none"), *group[1:])])
    (tmp_path / "max").write_text("1000000\n")
    (tmp_path / "current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 500000\n")
    assert memory.available_memory() == 600_000
    (tmp_path / "max").write_text("max\n")
    assert memory.available_memory() > 600_000


@pytest.mark.soak
def test_doctor_says_what_would_be_faster(
    path: Path, open_model: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from autocog_core.cli.main import app

    measured(monkeypatch, 3.0, 1.0)
    open_model("auto")
    options = json.dumps({"model_path": str(path), **OPTIONS})
    config = tmp_path / "autocog.toml"
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in json.loads(options).items())
    config.write_text(f'[models.tiny]\nbackend = "llamacpp"\noptions = {{ {table} }}\n')
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["doctor", "tiny", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert 'weights = "F16" would be about 3.0 times as fast on this machine' in result.output
