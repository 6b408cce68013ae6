"""Writing the package of a new plugin from the templates."""

from __future__ import annotations

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
    :raises InputError: if `folder` contains files, or cannot be written.
    """
    _check_empty(folder)
    return write_texts(folder, _render(name, kind or PLUGIN_KINDS["engine"]))


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
