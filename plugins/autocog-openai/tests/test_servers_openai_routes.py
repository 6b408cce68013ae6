"""Responses, completions and decisions of api.openai.com."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest

from tests.support.openai.servers.clients import PROMPT, client, refusal
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_api import CHAT, DECIDER, INSTRUCT, OpenAIServer
from tests.support.openai.servers.openai_decisions import probabilities
from tests.support.openai.servers.openai_shared import REFUSE

COLOURS = ("red", "green", "blue", "black", "white")


def test_openai_responses_whole_and_streamed() -> None:
    server = OpenAIServer()
    messages: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    row = server.engine.model.greedy(messages=messages)
    arguments: dict[str, Any] = {
        "model": CHAT,
        "input": "Hi",
        "instructions": "Be kind.",
        "temperature": 0,
        "max_output_tokens": 16,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 20,
    }
    with client(server) as api:
        whole = api.responses.create(**arguments)
        events = list(api.responses.create(**arguments, stream=True))
        for wrong, param in (({"max_output_tokens": 15}, "max_output_tokens"), ({"n": 2}, "n")):
            with pytest.raises(openai.BadRequestError) as error:
                api.responses.create(model=CHAT, input="Hi", extra_body=wrong)
            assert refusal(error)["param"] == param
    entry = whole.output[0].content[0].logprobs[0]
    best = [pytest.approx(value) for value in np.sort(row)[::-1][:20]]
    assert [each.logprob for each in entry.top_logprobs] == best
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.incomplete"
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == whole.output_text
    assert events[-1].response.output_text == whole.output_text


def test_openai_completions_list_five_tokens_and_score_no_prompt() -> None:
    server = OpenAIServer()
    with client(server) as api:
        choice = api.completions.create(
            model=INSTRUCT, prompt=PROMPT, max_tokens=1, temperature=0, logprobs=5
        ).choices[0]
        echoed = api.completions.create(model=INSTRUCT, prompt="Hi", max_tokens=1, echo=True)
        for wrong in ({"logprobs": 6}, {"logprobs": 1, "echo": True}):
            with pytest.raises(openai.BadRequestError):
                api.completions.create(model=INSTRUCT, prompt="Hi", **wrong)
    row = server.engine.model.greedy(PROMPT)
    values = sorted(choice.logprobs.top_logprobs[0].values(), reverse=True)
    assert values == [pytest.approx(value) for value in np.sort(row)[::-1][:5]]
    assert echoed.choices[0].text.startswith("Hi")


def test_openai_decisions() -> None:
    server = OpenAIServer(Engine(seed=2))
    choice: Any = {
        "type": "choice",
        "name": "colour",
        "instructions": "Which colour?",
        "choices": [{"value": value} for value in COLOURS],
    }
    predicate: Any = {"type": "predicate", "instructions": "Is it warm?"}
    levels = [{"label": label} for label in ("low", "high")]
    score: Any = {"type": "score", "instructions": "How warm?", "levels": levels}
    with client(server) as api:
        if not hasattr(api, "decisions"):
            pytest.skip(f"openai {openai.__version__} has no decisions")
        reply = api.decisions.create(
            model=DECIDER, input="A rose", questions=[choice, predicate, score]
        )
        declined = api.decisions.create(model=DECIDER, input=REFUSE, questions=[predicate])
        for choices in (1, 256):
            many = {**choice, "choices": [{"value": str(i)} for i in range(choices)]}
            with pytest.raises(openai.BadRequestError):
                api.decisions.create(model=DECIDER, input="A rose", questions=[many])
    expected = probabilities(server.engine, "A rose", choice, len(COLOURS))
    found = reply.answers[0]
    assert [each.probability for each in found.probabilities] == pytest.approx(expected)
    assert sum(expected) == pytest.approx(1)
    assert np.argmax(expected) > 0, "the best ought not to be the first"
    assert found.choice == COLOURS[int(np.argmax(expected))]
    assert (found.name, reply.answers[1].name) == ("colour", None)
    _, true = probabilities(server.engine, "A rose", predicate, 2)
    assert reply.answers[1].probability == pytest.approx(true)
    _, high = probabilities(server.engine, "A rose", score, 2)
    assert reply.answers[2].score == pytest.approx(high)
    assert declined.answers[0].type == "refusal"
    with client(OpenAIServer(decisions=False)) as api, pytest.raises(openai.NotFoundError):
        api.decisions.create(model=DECIDER, input="A rose", questions=[predicate])
