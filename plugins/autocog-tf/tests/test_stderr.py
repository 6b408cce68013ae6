"""What a newcomer sees on stderr: no warning of a library, and no progress bar."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import child_environment
from tests.support.tf import tiny_models as tiny

#: Runs commands one after another in one process, with a line between them.
COMMANDS = """
import sys
from autocog_core.cli.main import main
for path in sys.argv[1:]:
    for command in (["choose", "-c", " Paris", "-c", " Rome"], ["complete", "--max-tokens", "2"]):
        sys.argv = ["autocog", *command, "the capital", "--backend", "tf", "--option",
                    "model_path=" + path, "--quiet"]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        print("--", file=sys.stderr)
"""


@pytest.mark.slow
def test_commands_print_nothing_of_the_libraries_on_stderr(tmp_path: Path) -> None:
    from tests.support.llamacpp import gguf_models

    folder = tmp_path / "model"
    tiny.tiny_model("llama").save_pretrained(folder)
    tiny.byte_level_tokenizer().save_pretrained(folder)
    gguf_file = gguf_models.ARCHITECTURES["llama"](tmp_path / "tiny.gguf", sentencepiece=True)
    child = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(folder), str(gguf_file)],
        env=child_environment(AUTOCOG_CACHE=str(tmp_path / "cache"), PYTHONWARNINGS="default"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert child.stderr == "--\n" * 4
