"""Run by `nox -s build` with an environment's own Python: what a user of the wheels finds.

    python tests/wheel_check.py [PLUGIN]

Not a test file: it must not see the checkout, nor need pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROMPT = ["The capital of France is", "--choice", " Paris", "--choice", " Lyon"]


def autocog(*arguments: str) -> str:
    """What the command prints, run from an empty folder."""
    command = Path(sys.executable).with_name("autocog")
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [command, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def main() -> None:
    """Check that the listed backends are those installed, and that the command works."""
    import autocog_core
    from autocog_core.config import plugins
    from autocog_core.server.page.assets import index_page, page_files

    package = Path(autocog_core.__file__).parent
    assert package != Path(__file__).parents[1] / "autocog_core", "this is the checkout"
    assert (package / "py.typed").is_file()
    expected = sorted(["random", "replay", "table", *sys.argv[1:]])
    assert [plugin.name for plugin in plugins.installed_plugins()] == expected, (
        plugins.installed_plugins()
    )
    assert autocog("--version").split()[-1] == autocog_core.__version__
    listed = autocog("backends")
    assert all(name in listed for name in expected), listed
    chosen = json.loads(autocog("choose", *PROMPT, "--json", "--backend", "random"))
    assert abs(sum(score["prob"] for score in chosen["scores"]) - 1) < 1e-9
    files = page_files()
    assert b"page/app.js" in index_page().content
    assert {"app.js", "choose.css", "page.css", "explorer.js"} <= files.keys(), files.keys()
    page = Path(autocog("docs", "writing-a-backend", "--path").strip())
    assert page.is_relative_to(package), page
    assert page.is_file(), page
    print(f"ok: {', '.join(expected)}")


if __name__ == "__main__":
    main()
