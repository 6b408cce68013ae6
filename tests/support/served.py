"""Servers for tests: the app in this process, on a port in a thread, and as `autocog serve`."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from autocog_core import Model
from autocog_core.config.server_config import ServerConfig
from autocog_core.server.app import create_app
from autocog_core.server.listening import listen, make_server, url_of
from autocog_core.server.served_models import ServedModels
from tests.support.processes import child_environment
from tests.support.small_backends import random_model, table_model

Loaders = Mapping[str, Callable[[], Model]]

START_SECONDS = 60
END_SECONDS = 20
#: Known probabilities, as in tests/cli.
ROWS = {
    "It is": {" ": 0.8, "!": 0.1, "<|eos|>": 0.06, "s": 0.02},
    "It is ": {"a": 0.6, "b": 0.3},
    "It is a": {"1": 0.5, "<|eos|>": 0.25},
}


def small_models() -> Loaders:
    """Return what loads a random model, the default one, and a table of known probabilities."""
    return {"random": lambda: random_model(seed=3), "known": lambda: table_model(ROWS)}


def small_app(
    loaders: Loaders | None = None,
    config: ServerConfig | None = None,
    keys: Sequence[str] = (),
) -> FastAPI:
    """Return the app of a server.

    :param loaders: its models, the default one first; those of `small_models` by default.
    """
    loaders = small_models() if loaders is None else loaders
    together = (config or ServerConfig()).limits.together
    return create_app(ServedModels(loaders, next(iter(loaders)), together), config, keys)


@contextmanager
def app_in_process(
    loaders: Loaders | None = None,
    config: ServerConfig | None = None,
    keys: Sequence[str] = (),
) -> Iterator[TestClient]:
    """Yield a client of a server without a socket; errors of the server are answers with 500."""
    app = small_app(loaders, config, keys)
    with TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False) as client:
        yield client


@contextmanager
def stoppable_server(
    loaders: Loaders | None = None,
    config: ServerConfig | None = None,
    keys: Sequence[str] = (),
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve on a free port in a thread, and yield the URL and what does as a signal would."""
    config = (config or ServerConfig()).model_copy(update={"port": 0})
    server = make_server(small_app(loaders, config, keys), config)

    def stop() -> None:
        server.should_exit = True

    with listen(config) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield url_of(listener), stop
        finally:
            stop()
            thread.join(END_SECONDS)
            assert not thread.is_alive(), "the server did not end"


@contextmanager
def server_in_thread(
    loaders: Loaders | None = None,
    config: ServerConfig | None = None,
    keys: Sequence[str] = (),
) -> Iterator[str]:
    """Serve on a free port in a thread of this process, and yield the URL."""
    with stoppable_server(loaders, config, keys) as (url, _):
        yield url


@dataclass
class ServerProcess:
    """`autocog serve` in a child process.

    :ivar process: the process.
    :ivar url: its URL.
    :ivar stderr_lines: what it wrote to stderr so far.
    """

    process: subprocess.Popen[str]
    url: str = ""
    stderr_lines: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    def client(self, **options: object) -> httpx2.Client:
        """Return a client; the caller closes it."""
        return httpx2.Client(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)

    @property
    def resident_bytes(self) -> int:
        """The memory that it takes now."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serve_process(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Run `autocog serve` on a free port until the end of the block.

    :param arguments: after `autocog serve`, such as "--backend", "random".
    :param folder: its current folder, maybe with an autocog.toml.
    :param environment: variables beside those of this process.
    """
    command = [sys.executable, "-m", "autocog_core.cli", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=child_environment(**(environment or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = ServerProcess(process)
    urls: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read_stderr, args=(server, urls), daemon=True)
    reader.start()
    try:
        server.url = urls.get(timeout=START_SECONDS)
        assert server.url, "".join(server.stderr_lines)
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join(END_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def _read_stderr(server: ServerProcess, urls: queue.Queue[str]) -> None:
    assert server.process.stderr is not None
    with server.process.stderr as stream:
        for line in stream:
            server.stderr_lines.append(line)
            if line.startswith("serving "):
                urls.put(line.partition(" at ")[2].split()[0])
    # The process ended; nobody waits if it had a URL.
    urls.put("")
