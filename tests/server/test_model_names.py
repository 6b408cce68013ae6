"""Names of models in paths: any text that a config file can hold."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.served import app_in_process
from tests.support.small_backends import random_model

NAMES = ("org/name", "é x", "a/fingerprint/b")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("safe", ["", "/"])
def test_a_model_is_found_by_any_name(name: str, safe: str) -> None:
    with app_in_process(dict.fromkeys(NAMES, random_model)) as client:
        path = f"/v1/models/{quote(name, safe=safe)}"

        assert client.get(path).json()["id"] == name
        assert client.get(f"{path}/fingerprint").json().keys() == {"fingerprint"}


def test_every_listed_model_can_be_read_alone() -> None:
    with app_in_process() as client:
        listed = client.get("/v1/models").json()
        names = [entry["id"] for entry in listed["data"]]
        for entry in listed["models"]:
            assert client.get(f"/v1/models/{entry['name']}").json()["id"] in names
        assert client.get("/v1/models/nothing").status_code == 404
        assert client.get("/v1/models/").status_code == 404


def test_a_model_may_have_the_name_that_means_the_default() -> None:
    with app_in_process({"random": random_model, "jev-latest": random_model}) as client:
        names = [entry["name"] for entry in client.get("/v1/models").json()["models"]]
        assert names == ["random", "jev-latest"]


def test_no_path_leads_to_another_address() -> None:
    """Behind a proxy with TLS, the address would be without it, and the key would follow."""
    with app_in_process() as client:
        for path in ("/docs/", "/v1/choose/", "/health/"):
            answer = client.get(path, headers={"Host": "127.0.0.1"}, follow_redirects=False)
            assert answer.status_code == 404
