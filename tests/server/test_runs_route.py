"""`/v1/runs`: answers are those of `Automaton.run`, and limits hold whatever a client asks for."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core import Automaton
from autocog_core.config.server_config import ServerConfig, ServerLimits
from autocog_core.dataset.output_row import make_output_row
from autocog_core.hooks.automaton_run import Budget
from tests.server.own_routes import error, plain, post, without
from tests.support.served import app_in_process, small_models

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
PROGRAM: dict[str, Any] = {
    "inputs": {"text": "text"},
    "actions": [
        {"text": "Review: {{ text }}\nIt is"},
        {"choices": [" good", " bad", " so so"], "name": "verdict", "width": 2},
        {"text": ". Why? "},
        {"length": 4, "name": "reason"},
    ],
}
ROWS = [{"text": "I like it."}, {"text": "It broke."}]
#: A program that has as many paths and nodes as it may.
ENDLESS: dict[str, Any] = {
    "actions": [
        {"uid": "again", "text": "x", "max_visits": 1_000_000},
        {"choices": ["a", "b"], "width": None, "next": "again"},
    ]
}


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        ({}, None),
        ({"probs": "all", "strategy": "text"}, None),
        ({"order": "best_first", "top": 1}, None),
        ({}, {"paths": 2, "seconds": 50}),
    ],
)
def test_answers_are_those_of_a_run(
    client: TestClient, options: dict[str, Any], budget: dict[str, Any] | None
) -> None:
    body = {"program": PROGRAM, "inputs": ROWS, "tree": True, "budget": budget, **options}
    results = post(client, "/v1/runs", body)["results"]
    automaton, model = Automaton.from_dict(PROGRAM), small_models()["random"]()
    for index, row in enumerate(ROWS):
        limits = None if budget is None else Budget(**budget)
        tree = automaton.run(model, row, budget=limits, **options)
        expected = {**make_output_row(index, tree), "tree": tree.to_dict()}
        assert plain(results[index]) == plain(without(expected, {"row"}))


def test_one_row_needs_no_list(client: TestClient) -> None:
    one = post(client, "/v1/runs", {"program": PROGRAM, "inputs": ROWS[0]})
    many = post(client, "/v1/runs", {"program": PROGRAM, "inputs": ROWS[:1]})
    assert plain(one) == plain(many)
    assert "tree" not in one["results"][0]


def test_actions_run_on_other_served_models(client: TestClient) -> None:
    actions = [
        {"text": "It is ", "model": "known"},
        {"choices": ["a", "b"], "name": "letter", "model": "known"},
    ]
    (result,) = post(client, "/v1/runs", {"program": {"actions": actions}})["results"]
    assert result["probs"]["letter"] == pytest.approx(2 / 3)


def test_a_run_without_a_complete_path_says_so_in_its_row(client: TestClient) -> None:
    program = {"actions": [{"text": "x"}, {"length": 3, "regex": "a{9}", "name": "text"}]}
    (result,) = post(client, "/v1/runs", {"program": program, "tree": True})["results"]
    assert "ended before it met its constraint" in result["error"]["message"]
    assert result["tree"]["nodes"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"program": {"actions": []}}, 400, "program"),
        ({"program": {"actions": [{"text": "{{ a }}"}]}}, 400, 'unknown input "a"'),
        ({"program": PROGRAM, "inputs": [ROWS[0], {}]}, 400, 'row 1, inputs: "text" is missing'),
        ({"program": "missing"}, 404, "no program 'missing'; this server has none"),
        ({"program": PROGRAM, "inputs": []}, 422, "inputs"),
        ({"program": PROGRAM, "budget": {"path": 1}}, 422, 'did you mean "paths"?'),
        ({"program": {"actions": [{"length": 5000}]}}, 400, "length is 5,000; this server takes"),
        (
            {"program": {"actions": [{"text": "x", "model": "other"}]}},
            404,
            'no model "other"',
        ),
    ],
)
def test_errors_say_what_is_wrong(
    client: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    found = error(client, "/v1/runs", body)
    assert found[0] == status
    assert message in found[1]


@pytest.mark.parametrize(
    ("limits", "stopped_by"),
    [
        (ServerLimits(paths=20), "paths"),
        (ServerLimits(nodes=6), "nodes"),
        (ServerLimits(request_seconds=0.5), None),
    ],
)
def test_no_client_exceeds_the_limits_of_the_server(
    limits: ServerLimits, stopped_by: str | None
) -> None:
    budget = {"paths": 10**9, "nodes": 10**9, "seconds": 1e9}
    with app_in_process(config=ServerConfig(limits=limits)) as client:
        post(client, "/v1/choose", {"prompt": "x", "choices": [" a", " b"]})
        begin = time.perf_counter()
        response = client.post("/v1/runs", json={"program": ENDLESS, "budget": budget})
        # The engine is free again soon after.
        post(client, "/v1/choose", {"prompt": "x", "choices": [" a", " b"]})
    assert time.perf_counter() - begin < 20
    if stopped_by is None:
        assert response.status_code in (200, 504)
    else:
        assert response.json()["results"][0]["stopped_by"] == stopped_by


def test_slow_templates_end_with_the_time_of_the_run() -> None:
    slow = "{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}"
    program = {
        "inputs": {"r": "list"},
        "actions": [{"text": slow + "."} for _ in range(200)],
    }
    limits = ServerLimits(request_seconds=0.5)
    with app_in_process(config=ServerConfig(limits=limits)) as client:
        begin = time.perf_counter()
        body = {"program": program, "inputs": {"r": list(range(900))}}
        response = client.post("/v1/runs", json=body)
        post(client, "/v1/choose", {"prompt": "x", "choices": [" a", " b"]})
    assert response.status_code in (400, 504)
    assert time.perf_counter() - begin < 5
