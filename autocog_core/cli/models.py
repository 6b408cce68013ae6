"""`autocog models`: the models of the config file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python
from rich.table import Table

from autocog_core import read_config
from autocog_core.cli.options import AsJson, ConfigFile
from autocog_core.cli.output import add_text, new_table, show, show_json
from autocog_core.cli.session import session
from autocog_core.cli.styles import GOOD
from autocog_core.cli.text import Text
from autocog_core.config.config_file import CONFIG_FILE_NAME, Config, ModelConfig
from autocog_core.errors import ConfigError
from autocog_core.redaction import redact_options


def models(*, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the models of the config file."""
    contents = read_config(config)
    path, default = contents.path, _default_model(contents)
    if as_json:
        show_json(
            {
                "config": None if path is None else str(path),
                "default_model": default,
                "models": [
                    {"name": name, "default": name == default, **_model_facts(model)}
                    for name, model in contents.models.items()
                ],
            }
        )
    elif path is None:
        session.warn(
            f"there is no config file: write {CONFIG_FILE_NAME} with a table [models.NAME]"
        )
    elif not contents.models:
        show(_path_line(path))
        session.warn(f"no model is configured: add a table [models.NAME] to {path}")
    else:
        show(_path_line(path), _models_table(contents, default))


def _path_line(path: object) -> Text:
    return Text(f"config: {path}", overflow="fold")


def _default_model(config: Config) -> str | None:
    """Return the model of commands without --model; None if they need one."""
    try:
        return config.model()[0]
    except ConfigError:
        return None


def _model_facts(model: ModelConfig) -> dict[str, Any]:
    # As the config file has it: `env:NAME` is not replaced by the secret.
    contents = model.model_dump(include={"backend", "engine", "options", "completion", "wrappers"})
    facts: dict[str, Any] = to_jsonable_python(redact_options(contents), fallback=str)
    return facts


def _models_table(config: Config, default: str | None) -> Table:
    has_engines = any(model.engine for model in config.models.values())
    table = new_table()
    add_text(table, "model", "bold")
    add_text(table, "backend")
    if has_engines:
        add_text(table, "engine")
    add_text(table, "options")
    for name, model in config.models.items():
        label = Text.assemble(name, (" (default)" if name == default else "", f"{GOOD} not bold"))
        engine = [model.engine or "-"] if has_engines else []
        table.add_row(label, model.backend, *engine, _option_lines(_model_facts(model)["options"]))
    return table


def _option_lines(options: Mapping[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
    return "\n".join(lines) or "-"
