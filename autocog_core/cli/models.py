"""`autocog models`: what the config file offers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python
from rich.text import Text

from autocog_core import read_config
from autocog_core.cli.options import AsJson, ConfigFile, Debug
from autocog_core.cli.output import add_text, new_table, show, show_json
from autocog_core.cli.session import session
from autocog_core.config.config_file import CONFIG_FILE_NAME, Config, ModelConfig
from autocog_core.errors import ConfigError
from autocog_core.redaction import redact_options


def models(config: ConfigFile = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models of the config file."""
    found = read_config(config)
    default = _default(found)
    if as_json:
        show_json(
            {
                "config": None if found.path is None else str(found.path),
                "default_model": default,
                "models": [
                    {"name": name, "default": name == default, **_facts(model)}
                    for name, model in found.models.items()
                ],
            }
        )
        return
    if found.path is None:
        session.warn(f"no config file: write {CONFIG_FILE_NAME} with a [models.NAME] table")
        return
    parts: list[Any] = [Text(f"config: {found.path}", overflow="fold")]
    if found.models:
        parts.append(_table(found, default))
    else:
        session.warn(f"no model is configured in {found.path}")
    show(*parts)


def _default(config: Config) -> str | None:
    """The model that a command without --model uses, if there is one."""
    try:
        return config.model()[0]
    except ConfigError:
        return None


def _facts(model: ModelConfig) -> dict[str, Any]:
    # The config as it was read: `env:NAME` stands for its secret here too.
    found = model.model_dump(include={"backend", "engine", "options", "completion", "wrappers"})
    facts: dict[str, Any] = to_jsonable_python(redact_options(found), fallback=str)
    return facts


def _table(config: Config, default: str | None) -> Any:
    with_engine = any(model.engine for model in config.models.values())
    table = new_table()
    add_text(table, "model", "bold")
    add_text(table, "backend")
    if with_engine:
        add_text(table, "engine")
    add_text(table, "options")
    for name, model in config.models.items():
        label = Text.assemble(name, (" (default)" if name == default else "", "green not bold"))
        engine = [model.engine or "-"] if with_engine else []
        facts = _facts(model)
        table.add_row(label, model.backend, *engine, _lines(facts["options"]))
    return table


def _lines(options: Mapping[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
    return "\n".join(lines) or "-"
