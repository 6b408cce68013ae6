"""The unmodified SDKs read every type of answer, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib.decisions_tool_runner import DecisionsToolRunner
from typesafe_sdk import AsyncTypeSafeClient, Choice, Noul, Score, TypeSafeClient

from tests.support.served import server_in_thread

STATE = {"mail": "I was charged twice."}
QUESTIONS = {
    "money": Noul(instructions="Is it about money?", criteria=None),
    "team": Choice(instructions="Which team?", criteria={"Billing": "Payments", "Technical": None}),
    "anger": Score(instructions="How angry?", criteria=["Calm", "Angry"]),
}
DECISIONS: Any = [
    {"type": "predicate", "name": "money", "instructions": "It is about money."},
    {"type": "choice", "instructions": "?", "choices": [{"value": "a"}, {"value": False}]},
    {"type": "score", "instructions": "?", "levels": [{"label": "low"}, {"label": "high"}]},
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server_in_thread(keys=["sk-test"]) as url:
        yield url


def test_typesafe_reads_all_answers(url: str) -> None:
    with TypeSafeClient(api_key="sk-test", base_url=url) as client:
        answers = client.system_one(state=STATE, questions=QUESTIONS)

    async def ask() -> Any:
        async with AsyncTypeSafeClient(api_key="sk-test", base_url=url) as client:
            return await client.system_one(state=STATE, questions=QUESTIONS)

    for result in (answers, asyncio.run(ask())):
        assert 0 <= result.nouls["money"].noul <= 1
        assert result.choices["team"].choice in ("Billing", "Technical")
        assert list(result.scores["anger"].probabilities) == [0, 1]
        assert result.nouls == answers.nouls


def test_openai_reads_all_answers(url: str) -> None:
    with OpenAI(api_key="sk-test", base_url=f"{url}/v1") as client:
        decision = client.decisions.create(
            model="random", input="x", questions=DECISIONS, extra_body={"x_method": "letter"}
        )

    async def ask() -> Any:
        async with AsyncOpenAI(api_key="sk-test", base_url=f"{url}/v1") as client:
            return await client.decisions.create(
                model="random", input="x", questions=DECISIONS, extra_body={"x_method": "letter"}
            )

    for result in (decision, asyncio.run(ask())):
        predicate, choice, score = result.answers
        assert predicate.name == "money"
        assert 0 <= predicate.probability <= 1
        assert choice.choice in ("a", False)
        assert [entry.label for entry in score.probabilities] == ["low", "high"]
        assert result.answers == decision.answers
        assert result.model_extra["x_method"] == "letter"


def test_the_tool_runner_of_openai_works(url: str) -> None:
    looked: list[str] = []

    def candidates(observation: Any) -> list[Any]:
        done = {"id": "done", "description": "All is seen.", "done": True}
        look = {"id": "look", "description": "Look.", "execute": lambda: looked.append("once")}
        return [done] if looked else [look, done]

    runner = DecisionsToolRunner(observe=lambda: f"seen: {looked}", candidates=candidates)
    with OpenAI(api_key="sk-test", base_url=f"{url}/v1") as client:
        result = runner.run(client, {"model": "random", "input": "Look once."})

    (decision,) = result["decisions"]
    (answer,) = decision.answers
    assert result["status"] == "unverified"
    assert result["completed_candidate_ids"] == (["look"] if looked else [])
    assert answer.type == "choice"
    assert answer.choice == ("look" if looked else "done")
