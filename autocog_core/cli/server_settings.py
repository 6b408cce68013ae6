"""Settings of `autocog serve`: those of the config file, with the options over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import autocog_core as autocog
from autocog_core.cli.inputs import parse_backend_options
from autocog_core.cli.session import session
from autocog_core.cli.small_model import hint_without_model
from autocog_core.config.config_file import Config, resolve_secrets
from autocog_core.config.options import validate
from autocog_core.config.server_config import ServerConfig
from autocog_core.errors import ConfigError, InputError, UsageError
from autocog_core.redaction import ENV_PREFIX

if TYPE_CHECKING:
    from autocog_core.model.model import Model

#: Names of this computer for itself.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ServerSettings:
    """The settings of a server.

    :ivar config: the config file.
    :ivar server: its table `[server]`, with the options over it.
    """

    config: Config
    server: ServerConfig

    @classmethod
    def read(cls, path: Path | None, **options: Any) -> Self:
        """Read the config file, and put options over its table `[server]`.

        :param path: the config file; None to search for it.
        :param options: fields of `ServerConfig`; None leaves the file's value.
        :raises ConfigError: for a wrong file or option.
        """
        config = autocog.read_config(path)
        given = {name: value for name, value in options.items() if value is not None}
        values = {**config.server.model_dump(exclude_unset=True), **given}
        server = validate(ServerConfig, values, where="autocog serve", folder=config.folder)
        return cls(config, server)

    def key_values(self) -> list[str]:
        """Return the keys themselves, from the environment.

        :raises ConfigError: if a variable is not set or empty, or a key is not a reference.
        """
        for number, key in enumerate(self.server.keys):
            if not key.startswith(ENV_PREFIX):
                raise ConfigError(
                    "must be env:NAME, so that no key is in a file or in the list of processes",
                    where=f"server.keys.{number}",
                )
        values: list[str] = resolve_secrets(
            list(self.server.keys), where=self.config.source, key="server.keys"
        )
        for number, value in enumerate(values):
            # A header could not hold them.
            if not value.strip() or not value.isascii() or not value.isprintable():
                raise ConfigError(
                    "the key is blank, or has characters that a header cannot hold",
                    where=f"server.keys.{number} ({self.server.keys[number]})",
                )
        return [value.strip() for value in values]

    def host_names(self) -> list[str]:
        """Return the names by which clients may call the server; none for any.

        A page of another site can give its own name the address of this computer, and then read
        what a server without keys answers.
        """
        is_open = _is_loopback(self.server.host) and not self.server.keys
        if not is_open and not self.server.hosts:
            return []
        return list(dict.fromkeys([*LOCAL_NAMES, self.server.host, *self.server.hosts]))

    def check(self, no_auth: bool) -> None:
        """Refuse settings that contradict each other, or that answer everybody unasked.

        :param no_auth: whether requests without a key are wanted on an address that others reach.
        :raises UsageError: for such settings.
        """
        if not _is_loopback(self.server.host) and not self.server.keys and not no_auth:
            raise UsageError(
                f"other computers may reach {self.server.host}, and there is no key",
                where="--host",
                hint="give --key env:NAME, or --no-auth to answer everybody",
            )
        if self.server.log_prompts and self.server.access_log is None:
            raise UsageError("requires --access-log", where="--log-prompts")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def model_loaders(
    names: Sequence[str], config: Config, backend: str | None, options: Sequence[str] | None
) -> tuple[Mapping[str, Callable[[], Model]], str]:
    """Return what loads each model that is served, and the name of the default model.

    :param names: models of the config file; none for all.
    :param config: the config file.
    :param backend: a backend to serve in place of them.
    :param options: its `KEY=VALUE` options.
    :raises UsageError: for unknown models, or options that contradict each other.
    """
    if backend is not None:
        if names:
            raise InputError("cannot be combined with models", where="--backend")
        parsed = parse_backend_options(options or ())
        return {backend: partial(autocog.load, backend=backend, options=parsed)}, backend
    if options:
        raise InputError("requires --backend", where="--option")
    if not config.models:
        raise ConfigError(
            "no model is configured",
            where=config.source,
            hint=hint_without_model(session.arguments),
        )
    for name in names:
        config.model(name)
    served = list(dict.fromkeys(names or config.models))
    default = served[0]
    if not names and config.default_model is not None:
        default = config.default_model
    return {name: partial(autocog.load, name, config=config) for name in served}, default
