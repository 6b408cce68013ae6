"""`autocog backends`: the installed backends, and what one offers."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from autocog_core.cli.options import AsJson
from autocog_core.cli.output import add_text, facts_table, new_table, show, show_json
from autocog_core.cli.type_labels import type_label
from autocog_core.config import plugins
from autocog_core.hooks import manager
from autocog_core.hooks.tiers import tier_names, tiers_of


def backends(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show the hooks and options of this backend."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the installed backends, or show what one offers.

    Only `autocog backends NAME` imports a backend.
    """
    if name is None:
        _list_backends(as_json)
    else:
        _show_backend(name, as_json)


def _list_backends(as_json: bool) -> None:
    installed = plugins.installed_plugins()
    if as_json:
        show_json([_identity(plugin) for plugin in installed])
        return
    table = new_table()
    add_text(table, "backend", "bold")
    add_text(table, "distribution")
    add_text(table, "version")
    for plugin in installed:
        table.add_row(plugin.name, plugin.distribution, plugin.version)
    show(table)


def _identity(plugin: plugins.InstalledPlugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
    }


def _show_backend(name: str, as_json: bool) -> None:
    backend = plugins.load_class(name)
    plugin = plugins.find_installed(name)
    hooks = manager.hooks_of(backend)
    offers = tier_names(tiers_of(hooks))
    description = _paragraphs(backend.__doc__)[0]
    options = [_option_facts(key, field) for key, field in backend.Options.model_fields.items()]
    if as_json:
        show_json(
            {
                **_identity(plugin),
                "class": plugin.target,
                "contract": backend.contract,
                "description": description,
                "hooks": hooks,
                "offers": offers,
                "options": options,
            }
        )
        return
    facts = [
        ("backend", f"{plugin.name} ({plugin.distribution} {plugin.version})"),
        ("class", plugin.target),
        ("contract", str(backend.contract)),
        ("about", description),
        ("hooks", ", ".join(hooks)),
        ("offers", ", ".join(offers) or "nothing"),
    ]
    show(facts_table(facts), "", *_option_parts(backend.Options, options))


def _option_parts(model: type[BaseModel], options: list[dict[str, Any]]) -> list[Any]:
    if not options:
        return ["This backend has no options."]
    has_descriptions = any(option["description"] for option in options)
    table = new_table()
    add_text(table, "option", "bold")
    add_text(table, "type")
    add_text(table, "default")
    if has_descriptions:
        table.add_column("description", ratio=1)
    for option in options:
        default = "required" if option["required"] else _config_text(option["default"])
        description = [option["description"]] if has_descriptions else []
        table.add_row(option["name"], option["type"], default, *description)
    # If no field has a description, the docstring of the class describes the options.
    notes = [] if has_descriptions else _paragraphs(model.__doc__)[1:]
    return [table, *(part for note in notes if note for part in ("", note))]


def _option_facts(name: str, field: FieldInfo) -> dict[str, Any]:
    is_required = field.is_required()
    default = None if is_required else field.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": type_label(field),
        "required": is_required,
        "default": to_jsonable_python(default, fallback=str),
        "description": " ".join((field.description or "").split()),
    }


def _config_text(value: Any) -> str:
    """Return a default value as a config file would contain it."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _paragraphs(docstring: str | None) -> list[str]:
    """Return the paragraphs of a docstring, one line each."""
    return [" ".join(part.split()) for part in inspect.cleandoc(docstring or "").split("\n\n")]
