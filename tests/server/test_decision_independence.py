"""No other question, name or order changes an answer."""

from __future__ import annotations

from random import Random

import pytest
from starlette.testclient import TestClient

from autocog_core import load
from tests.support.engines import SMOL
from tests.support.questions import change_company, largest_difference, random_body
from tests.support.served import app_in_process
from tests.support.soak import count

#: Of a log-probability in float32, for a few tokens.
FLOAT32_TOLERANCE = 1e-3


def largest_change(client: TestClient, seed: int) -> float:
    """Return how much the answers of a random request change in other company."""
    random = Random(seed)
    body = random_body(random)
    changed, names = change_company(body, random)
    answers, others = (
        client.post("/v1/systemone", json=request).json()["answers"] for request in (body, changed)
    )
    return max(largest_difference(answers[name], others[names[name]]) for name in answers)


def test_on_an_exact_backend_the_answers_are_equal_to_the_last_bit(client: TestClient) -> None:
    requests = count(40, 200)
    assert [largest_change(client, seed) for seed in range(requests)] == [0.0] * requests


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_on_smollm2_in_float32_the_answers_are_equal_within_the_tolerance() -> None:
    options = {"model_path": SMOL, "device": "cpu", "dtype": "float32"}
    with app_in_process({"smol": lambda: load(backend="tf", options=options)}) as client:
        changes = [largest_change(client, seed) for seed in range(count(3, 200))]

    assert max(changes) <= FLOAT32_TOLERANCE


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_on_quantized_smollm2_isolated_answers_are_equal_to_the_last_bit() -> None:
    # Isolation is the default of quantized weights.
    options = {"model_path": SMOL, "n_ctx": 2048}
    with app_in_process({"smol": lambda: load(backend="llamacpp", options=options)}) as client:
        changes = [largest_change(client, seed) for seed in range(count(2, 200))]

    assert changes == [0.0] * len(changes)
