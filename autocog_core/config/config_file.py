"""autocog.toml: which models there are, found and checked; unknown keys are refused.

The file is looked for as the argument, `$AUTOCOG_CONFIG`, `autocog.toml` in the current folder and
its parents, and in the user's config folder; the first one counts.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from autocog_core import redaction
from autocog_core.config.options import validate
from autocog_core.errors import ConfigError, did_you_mean
from autocog_core.hooks.retry import RetryPolicy

CONFIG_FILE_NAME = "autocog.toml"


CONFIG_VARIABLE = "AUTOCOG_CONFIG"


class WrapperConfig(BaseModel):
    """A wrapper named in `wrappers`: its name alone, or a table with its options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class RetryConfig(BaseModel):
    """`retry`: see `autocog_core.hooks.retry.RetryPolicy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retries: int = Field(default=0, ge=0)
    delta: float = Field(default=1.0, ge=0)
    growth: float = Field(default=2.0, ge=1)

    def policy(self) -> RetryPolicy:
        """The policy that these settings make."""
        return RetryPolicy(self.retries, self.delta, self.growth)


class ModelConfig(BaseModel):
    """`[models.NAME]`: a backend, its options, and how it is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = ""
    engine: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    completion: dict[str, Any] = Field(default_factory=dict)
    wrappers: tuple[WrapperConfig, ...] = ()
    retry: RetryConfig = RetryConfig()


class Config(BaseModel):
    """A whole config file.

    :ivar path: the file; None where there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_model: str | None = None
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    path: Path | None = Field(default=None, exclude=True)

    @property
    def folder(self) -> Path:
        """What relative paths in the file are relative to."""
        return self.path.parent if self.path is not None else Path()

    @property
    def source(self) -> str:
        """The file, for messages."""
        return str(self.path) if self.path is not None else "no config file"

    def model(self, name: str | None = None) -> tuple[str, ModelConfig]:
        """The model of that name, or the default one.

        :raises ConfigError: if there is none.
        """
        if not self.models:
            raise ConfigError(
                "no model is configured",
                where=self.source,
                hint=f"write {CONFIG_FILE_NAME} with a [models.NAME] table, or name a file with --config",
            )
        if name is None:
            name = self.default_model or (
                next(iter(self.models)) if len(self.models) == 1 else None
            )
        if name is None:
            raise ConfigError(
                "several models and no `default_model`",
                where=self.source,
                hint="name one of: " + ", ".join(sorted(self.models)),
            )
        if name not in self.models:
            raise ConfigError(
                f'no model "{name}"', where=self.source, hint=did_you_mean(name, self.models)
            )
        return name, self.models[name]


def find_config(path: str | os.PathLike[str] | None = None) -> Path | None:
    """The config file that counts, or None.

    :raises ConfigError: if one was named, by argument or variable, that does not exist.
    """
    for named, how in (
        (path, "--config"),
        (os.environ.get(CONFIG_VARIABLE), f"${CONFIG_VARIABLE}"),
    ):
        if named:
            found = Path(named).expanduser()
            if not found.is_file():
                raise ConfigError(f"no such file: {found}", where=how)
            return found.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, user_config_path("autocog")):
        if (folder / CONFIG_FILE_NAME).is_file():
            return (folder / CONFIG_FILE_NAME).resolve()
    return None


def read_config(path: str | os.PathLike[str] | None = None) -> Config:
    """Find, read and check the config file; an empty config where there is none.

    :raises ConfigError: with file, key and what is wrong, every fault of the file at once.
    """
    found = find_config(path)
    if found is None:
        return Config()
    try:
        data = tomllib.loads(found.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(found)) from error
    if "path" in data:
        raise ConfigError("path: unknown key", where=str(found))
    config = validate(Config, {**data, "path": found}, where=str(found))
    return _with_engines(config)


def resolve_secrets(value: Any, *, where: str, key: str) -> Any:
    """`value` with every string `env:NAME` in it replaced by that variable's value.

    :raises ConfigError: if the variable is not set.
    """
    if isinstance(value, Mapping):
        return {k: resolve_secrets(v, where=where, key=f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [resolve_secrets(v, where=where, key=f"{key}.{i}") for i, v in enumerate(value)]
    if isinstance(value, str) and value.startswith(redaction.ENV_PREFIX):
        found = redaction.from_environment(value)
        if not found:
            name = value.removeprefix(redaction.ENV_PREFIX)
            raise ConfigError(
                f"{key}: the environment variable {name} is not set",
                where=where,
                hint=f"export {name}=...",
            )
        return found
    return value


def _with_engines(config: Config) -> Config:
    """Models that share an `engine` take backend and options from the one that gives them."""
    models = dict(config.models)
    for name, model in config.models.items():
        if model.engine is not None:
            group = {n: m for n, m in config.models.items() if m.engine == model.engine}
            models[name] = _complete_from_engine(config, name, model, group)
    if config.default_model is not None and config.default_model not in models:
        raise ConfigError(
            f'default_model: no model "{config.default_model}"',
            where=config.source,
            hint=did_you_mean(config.default_model, models),
        )
    for name, model in models.items():
        if not model.backend:
            raise ConfigError(
                f"models.{name}.backend: missing",
                where=config.source,
                hint="name a backend; `autocog backends` lists those installed",
            )
    return config.model_copy(update={"models": models})


def _complete_from_engine(
    config: Config, name: str, model: ModelConfig, group: Mapping[str, ModelConfig]
) -> ModelConfig:
    update: dict[str, Any] = {}
    for key in ("backend", "options"):
        given = {n: getattr(m, key) for n, m in group.items() if getattr(m, key)}
        first = next(iter(given.values()), None)
        if any(value != first for value in given.values()):
            raise ConfigError(
                f'models {", ".join(given)} share engine "{model.engine}" but differ in `{key}`',
                where=config.source,
                hint=f"give `{key}` once, or use two engines",
            )
        if first:
            update[key] = first
    return model.model_copy(update=update)
