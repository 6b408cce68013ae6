"""The end of `autocog serve`: what is under way is answered, and nothing else happens."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from autocog_core.config.server_config import ServerConfig, ServerLimits
from autocog_core.errors import ClosedError
from tests.support.gated_model import Gate
from tests.support.processes import child_environment
from tests.support.raw_http import connection, head, post, read_answer, seconds_until_end
from tests.support.served import END_SECONDS, serve_process, server_in_thread, stoppable_server
from tests.support.small_backends import install

BODY = {"prompt": "It is", "choices": [" a", " b"]}
#: A backend whose calls take longer than any test.
SLOW = """
import time
from autocog_core import hookimpl
from autocog_core.backends.random import RandomLM

class SlowLM(RandomLM):
    @hookimpl
    def greedy_impl(self, tokens):
        time.sleep(300)
"""


# In the normal run, the test of the access log ends a process by SIGTERM.
@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_without_an_error(tmp_path: Path, number: signal.Signals) -> None:
    with (
        serve_process("--backend", "random", folder=tmp_path) as server,
        connection(server.url) as idle,
    ):
        idle.sendall(head("GET", "/health"))
        assert read_answer(idle)[0] == 200

        assert server.stop(number) == 0

        assert seconds_until_end(idle) < 5
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
    assert [line for line in server.stderr_lines if not line.startswith("serving")] == []


def test_what_is_under_way_is_answered_and_nothing_else_is_begun() -> None:
    gate = Gate()
    with stoppable_server({"gated": gate.model}) as (url, stop), connection(url) as client:
        client.sendall(post("/v1/choose", BODY))
        assert gate.entered.wait(10)

        stop()
        _wait_until_refused(url)
        gate.open()

        assert read_answer(client)[0] == 200
        assert seconds_until_end(client) < 5


def test_what_takes_longer_than_the_time_for_the_end_gets_an_error() -> None:
    gate = Gate()
    config = ServerConfig(limits=ServerLimits(shutdown_seconds=1))
    with stoppable_server({"gated": gate.model}, config) as (url, stop), connection(url) as client:
        client.sendall(post("/v1/choose", BODY))
        assert gate.entered.wait(10)

        stop()

        status, body = read_answer(client)
        assert (status, body["error"]["code"]) == (503, "unavailable")
        gate.open()


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGINT, signal.SIGINT),
        pytest.param((signal.SIGTERM,), marks=pytest.mark.soak),
    ],
)
def test_an_engine_that_does_not_end_does_not_keep_the_process(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    install(tmp_path, "slow", {"autocog": {"slow": "slow_lm:SlowLM"}}, {"slow_lm": SLOW})
    path = os.pathsep.join([str(tmp_path), child_environment()["PYTHONPATH"]])
    (tmp_path / "autocog.toml").write_text("[server.limits]\nshutdown_seconds = 1\n")
    arguments = ["--backend", "slow"]
    with (
        serve_process(*arguments, folder=tmp_path, environment={"PYTHONPATH": path}) as server,
        connection(server.url) as client,
    ):
        client.sendall(post("/v1/choose", BODY))
        time.sleep(0.3)
        for number in signals:
            server.process.send_signal(number)
            time.sleep(0.3)
        code = server.process.wait(END_SECONDS)
    assert code == (130 if len(signals) == 2 else 1)


def test_models_close_at_the_end() -> None:
    gate = Gate()
    model = gate.model()
    gate.open()
    with server_in_thread({"gated": lambda: model}) as url, connection(url) as client:
        client.sendall(post("/v1/choose", BODY))
        assert read_answer(client)[0] == 200

    with pytest.raises(ClosedError):
        model.choose(**BODY)


def _wait_until_refused(url: str) -> None:
    end = time.monotonic() + END_SECONDS
    while time.monotonic() < end:
        try:
            with connection(url):
                time.sleep(0.02)
        except ConnectionError:
            return
    raise AssertionError("the server still takes connections")
