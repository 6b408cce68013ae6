"""Quantizing: the target holds the source's weights, is there when it is whole, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import llama_cpp
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from autocog_core import ConfigError, EngineError, InputError, ModelLoadError
from autocog_llamacpp.gguf import quantize as module
from autocog_llamacpp.gguf.info import gguf_path, read_gguf_info
from autocog_llamacpp.gguf.quantization_types import (
    ALIASES,
    IMPORTANCE_MATRIX_TYPES,
    TYPES,
    resolve_type,
)
from autocog_llamacpp.gguf.quantize import quantize
from tests.support.llamacpp import gguf_files
from tests.support.llamacpp.gguf_models import SMOL

#: Largest error of a weight, in standard deviations of all weights.
CLOSE = {"F32": 0, "F16": 0.002, "BF16": 0.02, "Q8_0": 0.03, "Q6_K": 0.12, "Q5_0": 0.3}
CLOSE |= {"Q4_0": 0.6, "Q4_K_M": 0.5, "IQ4_XS": 0.8}
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


class Files(NamedTuple):
    folder: Path
    source: Path
    target: Path

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {self.source.name}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, gguf_files.write(tmp_path / "source.gguf"), tmp_path / "target.gguf")


def tensors(path: Path, most: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """The weights of a file as numbers, by the `gguf` package's own slow way.

    :param most: only the first so many by their names.
    """
    found = {}
    for tensor in sorted(gguf.GGUFReader(path).tensors, key=lambda tensor: tensor.name)[:most]:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found[tensor.name] = values.reshape([int(n) for n in reversed(tensor.shape)])
    return found


def assert_same_weights(source: Path, target: Path, close: float, most: int | None = None) -> None:
    """:param most: how many of the tensors are looked at."""
    before, after = tensors(source, most), tensors(target, most)
    assert after.keys() == before.keys()
    for name, weights in before.items():
        assert after[name].shape == weights.shape
        tolerance = close * weights.std()
        assert np.abs(after[name] - weights).max() <= tolerance, name


#: One of each kind: floats, blocks, blocks of blocks, and a table of values.
USUAL = ("F16", "Q8_0", "Q4_K_M", "IQ4_XS")


@pytest.mark.parametrize(
    "name",
    [name if name in USUAL else pytest.param(name, marks=pytest.mark.soak) for name in CLOSE],
)
def test_the_target_holds_the_weights_of_the_source(files: Files, name: str) -> None:
    done = quantize(files.source, files.target, name)
    assert done.target == read_gguf_info(files.target)
    assert done.source == read_gguf_info(files.source)
    assert done.target.quantization == name
    assert done.fallbacks == 0
    assert files.left() == {"target.gguf"}
    assert_same_weights(files.source, files.target, CLOSE[name])
    for key in ("tokenizer", "chat_template", "layers", "context_length", "name"):
        assert getattr(done.target, key) == getattr(done.source, key)


@pytest.mark.soak
@pytest.mark.parametrize("name", TYPES)
def test_every_listed_type_can_be_written(files: Files, name: str) -> None:
    done = quantize(files.source, files.target, name)
    assert done.target.quantization == name
    bits = done.target.bits_per_weight
    assert bits is not None
    if name != "MXFP4_MOE":  # only experts, which this model has not, get that type
        assert bits <= TYPES[name] + 1.5


def test_the_types_are_those_of_llama_cpp() -> None:
    theirs = {
        name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_")
        for name in dir(llama_cpp)
        if name.startswith("LLAMA_FTYPE_")
    }
    # NVFP4 is only read by llama.cpp, and Q2_0 is newer than what the `gguf` package can read.
    assert set(TYPES) | IMPORTANCE_MATRIX_TYPES == theirs - {"GUESSED", "NVFP4", "Q2_0"}
    assert set(ALIASES.values()) <= set(TYPES)


@pytest.mark.parametrize(
    ("written", "name"),
    [("q4_k_m", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("q8-0", "Q8_0"), ("f32", "F32")],
)
def test_a_type_may_be_written_in_any_case(written: str, name: str) -> None:
    assert resolve_type(written) == name


def test_an_unknown_type_is_refused_with_a_suggestion_and_all_types(files: Files) -> None:
    with pytest.raises(InputError, match="Q4_K_N") as caught:
        quantize(files.source, files.target, "Q4_K_N")
    assert 'did you mean "Q4_K_' in caught.value.hint
    assert all(name in caught.value.hint for name in TYPES)
    with pytest.raises(InputError) as caught:
        quantize(files.source, files.target, "?")
    assert caught.value.hint == f"types: {', '.join(TYPES)}"


def test_a_type_that_needs_an_importance_matrix_is_refused(files: Files) -> None:
    for name in IMPORTANCE_MATRIX_TYPES:
        with pytest.raises(InputError, match="importance matrix"):
            quantize(files.source, files.target, name)
    # llama.cpp itself agrees.
    request = {"source": str(files.source), "target": str(files.target), "threads": 1}
    code = llama_cpp.LLAMA_FTYPE_MOSTLY_IQ2_XXS
    job = module._QuantizeJob(read_gguf_info(files.source), files.target, None)
    with pytest.raises(EngineError, match=r"llama\.cpp failed: .*imatrix"):
        module._run({**request, "ftype": code, "requantize": False}, job)
    assert files.left() == set()


def test_progress_is_reported_for_every_tensor(files: Files) -> None:
    calls: list[tuple[int, int, str]] = []
    quantize(files.source, files.target, "Q8_0", on_progress=lambda *values: calls.append(values))
    names = [tensor.name for tensor in gguf.GGUFReader(files.source).tensors]
    assert [done for done, _, _ in calls] == list(range(len(names) + 1))
    assert {count for _, count, _ in calls} == {len(names)}
    assert {name for _, _, name in calls} == {*names, ""}
    assert calls[-1] == (len(names), len(names), "")


def test_threads_make_no_difference(files: Files) -> None:
    quantize(files.source, files.target, "Q4_0", threads=1)
    other = files.folder / "other.gguf"
    quantize(files.source, other, "Q4_0", threads=3)
    assert other.read_bytes() == files.target.read_bytes()
    with pytest.raises(InputError, match="less than 1"):
        quantize(files.source, files.folder / "third.gguf", "Q4_0", threads=0)


def test_rows_that_do_not_fit_the_type_are_counted(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_files, "WIDTH", 96)
    gguf_files.write(files.source)
    done = quantize(files.source, files.target, "Q4_K_S")
    # All matrices but the embeddings, whose type is chosen otherwise.
    assert done.fallbacks == 7
    assert "Q4_K" not in {kind.type for kind in done.target.tensor_types}


@pytest.mark.parametrize("name", ["F32", "Q4_0"])
def test_a_quantized_file_is_quantized_only_on_request(tmp_path: Path, name: str) -> None:
    source = gguf_files.write(tmp_path / "source.gguf", Type.Q4_1)
    target = tmp_path / "target.gguf"
    with pytest.raises(InputError, match="already quantized") as caught:
        quantize(source, target, name)
    assert "--requantize (requantize=True)" in caught.value.hint
    assert not target.exists()
    assert quantize(source, target, name, requantize=True).target.quantization == name
    assert_same_weights(source, target, CLOSE[name])


def test_a_target_that_exists_is_replaced_only_on_request(files: Files) -> None:
    files.target.write_text("precious")
    with pytest.raises(InputError, match="exists") as caught:
        quantize(files.source, files.target, "Q8_0")
    assert "--force (force=True)" in caught.value.hint
    assert files.target.read_text() == "precious"
    quantize(files.source, files.target, "Q8_0", force=True)
    assert read_gguf_info(files.target).quantization == "Q8_0"
    assert files.left() == {"target.gguf"}


def test_a_target_that_appears_during_the_work_is_not_replaced(files: Files) -> None:
    with pytest.raises(InputError, match="exists"):
        quantize(
            files.source,
            files.target,
            "Q8_0",
            on_progress=lambda *values: files.target.write_text("precious") and None,
        )
    assert files.target.read_text() == "precious"
    assert files.left() == {"target.gguf"}


@pytest.mark.parametrize("how", ["same", "symbolic link", "hard link", "other spelling"])
def test_the_source_is_refused_as_target(files: Files, how: str) -> None:
    target = files.target
    if how == "symbolic link":
        target.symlink_to(files.source)
    elif how == "hard link":
        target.hardlink_to(files.source)
    elif how == "same":
        target = files.source
    else:
        target = files.folder / ".." / files.folder.name / files.source.name
    before = files.source.read_bytes()
    with pytest.raises(InputError, match="is the source itself"):
        quantize(files.source, target, "Q8_0", force=True)
    assert files.source.read_bytes() == before


def test_an_invalid_target_is_an_error_before_any_work(files: Files) -> None:
    with pytest.raises(InputError, match="no such folder"):
        quantize(files.source, files.folder / "nowhere" / "x.gguf", "Q8_0")
    with pytest.raises(InputError, match="is not a file"):
        quantize(files.source, files.folder, "Q8_0", force=True)
    with pytest.raises(InputError, match="is not a file"):
        quantize(files.source, os.devnull, "Q8_0", force=True)
    with pytest.raises(InputError):
        quantize(files.source, files.folder / ("x" * 300), "Q8_0")


def test_an_invalid_source_is_an_error_before_any_work(files: Files) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        quantize(files.folder / "x.gguf", files.target, "Q8_0")
    files.source.write_bytes(b"text")
    with pytest.raises(ModelLoadError, match="not a GGUF file"):
        quantize(files.source, files.target, "Q8_0")
    assert files.left() == set()


def test_llama_cpps_reason_is_in_the_error(files: Files) -> None:
    gguf_files.write(files.source, architecture="abacus")
    with pytest.raises(EngineError, match="abacus") as caught:
        quantize(files.source, files.target, "Q8_0")
    assert str(files.source) in str(caught.value)
    assert files.left() == set()


def test_an_error_of_on_progress_stops_the_work_and_leaves_nothing(files: Files) -> None:
    def stop(*values: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        quantize(files.source, files.target, "Q8_0", on_progress=stop)
    assert files.left() == set()


def test_too_little_disk_space_is_an_error_before_writing(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(files.folder)
    size = quantize(files.source, files.target, "Q8_0").target.size
    files.target.unlink()
    for free, enough in ((size, False), (size + 2 * module._MIN_FREE_BYTES, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        if enough:
            quantize(files.source, files.target, "Q8_0")
            continue
        with pytest.raises(EngineError, match=f"too little space.* {free} are free"):
            quantize(files.source, files.target, "Q8_0")
        assert files.left() == set()


@posix
def test_a_disk_that_gets_full_leaves_nothing(files: Files) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(EngineError, match=r"llama\.cpp failed: ") as caught:
            quantize(files.source, files.target, "Q8_0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "full?" in caught.value.hint
    assert files.left() == set()


WORKERS = {
    # What a failed assertion of llama.cpp looks like.
    "crash": """
        import json, os, sys
        open(json.loads(sys.argv[1])["target"], "wb").write(bytes(100))
        print('["progress", 1, 9, "a"]', flush=True)
        print("llama.cpp:12: GGML_ASSERT(x) failed", file=sys.stderr, flush=True)
        os.abort()
    """,
    "short": """
        import json, sys
        request = json.loads(sys.argv[1])
        open(request["target"], "wb").write(open(request["source"], "rb").read()[:-1])
        print('["done", true]')
    """,
    "hang": """
        import json, sys, time
        open(json.loads(sys.argv[1])["target"], "wb").write(bytes(100))
        print('["progress", 1, 9, "a"]', flush=True)
        time.sleep(600)
    """,
}


def use_worker(files: Files, name: str) -> Path:
    worker = files.folder.parent / f"{files.folder.name}-{name}.py"
    worker.write_text(textwrap.dedent(WORKERS[name]))
    return worker


@posix
def test_a_failed_assertion_in_llama_cpp_is_an_error(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORKER", use_worker(files, "crash"))
    with pytest.raises(EngineError, match=r"code -6: .*GGML_ASSERT\(x\) failed"):
        quantize(files.source, files.target, "Q8_0")
    assert files.left() == set()


def test_an_incomplete_result_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WORKER", use_worker(files, "short"))
    with pytest.raises(EngineError, match="incomplete file: is cut short") as caught:
        quantize(files.source, files.target, "Q8_0")
    assert "full?" in caught.value.hint
    assert files.left() == set()


def heed_signals() -> None:
    """Where the tests run in the background, these are ignored, and their children ignore them."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


