"""The layout of docs/architecture.md: layers, no import circles, what plugins may import."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.layout.import_graph import (
    Edge,
    file_edges,
    folder_edges,
    imported_names,
    modules_of,
    on_circles,
)

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "autocog_core": ROOT,
    "autocog_tf": ROOT / "plugins/autocog-tf/src",
    "autocog_llamacpp": ROOT / "plugins/autocog-llamacpp/src",
    "autocog_openai": ROOT / "plugins/autocog-openai/src",
    "autocog_ray": ROOT / "plugins/autocog-ray/src",
}
#: From the top down; what stands in one row imports nothing from the same row.
LAYERS = (
    ("cli",),
    ("doctor", "schemas", "scaffold", "demo", "server"),
    ("reports", "testing"),
    ("runners",),
    ("dataset",),
    ("html",),
    ("wrappers", "viz", "backends", "async_calls"),
    ("model",),
    ("comparison",),
    ("evaluation",),
    ("scoring", "program"),
    ("toolkit",),
    ("tokenizers",),
    ("config",),
    ("hooks",),
    ("records",),
    ("automaton",),
    ("advice", "constraints"),
    ("types",),
    ("errors", "files", "redaction", "numerics", "controls", "lazy", "version"),
)
#: Packages of core whose names plugins may import, and the one module beside them.
FACES = {
    "autocog_core",
    *(f"autocog_core.{name}" for name in ("automaton", "cli", "dataset", "hooks", "scoring")),
    *(f"autocog_core.{name}" for name in ("runners", "testing", "toolkit", "wrappers")),
    "autocog_core.evaluation.prepared_steps",
}


def layer_of(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, names in enumerate(LAYERS) if part in names)


def upward(edges: set[Edge]) -> list[Edge]:
    """Imports from a lower layer of core to a higher one, or across one layer."""
    return sorted(
        (importer, imported)
        for importer, imported in edges
        if "." in importer
        and "." in imported
        and importer.split(".")[1] != imported.split(".")[1]
        and layer_of(imported) <= layer_of(importer)
        and not {importer.split(".")[1], imported.split(".")[1]} <= set(LAYERS[-1])
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_and_no_folder_is_on_an_import_circle(package: str) -> None:
    modules = modules_of(PACKAGES[package], package)
    edges = file_edges(modules)
    assert on_circles(edges) == set()
    assert on_circles(folder_edges(modules, edges)) == set()


def test_core_imports_downwards_only() -> None:
    edges = file_edges(modules_of(ROOT, "autocog_core"))
    assert upward(edges) == []


def test_a_planted_import_is_found() -> None:
    modules = modules_of(ROOT, "autocog_core")
    planted = ("autocog_core.types.prompt", "autocog_core.model.model")
    edges = file_edges(modules) | {planted}
    assert upward(edges) == [planted]
    assert set(planted) <= on_circles(edges)
    folders = {modules[name].parent.as_posix() for name in planted}
    assert folders <= on_circles(folder_edges(modules, edges))


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "autocog_core"])
def test_plugins_import_packages_of_core_and_no_module_inside_them(package: str) -> None:
    for path in modules_of(PACKAGES[package], package).values():
        for name in imported_names(path.read_text(encoding="utf-8")):
            if name.split(".")[0] == "autocog_core":
                assert name in FACES or name.rpartition(".")[0] in FACES, (path, name)


def test_the_root_of_core_holds_few_modules() -> None:
    assert len(list((ROOT / "autocog_core").glob("*.py"))) <= 8


def test_the_map_names_every_folder() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    tree = page.partition("```text\nautocog_core/\n")[2].partition("```")[0]
    named = set(re.findall(r"^ *([a-z_]+)/", tree, flags=re.MULTILINE))
    for package, folder in PACKAGES.items():
        modules = modules_of(folder, package)
        folders = {path.parent.name for path in modules.values()} - {package}
        assert folders <= named, f"the map of {package} lacks {folders - named}"


def test_no_exported_name_is_hidden_by_a_module() -> None:
    """Importing a module sets its name in the package, and hides another object of this name."""
    for init in (ROOT / "autocog_core").rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT).parts)
        for name in getattr(import_module(package), "__all__", ()):
            if (init.parent / f"{name}.py").exists():
                value = getattr(import_module(package), name)
                assert getattr(value, "__module__", "") == f"{package}.{name}", (package, name)
