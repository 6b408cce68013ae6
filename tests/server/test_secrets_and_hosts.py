"""What a server does not say, and whom it does not answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core import Model
from autocog_core.config.server_config import ServerConfig
from autocog_core.errors import ModelLoadError
from autocog_core.redaction import register_secret
from autocog_core.server.app import create_app
from autocog_core.server.served_models import ServedModels
from tests.support.served import app_in_process, small_models
from tests.support.small_backends import Plain, random_model

BODY = {"prompt": "It is", "choices": [" a", " b"]}
PATH = "/home/somebody/secret/model.gguf"
KEY = "sk-a-key-that-nobody-guesses"


def _raise(tokens: Sequence[int]) -> Any:
    raise OSError(f"cannot read {PATH} with {KEY}")


def _cannot_load() -> Model:
    raise ModelLoadError(f"cannot read with {KEY}", where=PATH)


def _has_a_bug() -> Model:
    raise KeyError(PATH)


@pytest.mark.parametrize(
    ("loader", "status"),
    [(lambda: Model(Plain(_raise)), 500), (_cannot_load, 503), (_has_a_bug, 503)],
)
def test_errors_of_engines_name_no_file_and_no_key(
    loader: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    register_secret(KEY)
    with app_in_process({"broken": loader}) as client:
        answer = client.post("/v1/choose", json=BODY)

    assert answer.status_code == status
    assert "log" in answer.json()["error"]["message"]
    for hidden in ("secret", "gguf", "sk-a", "Traceback", ".py"):
        assert hidden not in answer.text
    # The operator finds both by the id of the request.
    assert answer.headers["x-request-id"]
    assert PATH in caplog.text


def test_a_bug_of_the_server_is_an_answer_and_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServedModels, "resolve", lambda *_: 1 / 0)
    caplog.set_level(logging.INFO)
    with app_in_process() as client:
        answer = client.post("/v1/choose", json={**BODY, "prompt": "a secret plan"})

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "server_error"
    assert answer.headers["x-request-id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "secret plan" not in caplog.text


def test_a_model_that_could_not_be_loaded_is_tried_again() -> None:
    attempts = []

    def load() -> Model:
        attempts.append(1)
        if len(attempts) == 1:
            raise ModelLoadError("not yet")
        return random_model(seed=3)

    with app_in_process({"late": load}) as client:
        assert client.get("/ready").status_code == 503
        assert client.post("/v1/choose", json=BODY).status_code == 503
        assert client.post("/v1/choose", json=BODY).status_code == 200
        assert client.get("/ready").status_code == 200
    assert len(attempts) == 2


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("LOCALHOST.:1", 200),
        ("[::1]:8765", 200),
        ("api.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:8765", 421),
        ("", 421),
    ],
)
def test_a_page_that_gives_its_name_this_address_gets_nothing(host: str, status: int) -> None:
    models = ServedModels(small_models(), "random")
    hosts = ["localhost", "127.0.0.1", "::1", "api.example"]
    with TestClient(create_app(models, hosts=hosts)) as client:
        answer = client.get("/health", headers={"Host": host})

    assert answer.status_code == status


def test_pages_of_other_sites_may_not_call_the_server() -> None:
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    asks["Access-Control-Request-Headers"] = "content-type"
    for origins, allowed in (((), None), (("https://app.example",), "https://app.example")):
        with app_in_process(config=ServerConfig(origins=origins), keys=["k"]) as client:
            answer = client.options("/v1/choose", headers=asks)
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert answer.is_success == bool(origins)
            other = client.options("/v1/choose", headers={**asks, "Origin": "https://b.example"})
            assert "access-control-allow-origin" not in other.headers


@pytest.fixture(scope="module")
def with_keys() -> Iterator[TestClient]:
    """A client of a server with two keys."""
    with app_in_process(keys=["right", "other"]) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([("Authorization", "Bearer right")], 200),
        ([("Authorization", "bearer  right ")], 200),
        ([("Authorization", "Bearer other")], 200),
        ([("Authorization", "Bearer wrong")], 401),
        ([("Authorization", "Bearer right-")], 401),
        ([("Authorization", "Bearer ")], 401),
        ([("Authorization", "Bearer")], 401),
        ([("Authorization", "Basic right")], 401),
        ([("Authorization", "right")], 401),
        ([("Authorization", "Bearer right"), ("Authorization", "Bearer wrong")], 401),
        ([("Authorization", "Bearer \xff")], 401),
        ([("X-Api-Key", "wrong")], 401),
    ],
)
def test_only_a_valid_key_is_answered(
    with_keys: TestClient, headers: list[tuple[str, str]], status: int
) -> None:
    encoded = [(name, value.encode("latin-1")) for name, value in headers]
    for path in ("/v1/models", "/metrics", "/nothing"):
        answer = with_keys.get(path, headers=encoded)
        assert answer.status_code == (404 if (path, status) == ("/nothing", 200) else status)


def test_what_shows_no_model_needs_no_key(with_keys: TestClient) -> None:
    assert with_keys.get("/health").status_code == 200
    # A browser asks in this way before a call (CORS).
    assert with_keys.options("/v1/models").status_code == 405


def test_hosts_and_origins_are_compared_as_browsers_send_them() -> None:
    config = ServerConfig(hosts=("[::1]", "api.example."), origins=("HTTPS://App.example/",))
    assert (config.hosts, config.origins) == (("::1", "api.example"), ("https://app.example",))
