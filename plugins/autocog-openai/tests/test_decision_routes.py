"""The probe of routes for decisions: what each status says, when it asks, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jevcompat.mock import MockConfig

from autocog_core import CapabilityError
from autocog_core.errors import AutocogError, ConfigError
from autocog_openai import OpenAI
from autocog_openai.connection.errors import AccessDeniedError, MalformedAnswerError, RateLimitError
from autocog_openai.connection.server_capabilities import NOT_PROBED
from autocog_openai.decisions.protocol import DecisionQuestion
from autocog_openai.decisions.routes import PROTOCOLS, ask, probe_decision_routes
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.jevcompat_mock import Running
from tests.support.openai.servers.openai_api import DECIDER, OpenAIServer
from tests.support.openai.servers.system_one import PATH, SystemOneServer, with_route
from tests.support.openai.servers.vllm import VLLM
from tests.support.served import app_in_process, server_in_thread

TEAMS = [" Billing", " Technical"]


def routes_of(model: OpenAI) -> Any:
    return model.as_model().info.details["decision_routes"]


def error_of(kind: str, message: str) -> dict[str, Any]:
    return {"detail": {"error_type": kind, "message": message}}


NOT_VALID = {"detail": [{"loc": ["body", "questions"], "msg": "Field required", "type": "missing"}]}
#: The status, the body, and what the probe says.
ANSWERS = {
    "no route": (404, None, "no route (404"),
    "no route, in words": (404, error_of("not_found", f"No route {PATH}"), "no route (404"),
    "no model": (404, error_of("not_found", "Model not served: x"), "not for this model (404"),
    "something else": (404, error_of("not_found", "Nothing here"), "unknown (404: Nothing here"),
    "no file": (404, {"error": {"message": "File Not Found", "code": 404}}, "no route (404: File"),
    "another method": (405, None, "no route (405"),
    "not for this model": (501, error_of("x", "needs a decoder"), "not for this model (501: needs"),
    "wrong model": (
        400,
        error_of("api_usage_error", "Unknown model: x"),
        "not for this model (400",
    ),
    "wrong request": (400, error_of("api_usage_error", "No."), "unknown (400: No."),
    "not valid": (422, NOT_VALID, "yes (422: questions: Field required"),
    "failed": (500, error_of("internal_error", "KeyError"), "unknown (500: KeyError"),
    "another protocol": (200, {"answers": []}, "unknown (the server's answer does not follow"),
    "right": (200, None, "yes"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_an_answer_says_of_the_route(connect: Connect, name: str) -> None:
    status, body, expected = ANSWERS[name]
    server = SystemOneServer(status, body)
    connection = connect(server, max_retries=0)._engine.connection
    found = probe_decision_routes(connection, ("v1/systemone",))["v1/systemone"]
    assert found.startswith(expected)
    assert (found == "yes") == (expected == "yes")


@pytest.mark.parametrize("name", ["not for this model", "another protocol", "right"])
def test_the_first_decision_asks_and_stores_what_is_clear(connect: Connect, name: str) -> None:
    status, body, expected = ANSWERS[name]
    server = with_route(Generic(logprobs=False), status, body)
    model = connect(server, max_retries=0)
    assert routes_of(model) == NOT_PROBED
    assert PATH not in server.log.paths
    if expected == "yes":
        assert model.choose("It is", TEAMS, method="decision").method == "decision"
    else:
        with pytest.raises(AutocogError) as caught:
            model.choose("It is", TEAMS, method="decision")
    if expected.startswith("not"):
        # Nothing is asked that cannot be answered, and the error has the server's words.
        assert f"/v1/systemone: {expected}" in str(caught.value)
        assert "/v1/decisions: no route (404" in str(caught.value)
        assert server.log.paths.count(PATH) == 1
    stored = routes_of(connect(server, max_retries=0))
    if expected.startswith("unknown"):
        # The next process asks again.
        assert isinstance(caught.value, MalformedAnswerError)
        assert stored == NOT_PROBED
    else:
        assert stored["v1/systemone"].startswith(expected)
    again = connect(server, max_retries=0).as_model().info
    assert again.fingerprint == model.as_model().info.fingerprint


def test_the_route_is_not_asked_while_another_method_works(connect: Connect) -> None:
    server = with_route(VLLM())
    model = connect(server)
    assert model.choose("It is", TEAMS).method == "tree"
    model.choose("It is", TEAMS, method="pick")
    assert PATH not in server.log.paths
    found = model.choose("It is", TEAMS, method="decision")
    assert (found.method, found.exact) == ("decision", False)
    server.log.clear()
    model.choose("It is", TEAMS, method="decision")
    assert server.log.paths == [PATH]
    server.log.clear()
    # A second model reads what the first one found.
    connect(server).choose("It is", TEAMS, method="decision")
    assert server.log.paths.count(PATH) == 1


def test_it_is_asked_if_nothing_else_works(connect: Connect) -> None:
    server = SystemOneServer()
    model = connect(server)
    assert routes_of(model) == {"v1/systemone": "yes"}
    assert "complete" not in model.as_model().capabilities
    with pytest.raises(CapabilityError, match="writes no text"):
        model.complete("It is", max_tokens=1)
    found = model.choose("It is", TEAMS)
    assert (found.method, found.exact) == ("decision", False)
    assert found.reason.startswith("the server returns no log-probabilities")
    both = model.choose_many(["It is"] * 2, TEAMS)
    assert [each.reason for each in both] == [found.reason] * 2
    assert len(server.log.bodies(PATH)[-1]["questions"]) == 2


def test_a_server_with_the_route_of_openai_alone(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, model=DECIDER, server="generic")
    routes = routes_of(model)
    assert routes["v1/systemone"].startswith("no route (404")
    assert routes["v1/decisions"] == "yes"
    both = model.choose_many(["It is"] * 2, [TEAMS, [" yes", " no"]])
    assert all("(/v1/decisions)" in each.reason for each in both)
    body = server.log.bodies("/v1/decisions")[-1]
    assert (body["input"], len(body["questions"])) == ("It is", 2)
    assert [choice["value"] for choice in body["questions"][0]["choices"]] == [
        "Billing",
        "Technical",
    ]


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_pass_ends_the_probe(connect: Connect, status: int) -> None:
    server = with_route(Generic(), status, error_of("busy", "slow down"))
    model = connect(server, max_retries=0)
    for _ in range(2):
        with pytest.raises(AutocogError, match="slow down") as caught:
            model.choose("It is", TEAMS, method="decision")
        assert caught.value.retryable
    assert routes_of(connect(server, max_retries=0)) == NOT_PROBED


@pytest.fixture
def mock() -> Iterator[Running]:
    with Running() as running:
        yield running


def opened(running: Running, **options: Any) -> OpenAI:
    return OpenAI(
        **{"model": "jev-latest", "base_url": f"{running.url}/v1", "timeout": 10, **options}
    )


def test_jevcompat(mock: Running) -> None:
    model = opened(mock)
    assert routes_of(model) == {"v1/systemone": "yes"}
    found = model.choose("I was charged twice.", TEAMS)
    assert found.method == "decision"
    assert sum(score.prob for score in found.scores) == pytest.approx(1)
    many = model.choose_many(
        ["I was charged twice."] * 3, [TEAMS, [" yes", " no"], TEAMS], method="decision"
    )
    assert [each.best.prob for each in (many[0], many[2])] == [found.best.prob] * 2
    assert mock.server.RequestHandlerClass.cfg.requests == 3
    model.close()
    missing = opened(mock, model="gpt-5")
    with pytest.raises(ConfigError, match=r"no model 'gpt-5'.*it has: jev-latest, mock"):
        missing.choose("It is", TEAMS)
    missing.close()


def test_jevcompat_that_is_busy_or_wants_a_key() -> None:
    with Running(MockConfig(busy_every=2)) as running:
        model = opened(running)
        assert model.choose("It is", TEAMS).method == "decision"
        model.close()
    with Running(MockConfig(busy_every=1)) as running:
        model = opened(running, max_retries=0)
        with pytest.raises(RateLimitError, match="429: slow down"):
            model.choose("It is", TEAMS)
        model.close()
    with Running(MockConfig(key="jev-key-1")) as running:
        model = opened(running)
        with pytest.raises(AccessDeniedError, match="Must supply an API key"):
            model.choose("It is", TEAMS)
        model.close()
        model = opened(running, api_key="jev-key-1")
        assert model.choose("It is", TEAMS).method == "decision"
        model.close()


@pytest.mark.parametrize(
    "fault", ["choice-sum", "choice-key-case", "choice-second", "first-question-only", "xssi-200"]
)
def test_faults_of_jevcompat_are_errors(fault: str) -> None:
    with Running(MockConfig(faults=frozenset({fault}))) as running:
        model = opened(running, max_retries=0)
        with pytest.raises(AutocogError):
            model.choose_many(["It is"] * 2, [["A", "b", "C", "d"], TEAMS], method="decision")
        model.close()


def test_autocog_serve_decides() -> None:
    with server_in_thread() as url:
        model = OpenAI(model="random", base_url=f"{url}/v1")
        found = model.choose("It is", TEAMS, method="decision")
        assert (found.method, found.exact) == ("decision", False)
        assert "not of the texts" in found.reason
        assert sum(score.prob for score in found.scores) == pytest.approx(1)
        many = model.choose_many(["It is"] * 2, [TEAMS, [" a", " b", " c"]], method="decision")
        assert [score.prob for score in many[0].scores] == [score.prob for score in found.scores]
        # It has OpenAI's route too.
        question = DecisionQuestion(("Billing", "Technical"), "Which team?")
        decided = [ask(model._engine.connection, each, question) for each in PROTOCOLS.values()]
        assert decided[0].probs == pytest.approx(decided[1].probs, abs=1e-9)
        # Its default is exact, by the same server.
        assert model.choose("It is", TEAMS).method == "tree"
        with pytest.raises(CapabilityError, match="norm mean"):
            model.choose("It is", TEAMS, method="decision", norm="mean")
        model.close()


def test_a_server_behind_autocog_serve(connect: Connect) -> None:
    server = SystemOneServer()
    question = {"type": "choice", "instructions": "Which team?", "criteria": {"Billing": None}}
    body = {"state": "I was charged twice.", "questions": {"team": question}}
    with app_in_process({"behind": lambda: connect(server).as_model()}) as client:
        answer = client.post("/v1/systemone", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answers"]["team"]["x_exact"] is False
    assert answer.json()["answers"]["team"]["x_logprob"] is None
    state = server.log.bodies(PATH)[-1]["state"]
    assert state[0]["role"] == "user"
    assert state[0]["content"].startswith("I was charged twice.")
