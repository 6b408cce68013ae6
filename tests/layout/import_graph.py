"""Which module imports which, read from the source: inside functions and for type checkers too."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

Edge = tuple[str, str]


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """The modules of a package by their dotted names; `root` is the folder that it is in."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((root / package).rglob("*.py"))
    }


def imported_names(source: str) -> Iterator[str]:
    """Dotted names that a source imports: modules, and what is taken from them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_edges(modules: dict[str, Path]) -> set[Edge]:
    """(importer, imported) for every import between modules."""
    edges = set()
    for name, path in modules.items():
        for imported in imported_names(path.read_text(encoding="utf-8")):
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules and target != name:
                edges.add((name, target))
    return edges


def folder_edges(modules: dict[str, Path], edges: Iterable[Edge]) -> set[Edge]:
    """(importer, imported) between folders. An `__init__` that hands names on does not count."""
    folders = {name: path.parent.as_posix() for name, path in modules.items()}
    return {
        (folders[importer], folders[imported])
        for importer, imported in edges
        if modules[importer].name != "__init__.py" and folders[importer] != folders[imported]
    }


def on_circles(edges: Iterable[Edge]) -> set[str]:
    """What is left when all that imports nothing, or is imported by nothing, is taken away."""
    left = set(edges)
    while True:
        importers = {importer for importer, _ in left}
        imported = {name for _, name in left}
        inner = {(a, b) for a, b in left if a in imported and b in importers}
        if inner == left:
            return importers
        left = inner
