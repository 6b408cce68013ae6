"""`autocog backends`: what is installed, and what one backend offers."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from autocog_core.cli.options import AsJson, Debug
from autocog_core.cli.output import add_text, facts_table, new_table, show, show_json
from autocog_core.cli.type_names import type_name
from autocog_core.config import plugins
from autocog_core.hooks import manager


def backends(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show this backend's hooks and options."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the installed backends, or show what one offers.

    The list imports no backend; showing one imports that one.
    """
    if name is None:
        _list(as_json)
    else:
        _describe(name, as_json)


def _list(as_json: bool) -> None:
    found = plugins.installed_plugins()
    if as_json:
        show_json([_identity(plugin) for plugin in found])
        return
    table = new_table()
    add_text(table, "backend", "bold")
    add_text(table, "distribution")
    add_text(table, "version")
    for plugin in found:
        table.add_row(plugin.name, plugin.distribution, plugin.version)
    show(table)


def _identity(plugin: plugins.InstalledPlugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
    }


def _describe(name: str, as_json: bool) -> None:
    backend = plugins.load_class(name)
    plugin = plugins.find_installed(name)
    hooks = manager.hooks_of(backend)
    about = _paragraphs(backend.__doc__)[0]
    options = [_option(key, field) for key, field in _fields(backend.Options)]
    if as_json:
        show_json(
            {
                **_identity(plugin),
                "class": plugin.target,
                "contract": backend.contract,
                "description": about,
                "hooks": hooks,
                "options": options,
            }
        )
        return
    facts = [
        ("backend", f"{plugin.name} ({plugin.distribution} {plugin.version})"),
        ("class", plugin.target),
        ("contract", str(backend.contract)),
        ("about", about),
        ("hooks", ", ".join(hooks)),
    ]
    show(facts_table(facts), "", *_option_parts(backend.Options, options))


def _option_parts(model: type[BaseModel], options: list[dict[str, Any]]) -> list[Any]:
    if not options:
        return ["It has no options."]
    described = any(option["description"] for option in options)
    table = new_table()
    add_text(table, "option", "bold")
    add_text(table, "type")
    add_text(table, "default")
    if described:
        table.add_column("description", ratio=1)
    for option in options:
        default = "required" if option["required"] else _literal(option["default"])
        cells = [option["name"], option["type"], default]
        table.add_row(*cells, *([option["description"]] if described else []))
    # Where the fields have no descriptions of their own, the class tells of them.
    notes = [] if described else [note for note in _paragraphs(model.__doc__)[1:] if note]
    return [table, *(part for note in notes for part in ("", note))]


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items())


def _option(name: str, field: FieldInfo) -> dict[str, Any]:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": type_name(field),
        "required": required,
        "default": to_jsonable_python(default, fallback=str),
        "description": " ".join((field.description or "").split()),
    }


def _literal(value: Any) -> str:
    """A default as a config file would have it."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _paragraphs(docstring: str | None) -> list[str]:
    """The paragraphs of a docstring, each as one line."""
    return [" ".join(part.split()) for part in inspect.cleandoc(docstring or "").split("\n\n")]
