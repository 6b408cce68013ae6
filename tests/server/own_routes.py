"""What tests of autocog's own routes share."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient


def post(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, which must be one."""
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def error(client: TestClient, path: str, body: dict[str, Any]) -> tuple[int, str, str | None]:
    """Return status, message and parameter of an answer that must be an error."""
    response = client.post(path, json=body)
    problem = response.json()["error"]
    return response.status_code, problem["message"], problem["param"]


def plain(value: Any) -> Any:
    """Return data as a client gets them, without what depends on earlier calls and on time."""
    data = json.loads(json.dumps(value, allow_nan=False))
    return without(data, {"tokens_evaluated", "stats"})


def without(data: Any, names: set[str]) -> Any:
    """Return plain data without some keys, at all levels."""
    if isinstance(data, dict):
        return {key: without(value, names) for key, value in data.items() if key not in names}
    if isinstance(data, list):
        return [without(value, names) for value in data]
    return data
