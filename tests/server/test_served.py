"""The three ways in which tests reach a server give the same answers."""

from __future__ import annotations

import httpx2
from starlette.testclient import TestClient

from tests.support.served import ServerProcess, server_in_thread

BODY = {"prompt": "It is", "choices": [" a", " b", " the end"]}


def test_a_process_a_thread_and_an_app_here_give_the_same_answer(
    client: TestClient, server: ServerProcess
) -> None:
    with server_in_thread() as url, server.client() as remote:
        answers = [
            client.post("/v1/choose", json=BODY),
            httpx2.post(f"{url}/v1/choose", json=BODY, verify=False),
            remote.post("/v1/choose", json=BODY),
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 200], answers[0].text
    first, *others = (answer.json() for answer in answers)
    assert others == [first, first]


def test_an_app_here_knows_several_models(client: TestClient) -> None:
    body = {**BODY, "prompt": "It is ", "choices": ["a", "b"]}

    known, random = (
        client.post("/v1/choose", json={**body, "model": name}) for name in ("known", "random")
    )

    assert known.status_code == random.status_code == 200
    assert known.json() != random.json()