@posix
def test_an_interrupt_stops_the_work_at_once_and_leaves_nothing(files: Files) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from autocog_llamacpp.gguf import quantize as module
        module._WORKER = Path({str(use_worker(files, "hang"))!r})
        try:
            module.quantize({str(files.source)!r}, {str(files.target)!r}, "Q8_0",
                            on_progress=lambda *values: print("working", flush=True))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    assert len(files.left()) == 1
    # To the parent alone: a terminal would send it to both.
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.stdout.close()
    assert files.left() == set()


@posix
def test_a_worker_without_its_parent_cleans_up_and_ends(files: Files) -> None:
    written = files.folder / "written"
    written.write_bytes(bytes(100))
    request = f'{{"source": "{files.source}", "target": "{written}"}}'
    done = subprocess.run(
        [sys.executable, "-P", str(module._WORKER), request],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert files.left() == set()


@pytest.mark.soak
def test_smollm2_is_dequantized(smol_f32: Path) -> None:
    assert read_gguf_info(smol_f32).bits_per_weight == 32
    assert_same_weights(gguf_path(SMOL), smol_f32, 0, None)


@pytest.mark.soak
def test_smollm2_is_requantized_from_float(smol_f32: Path, tmp_path: Path) -> None:
    done = quantize(smol_f32, tmp_path / "q8.gguf", "Q8_0")
    assert done.target.bits_per_weight == pytest.approx(8.5, abs=0.01)
    assert done.target.parameters == done.source.parameters


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("SIGINT", "SIGKILL"),
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("SIGTERM", "SIGHUP")),
    ],
)
def test_a_terminated_command_leaves_nothing(tmp_path: Path, name: str) -> None:
    command = [str(Path(sys.executable).with_name("autocog")), "gguf", "quantize", SMOL]
    process = subprocess.Popen(
        [*command, str(tmp_path / "x.gguf"), "Q4_K_M", "--requantize", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_signals,
    )
    wait_for(lambda: any(path.stat().st_size > 10**7 for path in tmp_path.iterdir()))
    assert process.poll() is None
    # To the group, as a terminal does it.
    os.killpg(process.pid, getattr(signal, name))
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == (130 if name == "SIGINT" else -getattr(signal, name))
    wait_for(lambda: not any(tmp_path.iterdir()))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
