"""Run a page of the documentation: each of its blocks, in order, in one folder."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import ModuleType

from autocog_core import Automaton, read_config
from autocog_core.config.plugins import installed_plugins, load_class
from autocog_core.errors import InputError
from tests.docs.blocks import Block, read_commands
from tests.docs.commands import ROOT, Printed, run_command
from tests.docs.shown_output import find_difference


class PageRun:
    """One page, whose blocks run in the current folder.

    The `python` blocks share one namespace, as the cells of a notebook do.

    :param name: the page's name.
    :param scripts: the folder of commands, of `write_scripts`.
    """

    def __init__(self, name: str, scripts: Path) -> None:
        self._scripts = scripts
        # Data classes look their module up.
        self._module = ModuleType(f"page_{abs(hash(name))}")
        sys.modules[self._module.__name__] = self._module
        #: What the block before printed, and the errors of its program.
        self._printed: str | None = None
        self._error: str | None = None

    def close(self) -> None:
        """Forget the page's names."""
        del sys.modules[self._module.__name__]

    def run(self, block: Block) -> None:
        """Run or check one block.

        :param block: the block.
        :raises AssertionError: if it does not do what the page shows.
        """
        printed, self._printed = self._printed if block.follows else None, None
        error, self._error = self._error, None
        if block.not_run is not None:
            return
        if block.part_of is not None:
            check_part(block)
        elif block.title is not None:
            write_file(block)
        elif block.language == "text":
            check_text(block, printed if error is None else error)
        else:
            assert block.language in self._runners(), f"{block.where}: no language, or not run"
            self._runners()[block.language](block)

    def _runners(self) -> dict[str, Callable[[Block], None]]:
        return {
            "python": self._run_python,
            "console": self._run_console,
            "yaml": self._read_program,
            "toml": read_toml,
            "json": lambda block: json.loads(block.text),
            # Drawn by the tests of drawings.
            "mermaid": lambda block: None,
        }

    def _run_python(self, block: Block) -> None:
        output = io.StringIO()
        # With the lines of the page in a traceback.
        page, _, line = block.where.rpartition(":")
        code = compile("\n" * int(line) + dedent(block.text), page, "exec")
        with contextlib.redirect_stdout(output):
            exec(code, self._module.__dict__)
        self._printed = output.getvalue()

    def _run_console(self, block: Block) -> None:
        for command in read_commands(block):
            printed = run_command(command.text, self._scripts)
            where = f"{block.where}: {command.text}"
            fails = any(line.startswith("error: ") for line in command.output.splitlines())
            assert (printed.code != 0) == fails, f"{where}: exit code\n{printed.output}"
            if command.output:
                difference = _nearest_difference(command.output, printed)
                assert not difference, f"{where}: {difference}"

    def _read_program(self, block: Block) -> None:
        """Read a program; one that begins with `# invalid` has the error that the page shows."""
        path = Path("program.yaml")
        before = path.read_bytes() if path.exists() else None
        path.write_text(block.text, encoding="utf-8")
        try:
            program = Automaton.from_file(path)
            assert not block.text.startswith("# invalid"), f"{block.where}: it is valid"
            assert Automaton.from_dict(program.to_dict()) == program
        except InputError as error:
            if not block.text.startswith("# invalid"):
                raise
            self._error = str(error)
        finally:
            path.unlink()
            if before is not None:
                path.write_bytes(before)


def _nearest_difference(shown: str, printed: Printed) -> str:
    """What differs; a page may leave out the messages on standard error."""
    if not find_difference(shown, printed.stdout):
        return ""
    return find_difference(shown, printed.output)


def write_file(block: Block) -> None:
    """Write the file that a block is.

    :param block: a block with a title.
    """
    assert block.title is not None
    path = Path(block.title)
    assert not path.is_absolute(), block.where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    if path.name == "autocog.toml":
        read_toml(block)


def check_part(block: Block) -> None:
    """Check that a file of this checkout has the lines of a block, in one piece.

    :param block: a block that is part of a file; it may lack the file's indentation.
    """
    assert block.part_of is not None
    lines = [line.strip() for line in (ROOT / block.part_of).read_text("utf-8").splitlines()]
    file = "\n".join(line for line in lines if line)
    part = "\n".join(line.strip() for line in block.text.splitlines() if line.strip())
    assert part in file, f"{block.where}: not a part of {block.part_of}"


def check_text(block: Block, printed: str | None) -> None:
    """Check the output after a block that ran; any other text has no commands.

    :param block: a block with the language `text`.
    :param printed: what the block before it printed.
    """
    if printed is None:
        commands = [line for line in block.text.splitlines() if line.startswith(("$ ", "autocog "))]
        assert not commands, f"{block.where}: commands stand in `console` blocks: {commands}"
        return
    difference = find_difference(block.text, printed)
    assert not difference, f"{block.where}: {difference}"


def read_toml(block: Block) -> None:
    """Read a block of TOML: a config is checked, with the names of its options.

    :param block: a block with the language `toml`.
    """
    data = tomllib.loads(block.text)
    if not data.keys() & {"default_model", "models"}:
        return
    path = Path(f"checked-{abs(hash(block.where))}.toml")
    path.write_text(block.text, encoding="utf-8")
    try:
        models = read_config(path).models
    finally:
        path.unlink()
    installed = {plugin.name for plugin in installed_plugins()}
    for name, model in models.items():
        if model.backend in installed:
            # Not their values: files and secrets of a page are not here.
            unknown = model.options.keys() - load_class(model.backend).Options.model_fields.keys()
            assert not unknown, f"{block.where}: models.{name}.options: {unknown}"
