"""The config file `autocog.toml`: find it, read it and check it. Unknown keys are errors.

autocog uses the first of these files: the argument, `$AUTOCOG_CONFIG`, `autocog.toml` in the
current folder and its parents, `autocog.toml` in the user's config folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from autocog_core import redaction
from autocog_core.advice.codes import WarningCode
from autocog_core.config.options import validate
from autocog_core.config.paths import find_mistake, resolve_path, shown_path, user_folder
from autocog_core.config.server_config import ServerConfig
from autocog_core.config.toml_file import read_toml
from autocog_core.errors import ConfigError, did_you_mean
from autocog_core.hooks.retry import RetryPolicy

CONFIG_FILE_NAME = "autocog.toml"
CONFIG_VARIABLE = "AUTOCOG_CONFIG"
#: The argument, the variable, the current folder, one above it, or the user's config folder.
LocationKind = Literal["argument", "variable", "here", "above", "user"]

#: The locations that are named by a user, as `where` of error messages.
_NAMED_LOCATIONS: dict[LocationKind, str] = {
    "argument": "--config",
    "variable": f"${CONFIG_VARIABLE}",
}


class WrapperConfig(BaseModel):
    """An entry of `wrappers`: a name, or a table with name and options.

    :ivar name: the wrapper plugin's name.
    :ivar options: its options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class RetryConfig(BaseModel):
    """The table `retry`.

    :ivar retries: retries after a failed call, if its error is retryable.
    :ivar delta: the pause before the first retry, in seconds.
    :ivar growth: the factor from one pause to the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    retries: int = Field(default=0, ge=0)
    delta: float = Field(default=1.0, ge=0)
    growth: float = Field(default=2.0, ge=1)

    def policy(self) -> RetryPolicy:
        """Return the policy with these settings."""
        return RetryPolicy(retries=self.retries, delta=self.delta, growth=self.growth)


class ModelConfig(BaseModel):
    """A table `[models.NAME]`.

    :ivar backend: the backend's name.
    :ivar engine: any name; models with the same name share one loaded engine.
    :ivar options: the backend's options.
    :ivar completion: default arguments of `complete`.
    :ivar template_arguments: variables of the model's chat template.
    :ivar wrappers: the wrappers, outermost first.
    :ivar retry: when failed calls are repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = ""
    engine: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    completion: dict[str, Any] = Field(default_factory=dict)
    template_arguments: dict[str, Any] = Field(default_factory=dict)
    wrappers: tuple[WrapperConfig, ...] = ()
    retry: RetryConfig = RetryConfig()


class WarningsConfig(BaseModel):
    """The table `warnings`.

    :ivar silence: the codes of warnings that are not shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    silence: tuple[WarningCode, ...] = ()


class Config(BaseModel):
    """A whole config file.

    :ivar default_model: the model to use if none is named.
    :ivar models: the models by name.
    :ivar warnings: which warnings are not shown.
    :ivar server: settings of `autocog serve`.
    :ivar path: the file; None if there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_model: str | None = None
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    warnings: WarningsConfig = WarningsConfig()
    server: ServerConfig = ServerConfig()
    path: Path | None = Field(default=None, exclude=True)

    @property
    def folder(self) -> Path:
        """The folder to which paths in the file are relative."""
        return self.path.parent if self.path is not None else Path()

    @property
    def source(self) -> str:
        """The file as `where` of error messages."""
        return str(self.path) if self.path is not None else "no config file"

    def model(self, name: str | None = None) -> tuple[str, ModelConfig]:
        """Return a model's name and its table.

        :param name: the name; None for the default model.
        :raises ConfigError: if there is no such model, or no default model.
        """
        if not self.models:
            raise ConfigError(
                "no model is configured",
                where=self.source,
                hint=f"`autocog init` writes an {CONFIG_FILE_NAME} with one; or name a backend",
            )
        if name is None:
            name = self.default_model or (
                next(iter(self.models)) if len(self.models) == 1 else None
            )
        if name is None:
            raise ConfigError(
                "there are several models and no `default_model`",
                where=self.source,
                hint="name one of: " + ", ".join(sorted(self.models)),
            )
        if name not in self.models:
            raise ConfigError(
                f'no model "{name}"', where=self.source, hint=did_you_mean(name, self.models)
            )
        return name, self.models[name]


