"""What a command imports before it has something to do: its start takes no time for the rest."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autocog_core
from autocog_core import hooks
from autocog_core.cli.core_commands import CORE_COMMANDS, load_core_command

#: Slow to import, and not needed to show a help.
SLOW = {"numpy", "llguidance", "jinja2", "yaml", "torch", "transformers", "autocog_core.model"}


def imported_by(code: str) -> set[str]:
    """The modules that a new process has imported after `code`, as far as they are slow."""
    names = sorted({*SLOW, "pydantic"})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nprint([n for n in {names} if n in sys.modules])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


def help_of(*arguments: str) -> str:
    return (
        "from autocog_core.cli.main import main\n"
        f"import sys; sys.argv = ['autocog', *{arguments!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )


def test_importing_autocog_imports_nothing_slow() -> None:
    assert imported_by("import autocog_core") == set()


def test_the_list_of_commands_imports_nothing_slow() -> None:
    assert imported_by(help_of()) == set()


@pytest.mark.parametrize("command", ["choose", "complete", "run", "check"])
def test_the_help_of_a_command_imports_no_model(command: str) -> None:
    # typer itself imports pydantic for commands with options.
    assert imported_by(help_of(command)) <= {"pydantic"}


@pytest.mark.parametrize("name", CORE_COMMANDS)
def test_the_list_has_the_first_sentence_of_each_help(name: str) -> None:
    assert load_core_command(name).get_short_help_str(limit=300) == CORE_COMMANDS[name][1]


@pytest.mark.parametrize("package", [autocog_core, hooks], ids=lambda package: package.__name__)
def test_type_checkers_see_the_names_that_a_package_imports_on_first_use(package: object) -> None:
    """The three lists of names are equal: for type checkers, for Python, and `__all__`."""
    source = Path(str(package.__file__)).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    branch = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    checked = {
        node.module: {alias.name for alias in node.names}
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
    }
    lazy = next(node for node in ast.walk(branch.orelse[0]) if isinstance(node, ast.Dict))
    assert {name: set(names) for name, names in ast.literal_eval(lazy).items()} == checked
    names = {name for taken in checked.values() for name in taken}
    assert names == set(package.__all__) - {"__version__"}  # type: ignore[attr-defined]
    assert names <= set(dir(package))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'autocog_core' has no attribute 'Modell'"):
        _ = autocog_core.Modell  # type: ignore[attr-defined]
