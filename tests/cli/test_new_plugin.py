"""`autocog new-plugin` writes a working package, overwrites nothing, and reports bad names."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
import yaml

from autocog_core import load
from autocog_core.config import plugins
from autocog_core.scaffold import PluginName, package
from autocog_core.version import __version__
from tests.cli.conftest import Run
from tests.plugin_author.findings import broken_laws
from tests.support.small_backends import forget, install

LONGEST = "a" * 40


@pytest.fixture
def demo(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that the command has written, as if it were installed."""
    assert run("new-plugin", "my-demo").exit_code == 0
    made = folder / "autocog-my-demo"
    project = tomllib.loads((made / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(folder / "site", project["name"], project["entry-points"], {})
    monkeypatch.syspath_prepend(folder / "site")
    monkeypatch.syspath_prepend(made / "src")
    yield made
    forget("autocog_my_demo", "autocog_my_demo.backend")


def test_the_command_prints_the_files_and_the_next_commands(run: Run, folder: Path) -> None:
    result = run("new-plugin", "my-demo")
    made = folder / "autocog-my-demo"
    written = sorted(
        path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()
    )
    assert result.stdout.splitlines() == [
        "autocog-my-demo in autocog-my-demo:",
        *(f"  {file}" for file in written),
    ]
    assert written == [
        ".github/workflows/publish.yml",
        ".github/workflows/tests.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/autocog_my_demo/__init__.py",
        "src/autocog_my_demo/backend.py",
        "src/autocog_my_demo/py.typed",
        "tests/test_contract.py",
    ]
    assert "  cd autocog-my-demo\n" in result.stderr
    assert "--backend my-demo\n" in result.stderr


@pytest.mark.skipif(which("git") is None, reason="git is not installed")
def test_git_ignores_no_file_of_the_template() -> None:
    """A wheel has no file that git ignores; test_clean_environment.py builds one."""
    template = Path(package.__file__).parent / "plugin_template"
    files = [str(path) for path in template.rglob("*") if path.is_file()]
    assert len(files) >= 8
    command = ["git", "check-ignore", "--no-index", *files]
    done = subprocess.run(command, cwd=template, capture_output=True, text=True, check=False)
    if "not a git repository" in done.stderr:
        pytest.skip("this is no checkout")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_every_placeholder_of_the_template_is_filled(demo: Path) -> None:
    for path in demo.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert "<%" not in text, path
            assert "%>" not in text, path
    workflow = yaml.safe_load((demo / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["tests"]["steps"]
    assert {"python-version": "${{ matrix.python }}"} in [step.get("with") for step in steps]


def test_the_readme_names_no_option_of_the_toy(demo: Path, folder: Path) -> None:
    readme = (demo / "README.md").read_text(encoding="utf-8")
    (folder / "readme.toml").write_text(
        readme.partition("```toml\n")[2].partition("```")[0], encoding="utf-8"
    )
    with load("mine", config=folder / "readme.toml") as model:
        options = type(model.backend).Options.model_fields  # type: ignore[attr-defined]
    assert options
    assert not [name for name in options if name in readme]


def test_the_project_names_core_of_this_minor_version(demo: Path) -> None:
    project = tomllib.loads((demo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    major, minor = map(int, __version__.split(".")[:2])
    assert f"autocog-core>={major}.{minor}.0,<{major}.{minor + 1}" in project["dependencies"]
    assert project["entry-points"] == {"autocog": {"my-demo": "autocog_my_demo.backend:MyDemoLM"}}


def test_the_package_passes_every_law(demo: Path) -> None:
    assert plugins.find_installed("my-demo").distribution == "autocog-my-demo"
    assert not broken_laws(lambda: load(backend="my-demo"))
    # Also by the package's own test class, of which one law stands for all.
    sys.modules.pop("test_contract", None)
    sys.path.insert(0, str(demo / "tests"))
    try:
        contract = import_module("test_contract").TestContract()
        contract.test_distribution()
        contract.teardown_class()
    finally:
        sys.path.remove(str(demo / "tests"))
        forget("test_contract")


def test_its_backend_is_listed_without_an_import_and_used_by_its_name(
    demo: Path, run: Run, wrong: Callable[..., str]
) -> None:
    assert "autocog-my-demo" in run("backends").stdout
    assert "autocog_my_demo" not in sys.modules
    chosen = run("choose", "abab", "-c", "a", "-c", "z", "--backend", "my-demo")
    assert (chosen.exit_code, ">  'a'" in chosen.stdout) == (0, True), chosen.output
    assert "strength" in wrong("greedy", "a", "--backend", "my-demo", "--option", "strength=0")


@pytest.mark.parametrize("name", ["x", LONGEST, "my-engine-2"])
def test_ruff_finds_no_errors_for_any_name(run: Run, folder: Path, name: str) -> None:
    assert run("new-plugin", name, "made").exit_code == 0
    _assert_no_errors(folder / "made", "ruff", "check", ".")
    _assert_no_errors(folder / "made", "ruff", "format", "--check", ".")


@pytest.mark.packaging
def test_mypy_finds_no_errors(run: Run, folder: Path) -> None:
    assert run("new-plugin", "my-engine", "made").exit_code == 0
    _assert_no_errors(folder / "made", "mypy", "src", "tests")


def test_every_function_is_annotated(demo: Path) -> None:
    functions = [
        node
        for path in demo.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(functions) > 5
    for function in functions:
        assert function.returns is not None, function.name
        arguments = [*function.args.args, *function.args.kwonlyargs]
        bare = [argument.arg for argument in arguments if argument.annotation is None]
        assert set(bare) <= {"self", "cls"}, function.name


def _assert_no_errors(folder: Path, tool: str, *arguments: str) -> None:
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Demo", "try demo"),
        ("MyEngine", "try my-engine"),
        ("my_engine", "try my-engine"),
        ("my engine", "try my-engine"),
        ("my--engine", "try my-engine"),
        ("Ünder", "cannot name a plugin"),
        ("9lives", "cannot name a plugin"),
        ("-", "cannot name a plugin"),
        ("", "cannot name a plugin"),
        ("../up", "try up"),
        ("a\nb", "try a-b"),
        ("autocog-mine", "try mine"),
        ("autocog_mine", "try mine"),
        ("class", "a keyword of Python"),
        ("core", "autocog itself uses"),
        ("random", "autocog itself uses"),
        ("table", "autocog itself uses"),
        ("tf", "autocog itself uses"),
        ("llamacpp", "autocog itself uses"),
        ("gguf", "autocog itself uses"),
        ("a" * 41, "41 characters, 40 at most"),
    ],
)
def test_an_invalid_name_is_one_message(
    wrong: Callable[..., str], folder: Path, name: str, expected: str
) -> None:
    before = sorted(folder.iterdir())
    message = wrong("new-plugin", "--", name)
    assert message.startswith("error: NAME: ")
    assert expected in message
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("bad", ["MyEngine", "my_engine", "../up", "autocog_mine", "HTTPServer"])
def test_the_suggested_name_is_valid(bad: str) -> None:
    with pytest.raises(ValueError, match="try ") as caught:
        PluginName.parse(bad)
    suggested = caught.value.hint.removeprefix("try ")  # type: ignore[attr-defined]
    assert PluginName.parse(suggested).name == suggested


def test_a_name_that_another_distribution_offers_is_a_warning(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for distribution in ("other-demo", "autocog-demo"):
        install(folder / "site", distribution, {"autocog": {"demo": "nowhere:Demo"}}, {})
    monkeypatch.syspath_prepend(folder / "site")
    result = run("new-plugin", "demo")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0].startswith("warning: other-demo has")
    assert (folder / "autocog-demo" / "pyproject.toml").is_file()


def test_a_folder_that_is_empty_or_new_is_filled(run: Run, folder: Path) -> None:
    (folder / "empty").mkdir()
    assert run("new-plugin", "demo", "empty").exit_code == 0
    result = run("new-plugin", "demo", "new/inner folder")
    assert result.exit_code == 0
    assert "  cd 'new/inner folder'\n" in result.stderr
    for made in ("empty", "new/inner folder"):
        assert (folder / made / "src" / "autocog_demo" / "backend.py").is_file()


def test_nothing_is_overwritten(wrong: Callable[..., str], folder: Path) -> None:
    notes = folder / "autocog-demo" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    assert "contains files" in wrong("new-plugin", "demo")
    assert "is no folder" in wrong("new-plugin", "demo", str(notes))
    (folder / "dangling").symlink_to(folder / "nowhere")
    assert "is no folder" in wrong("new-plugin", "demo", "dangling")
    assert notes.read_text() == "mine"
    assert list(notes.parent.iterdir()) == [notes]
    assert not (folder / "nowhere").exists()


def test_a_folder_that_cannot_be_made_is_one_message(
    wrong: Callable[..., str], folder: Path
) -> None:
    (folder / "file").write_text("")
    message = wrong("new-plugin", "demo", "file/inner")
    assert message.startswith("error: file/inner: cannot be ")
