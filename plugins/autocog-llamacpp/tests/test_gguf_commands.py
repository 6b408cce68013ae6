"""`autocog gguf`: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Type
from typer.testing import CliRunner, Result

from autocog_core.cli.main import app
from autocog_llamacpp.gguf.info import read_gguf_info
from autocog_llamacpp.gguf.quantization_types import TYPES
from tests.support.llamacpp import gguf_files

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `autocog gguf ...` in this process, in a folder with a small model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    gguf_files.write(tmp_path / "model.gguf")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["gguf", *arguments])

    return invoke


def facts(output: str) -> dict[str, str]:
    """The lines of a table of facts."""
    pairs = [line.split("  ", 1) if "  " in line else [line, ""] for line in output.splitlines()]
    return {name.strip(): value.strip() for name, value in pairs}


def test_info_prints_facts_and_tensor_types(run: Run) -> None:
    result = run("info", "model.gguf")
    assert (result.exit_code, result.stderr) == (0, "")
    values = facts(result.stdout)
    assert values["file"] == "model.gguf"
    assert values["architecture"] == "llama"
    assert values["parameters"] == "475,904"
    assert values["quantization"] == "F32, 32.00 bits a weight"
    assert values["context length"] == "128"
    assert values["layers"] == "1"
    assert values["tokenizer"] == f"gpt2 (smollm), {len(gguf_files.TOKENS)} tokens"
    assert values["BOS"] == "1 '<s>', added"
    assert values["EOS"] == "2 '</s>'"
    assert values["chat template"] == "14 characters"
    assert values["F32"].split() == ["11", "475,904", "1.8", "MiB"]
    assert "llama.block_count" not in result.stdout


def test_info_all_prints_all_metadata_and_the_chat_template(run: Run) -> None:
    output = run("info", "model.gguf", "--all").stdout
    values = facts(output)
    assert values["llama.block_count"] == "1"
    assert values["tokenizer.chat_template"] == "{{ messages }}"
    assert values["tokenizer.ggml.tokens"] == f"{len(gguf_files.TOKENS)} of string"
    assert "llama.attention.layer_norm_rms_epsilon 1e-05" in output
    assert values["tokenizer.ggml.add_bos_token"] == "true"


def test_info_json_is_the_apis_plain_data(run: Run, tmp_path: Path) -> None:
    info = read_gguf_info("model.gguf")
    assert json.loads(run("info", "model.gguf", "--json").stdout) == info.to_dict()
    everything = json.loads(run("info", "model.gguf", "--json", "--all").stdout)
    assert everything == info.to_dict(metadata=True)


def test_info_shows_dashes_for_missing_metadata(run: Run, tmp_path: Path) -> None:
    gguf_files.bare(tmp_path / "bare.gguf")
    values = facts(run("info", "bare.gguf").stdout)
    assert values["model"] == values["quantization"] == values["layers"] == "-"
    assert values["tokenizer"] == values["chat template"] == "none"


def test_control_characters_in_a_file_are_escaped(run: Run, tmp_path: Path) -> None:
    escape = "\x1b]0;title\x07[red]"
    gguf_files.write(
        tmp_path / "bad.gguf", general__author=escape, tokenizer__ggml__seperator=escape
    )
    content = (tmp_path / "bad.gguf").read_bytes()
    (tmp_path / "bad.gguf").write_bytes(content.replace(b"Tiny", b"\x1b[2J"))
    output = run("info", "bad.gguf", "--all").stdout
    assert "\x1b" not in output
    assert r"\x1b[2J" in output
    assert r"\x1b]0;title\x07[red]" in output


def test_package_files_are_found(run: Run) -> None:
    result = run("info", "package:gguf/x.gguf")
    assert result.exit_code == 2
    assert 'package "gguf" has no file "x.gguf"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "none.gguf"], 2, "none.gguf: there is no such file"),
        (["info", "text.gguf"], 1, "text.gguf: is not a GGUF file"),
        (["info"], 2, "FILE"),
        (["quantize", "none.gguf", "x.gguf", "Q8_0"], 2, "none.gguf: there is no such file"),
        (["quantize", "model.gguf", "x.gguf", "Q9"], 2, 'there is no type "Q9"'),
        (["quantize", "model.gguf", "model.gguf", "F16"], 2, "is the source itself"),
        (["quantize", "model.gguf", "text.gguf", "F16"], 2, "text.gguf: exists; --force"),
        (["quantize", "small.gguf", "x.gguf", "F16"], 2, "--requantize"),
        (["quantize", "model.gguf", "x.gguf", "F16", "--threads", "0"], 2, "--threads"),
        (["quantize", "model.gguf", "x.gguf"], 2, "TYPE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_user_error_is_one_message(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "text.gguf").write_text("text")
    gguf_files.write(tmp_path / "small.gguf", Type.Q8_0)
    result = run(*arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "x.gguf").exists()


def test_quantize_shows_sizes_before_and_after(run: Run, tmp_path: Path) -> None:
    result = run("quantize", "model.gguf", "small.gguf", "q8_0", "--threads", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[2] == ["from", "model.gguf", "F32", "1.8", "MiB", "32.00"]
    info = read_gguf_info("small.gguf")
    assert lines[3] == ["to", "small.gguf", "Q8_0", f"{info.size / 1024:.1f}", "KiB", "8.54"]
    assert info.quantization == "Q8_0"
    again = run("quantize", "small.gguf", "model.gguf", "F32", "--requantize", "--force")
    assert again.exit_code == 0


def test_quantize_json_has_both_files(run: Run) -> None:
    data = json.loads(run("quantize", "model.gguf", "small.gguf", "Q8_0", "--json").stdout)
    assert data["source"] == read_gguf_info("model.gguf").to_dict()
    assert data["target"] == read_gguf_info("small.gguf").to_dict()
    assert data["fallbacks"] == 0


def test_a_note_reports_rows_that_do_not_fit_the_type(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_files, "WIDTH", 96)
    gguf_files.write(tmp_path / "narrow.gguf")
    arguments = ["quantize", "narrow.gguf", "small.gguf", "Q4_K_M"]
    note = "7 of 11 tensors have rows that do not fit Q4_K_M, and got larger types\n"
    assert run(*arguments).stderr == note
    assert run(*arguments, "--force", "--quiet").stderr == ""


def test_help_lists_the_types_and_loads_no_engine() -> None:
    code = (
        "import sys\n"
        "from autocog_core.cli.main import app\n"
        "try:\n    app(['gguf', 'quantize', '--help'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.exit('imported' if {'llama_cpp', 'torch'} & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert all(name in words for name in TYPES)


def test_gguf_alone_shows_its_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert "quantize" in result.stdout
