"""Writing the package of a new plugin from the templates."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.scaffold.plugin_kind import PLUGIN_KINDS, PluginKind
from autocog_core.scaffold.plugin_name import PluginName
from autocog_core.scaffold.template_files import render_template, write_texts
from autocog_core.version import __version__

#: The folder of the template that gets the name of the module.
_MODULE_FOLDER = "MODULE"
#: Options without which a kind of backend does not load, for its README.
_REQUIRED_OPTIONS = {
    "rows": ("model_path", "FOLDER"),
    "server": ("url", "http://127.0.0.1:8000"),
}
#: What the tests of a package check, for its README.
_CHECKS_TEXTS = {
    "backend": "                             # checks the laws of backends",
    "wrapper": "                             # checks the law of wrappers",
    "command": "",
}


def write_package(name: PluginName, folder: Path, kind: PluginKind | None = None) -> list[Path]:
    """Write the package of a new plugin.

    :param name: the plugin's name.
    :param folder: a new or empty folder.
    :param kind: the kind of plugin; None for a backend around an engine.
    :returns: the files, relative to `folder`.
    :raises InputError: if `folder` contains files, or cannot be written; for a name that the code
        of the package uses for something else.
    """
    _check_empty(folder)
    texts = _render(name, kind or PLUGIN_KINDS["engine"])
    for path, text in texts.items():
        if path.suffix == ".py":
            _check_names(name, text)
    return write_texts(folder, texts)


def _check_names(name: PluginName, text: str) -> None:
    """Refuse a plugin's name that gives a class or a function a name that is taken.

    :param text: the text of a module of the package.
    :raises InputError: naming what is taken.
    """
    try:
        names = Counter(_defined_names(ast.parse(text).body))
    except SyntaxError:
        # No class is called None, True or False.
        names = Counter([name.class_prefix] * 2)
    taken = next((each for each in names if names[each] > 1 or hasattr(builtins, each)), None)
    if taken is not None:
        raise InputError(
            f'the code of the package uses the name "{taken}" for something else',
            where="NAME",
            hint=f"try my-{name.name}",
        )


def _defined_names(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module give to something."""
    for statement in statements:
        match statement:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def _check_empty(folder: Path) -> None:
    try:
        exists = folder.is_symlink() or folder.exists()
        if not exists or (folder.is_dir() and not any(folder.iterdir())):
            return
        problem = "contains files, and none is overwritten" if folder.is_dir() else "is no folder"
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}",
            where=str(folder),
            hint="name another folder",
        ) from error
    raise InputError(problem, where=str(folder), hint="name a new or an empty folder")


def _render(name: PluginName, kind: PluginKind) -> dict[Path, str]:
    target = kind.target.replace("PREFIX", name.class_prefix)
    values = {
        "name": name.name,
        "distribution": name.distribution,
        "module": name.module,
        "class_prefix": name.class_prefix,
        "function": name.name.replace("-", "_"),
        "kind": kind,
        "file": kind.file,
        "target": f"{Path(kind.file).stem}:{target}",
        "option": _REQUIRED_OPTIONS.get(kind.name),
        "checks_text": _CHECKS_TEXTS[kind.what],
        "core_requirement": _core_requirement(),
        "core_lowest": _core_lowest(),
    }
    texts = {
        **render_template("plugin_template/common", values),
        **render_template(f"plugin_template/{kind.name}", values),
    }
    return {
        Path(*(name.module if part == _MODULE_FOLDER else part for part in path.parts)): text
        for path, text in texts.items()
    }


def _core_lowest() -> str:
    """Return the lowest version of core that has the contract."""
    major, minor = __version__.split(".")[:2]
    return f"{major}.{minor}.0"


def _core_requirement() -> str:
    """Return the requirement of core: the minor version, which fixes the contract."""
    major, minor = __version__.split(".")[:2]
    return f"autocog-core>={_core_lowest()},<{major}.{int(minor) + 1}"