def find_config(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the config file to use, or None if there is none.

    :param path: the file; None looks for it.
    :raises ConfigError: if the file named by the argument or the variable does not exist.
    """
    for kind, file in config_locations(path):
        # Not Path.is_file(), which raises an error for what this user cannot look at.
        if os.path.isfile(file):
            return file.resolve()
        if kind in _NAMED_LOCATIONS:
            problem = "is not a file" if os.path.exists(file) else "no such file"
            text = os.fspath(path or os.environ[CONFIG_VARIABLE])
            raise ConfigError(
                f"{problem}: {shown_path(file)}",
                where=_NAMED_LOCATIONS[kind],
                hint=find_mistake(text),
            )
    return None


def config_locations(
    path: str | os.PathLike[str] | None = None,
) -> Iterator[tuple[LocationKind, Path]]:
    """Yield the files that may be the config file, in the order in which autocog looks for it.

    :param path: the file named by an argument, if any.
    """
    if path:
        yield "argument", _expand_home(path)
    if variable := os.environ.get(CONFIG_VARIABLE):
        yield "variable", _expand_home(variable)
    try:
        here = Path.cwd()
    except OSError:
        # The folder was removed.
        pass
    else:
        yield "here", here / CONFIG_FILE_NAME
        for parent in here.parents:
            yield "above", parent / CONFIG_FILE_NAME
    if (folder := user_folder(user_config_path)) is not None:
        yield "user", folder / CONFIG_FILE_NAME


def _expand_home(path: str | os.PathLike[str]) -> Path:
    try:
        return resolve_path(path)
    except ValueError:
        # There is no such file either.
        return Path(path)


def read_config(path: str | os.PathLike[str] | None = None) -> Config:
    """Find, read and check the config file. Without a file, the config is empty.

    :param path: the file; None looks for it.
    :raises ConfigError: with all errors of the file, each with its key.
    """
    file = find_config(path)
    if file is None:
        return Config()
    data = read_toml(file)
    if "path" in data:
        raise ConfigError("path: unknown key", where=str(file))
    config = validate(Config, {**data, "path": file}, where=str(file))
    return _resolve_engines(config)


def resolve_secrets(value: Any, *, where: str, key: str) -> Any:
    """Return a copy of `value` with the variable's value in place of each string `env:NAME`.

    :param value: options from a config file.
    :param where: the file, for messages.
    :param key: the key of `value` in the file, for messages.
    :raises ConfigError: if the variable is not set.
    """
    if isinstance(value, Mapping):
        return {k: resolve_secrets(v, where=where, key=f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [resolve_secrets(v, where=where, key=f"{key}.{i}") for i, v in enumerate(value)]
    if isinstance(value, str) and value.startswith(redaction.ENV_PREFIX):
        secret = redaction.from_environment(value)
        if not secret:
            name = value.removeprefix(redaction.ENV_PREFIX)
            raise ConfigError(
                f"{key}: the environment variable {name} is not set",
                where=where,
                hint=f"export {name}=...",
            )
        return secret
    return value


def _resolve_engines(config: Config) -> Config:
    """Complete models that share an engine: they have the same backend and options."""
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
                hint="name a backend; `autocog backends` lists the installed ones",
            )
    return config.model_copy(update={"models": models})


def _complete_from_engine(
    config: Config, name: str, model: ModelConfig, group: Mapping[str, ModelConfig]
) -> ModelConfig:
    update: dict[str, Any] = {}
    for key in ("backend", "options"):
        values = {n: getattr(m, key) for n, m in group.items() if getattr(m, key)}
        first = next(iter(values.values()), None)
        if any(value != first for value in values.values()):
            raise ConfigError(
                f'models {", ".join(values)} share engine "{model.engine}" but differ in `{key}`',
                where=config.source,
                hint=f"write `{key}` in one of them, or use two engines",
            )
        if first:
            update[key] = first
    return model.model_copy(update=update)
