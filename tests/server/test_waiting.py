"""Requests that wait: their number, their time, and clients that leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from autocog_core import Model
from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.gated_model import Gate
from tests.support.raw_http import connection, post, read_answer
from tests.support.served import app_in_process, server_in_thread
from tests.support.small_backends import random_model


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


#: A client of its own for each call would read all certificates of the system.
HTTP = httpx2.Client(timeout=30, verify=False)


def metric(url: str, name: str) -> float:
    lines = HTTP.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def body(prompt: str) -> dict[str, object]:
    return {"prompt": prompt, "choices": [" a", " b"]}


def test_with_too_many_waiting_calls_a_request_is_told_to_come_again(gate: Gate) -> None:
    config = ServerConfig(limits=ServerLimits(waiting=2))
    with server_in_thread({"gated": gate.model}, config) as url:
        answers: list[int] = []
        threads = [
            threading.Thread(
                target=lambda n=number: answers.append(
                    HTTP.post(f"{url}/v1/choose", json=body(f"{n}")).status_code
                )
            )
            for number in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: metric(url, "autocog_waiting_calls") == 2)

        refused = HTTP.post(f"{url}/v1/choose", json=body("more"))
        gate.open()
        for thread in threads:
            thread.join()

        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert answers == [200, 200]
        assert metric(url, "autocog_waiting_calls") == 0


def test_what_takes_too_long_is_answered_in_time(gate: Gate) -> None:
    config = ServerConfig(limits=ServerLimits(request_seconds=0.3))
    with server_in_thread({"gated": gate.model}, config) as url:
        begin = time.monotonic()
        answer = HTTP.post(f"{url}/v1/choose", json=body("slow"))

        assert answer.status_code == 504
        assert time.monotonic() - begin < 3
        gate.open()
        assert metric(url, "autocog_waiting_calls") == 0


def test_calls_of_clients_that_left_are_not_made(gate: Gate) -> None:
    with server_in_thread({"gated": gate.model}) as url:
        with connection(url) as first:
            first.sendall(post("/v1/choose", body("first")))
            wait_until(gate.entered.is_set)
            others = [connection(url) for _ in range(20)]
            for number, other in enumerate(others):
                other.__enter__().sendall(post("/v1/choose", body(f"{number} is never read")))
            wait_until(lambda: metric(url, "autocog_waiting_calls") == 21)
            for other in others:
                other.__exit__(None, None, None)
            wait_until(lambda: metric(url, "autocog_waiting_calls") == 1)
            made = gate.calls
            gate.open()
            assert read_answer(first)[0] == 200

        assert HTTP.post(f"{url}/v1/choose", json=body("last")).status_code == 200
        # A call of the engine for each of two requests, and none for the others.
        assert gate.calls <= 2 * (made + 1)
        assert metric(url, 'autocog_requests_total{route="/v1/choose",status="499"}') == 20


def test_a_client_with_many_calls_does_not_keep_others_out(gate: Gate) -> None:
    with server_in_thread({"gated": gate.model}) as url:
        finished: list[str] = []

        def ask(name: str, prompts: int) -> None:
            with httpx2.Client(timeout=30, verify=False) as client:
                for number in range(prompts):
                    client.post(f"{url}/v1/choose", json=body(f"{name}{number}"))
            finished.append(name)

        many = threading.Thread(target=ask, args=("many", 20))
        one = threading.Thread(target=ask, args=("one", 1))
        many.start()
        wait_until(gate.entered.is_set)
        one.start()
        wait_until(lambda: metric(url, "autocog_waiting_calls") == 2)
        gate.open()
        many.join()
        one.join()

        assert finished == ["one", "many"]


def test_an_engine_gets_no_more_calls_together_than_the_server_allows() -> None:
    sizes: list[int] = []

    def load() -> Model:
        model = random_model(seed=3)
        choose_many = model.choose_many

        def noted(prompts: Any = None, **arguments: Any) -> Any:
            sizes.append(len(prompts))
            return choose_many(prompts, **arguments)

        model.choose_many = noted  # type: ignore[method-assign]
        return model

    config = ServerConfig(limits=ServerLimits(together=2))
    with app_in_process({"random": load}, config) as client:
        body = {"prompts": ["a", "b", "c", "d", "e"], "choices": [" x", " y"]}
        assert client.post("/v1/choose", json=body).status_code == 200
    assert sizes == [2, 2]
