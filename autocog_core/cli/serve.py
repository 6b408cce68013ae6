"""`autocog serve`: models behind HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.issue import silence
from autocog_core.cli.loading import log_on_stderr
from autocog_core.cli.options import BackendName, BackendOption, ConfigFile
from autocog_core.cli.server_logs import server_logs
from autocog_core.cli.server_settings import ServerSettings, model_loaders
from autocog_core.cli.session import session
from autocog_core.errors import PluginDependencyError


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Models of the config file; the first is the default (default: all, and the "
            "file's default model).",
        ),
    ] = None,
    *,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on (default: 127.0.0.1)."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port (default: 8765); 0 takes a free one."),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="env:NAME",
            help="Answer only requests with this key, from an environment variable. Repeatable.",
        ),
    ] = None,
    no_auth: Annotated[
        bool,
        typer.Option(
            "--no-auth", help="Answer requests without a key on an address that others reach."
        ),
    ] = False,
    origins: Annotated[
        list[str] | None,
        typer.Option(
            "--origin", metavar="URL", help="Web pages of this origin may call the server (CORS)."
        ),
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="Another name by which clients call the server, as behind a proxy. Repeatable.",
        ),
    ] = None,
    programs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder with programs that clients may run by their names."
        ),
    ] = None,
    load_first: Annotated[
        bool,
        typer.Option(
            "--load-at-start/--load-at-first-use",
            help="Load all models before the first request, or each at its first use.",
        ),
    ] = True,
    access_log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a line of JSON for each request to this file, or with - to stdout.",
        ),
    ] = None,
    log_prompts: Annotated[
        bool,
        typer.Option("--log-prompts", help="Write the bodies of requests to the access log, too."),
    ] = False,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
) -> None:
    """Serve models over HTTP: OpenAI's protocol, System One, and exact choices.

    Example: autocog serve smol --port 8765
    """
    settings = ServerSettings.read(
        config,
        host=host,
        port=port,
        keys=keys,
        origins=origins,
        hosts=hosts,
        programs=None if programs is None else programs.absolute(),
        access_log=access_log,
        log_prompts=log_prompts or None,
    )
    settings.check(no_auth)
    loaders, default = model_loaders(models or [], settings.config, backend, option)
    create_app, serve_app, served_models = _server_modules()
    served = served_models(loaders, default, settings.server.limits.together)
    app = create_app(served, settings.server, settings.key_values(), settings.host_names())
    # They quote prompts, and are for those who wrote the requests.
    silence(*WarningCode)
    with log_on_stderr(), server_logs(settings.server.access_log):
        if load_first:
            for name in served.names:
                with session.spinner(f"loading {name} ..."):
                    served.load(name)
        serve_app(app, settings.server, partial(_announce, served.names), _announce_end)


def _announce(names: Sequence[str], url: str) -> None:
    session.info(f"serving {', '.join(names)} at {url} (API: {url}/docs); Ctrl+C ends it")


def _announce_end(count: int) -> None:
    if count:
        requests = "1 request" if count == 1 else f"{count} requests"
        session.info(f"{requests} still to answer; Ctrl+C ends the server at once")


def _server_modules() -> tuple[Any, Any, Any]:
    """Import what needs the packages of the extra `serve`."""
    try:
        from autocog_core.server.app import create_app
        from autocog_core.server.listening import serve_app
        from autocog_core.server.served_models import ServedModels
    except ModuleNotFoundError as error:
        raise PluginDependencyError(
            f"the package {error.name} is not installed",
            where="autocog serve",
            hint='pip install "autocog-core[serve]"',
        ) from None
    return create_app, serve_app, ServedModels
