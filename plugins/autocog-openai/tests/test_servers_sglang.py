"""The SGLang protocol server: the model's own numbers, and SGLang's refusals."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.support.openai.servers.clients import MESSAGES, PROMPT, client, greedy, plain
from tests.support.openai.servers.sglang import SGLang


def test_sglang_scores_a_prompt_from_logprob_start_len() -> None:
    server = SGLang()
    model = server.engine.model
    choice = [89, 101, 115]
    body = {
        "input_ids": PROMPT + choice,
        "sampling_params": {"max_new_tokens": 0},
        "return_logprob": True,
        "logprob_start_len": len(PROMPT) - 1,
        "token_ids_logprob": [7, 8],
    }
    with plain(server) as http:
        http.post("/generate", json={**body, "logprob_start_len": -1})
        reply = http.post("/generate", json=body).json()
    meta = reply["meta_info"]
    rows = [model.greedy(PROMPT + choice[:i]) for i in range(4)]
    scored = meta["input_token_logprobs"]
    assert scored[0] == [None, PROMPT[-1], None]
    assert [entry[1] for entry in scored[1:]] == choice
    for entry, row in zip(scored[1:], rows, strict=False):
        assert entry[0] == pytest.approx(row[entry[1]])
    named = [*meta["input_token_ids_logprobs"][1:], *meta["output_token_ids_logprobs"]]
    assert meta["input_token_ids_logprobs"][0] is None
    for entries, row in zip(named, rows, strict=True):
        assert entries == [[pytest.approx(row[7]), 7, None], [pytest.approx(row[8]), 8, None]]
    # Only tokens without log-probabilities come from the cache.
    assert meta["cached_tokens"] == len(PROMPT) - 1
    assert (meta["completion_tokens"], reply["output_ids"]) == (0, [])
    assert meta["finish_reason"] == {"type": "length", "length": 0}


def test_sglang_generates_with_log_probabilities_at_the_temperature() -> None:
    server = SGLang()
    model = server.engine.model
    body = {"input_ids": PROMPT, "return_logprob": True, "return_text_in_logprobs": True}
    hot = {"max_new_tokens": 1, "temperature": 2.0, "sampling_seed": 3}
    with plain(server) as http:
        cold = http.post(
            "/generate",
            json={
                **body,
                "sampling_params": {"max_new_tokens": 3, "temperature": 0},
                "top_logprobs_num": 2,
            },
        ).json()
        warm = http.post("/generate", json={**body, "sampling_params": hot}).json()
    tokens = greedy(server.engine, PROMPT, 3)
    assert cold["output_ids"] == tokens
    row = model.greedy(PROMPT)
    likeliest = [int(token) for token in np.argsort(-row)[:2]]
    first = cold["meta_info"]["output_top_logprobs"][0]
    assert [[entry[0], entry[1]] for entry in first] == [
        [pytest.approx(row[token]), token] for token in likeliest
    ]
    halved = row / 2 - np.log(np.exp(row / 2).sum())
    ((logprob, token, text),) = warm["meta_info"]["output_token_logprobs"]
    assert logprob == pytest.approx(halved[token], abs=1e-5)
    assert text == server.engine.decode([token])


def test_sglang_accepts_several_prompts_with_separate_parameters() -> None:
    server = SGLang()
    body = {
        "input_ids": [PROMPT, [1, 2, 3, 4]],
        "sampling_params": {"max_new_tokens": 1, "temperature": 0},
        "return_logprob": True,
        "logprob_start_len": [0, 2],
        "token_ids_logprob": [[5], [6, 7]],
    }
    with plain(server) as http:
        one, two = http.post("/generate", json=body).json()
        several = http.post(
            "/generate",
            json={"text": "Hi ", "sampling_params": {"n": 2, "max_new_tokens": 2}},
        ).json()
    assert [e[1] for e in one["meta_info"]["input_token_logprobs"]] == PROMPT
    assert [e[1] for e in two["meta_info"]["input_token_logprobs"]] == [3, 4]
    named = two["meta_info"]["output_token_ids_logprobs"][0]
    row = server.engine.model.greedy([1, 2, 3, 4])
    assert named == [[pytest.approx(row[6]), 6, None], [pytest.approx(row[7]), 7, None]]
    assert len(several) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "input_ids": [1]},
        {"input_ids": []},
        {"input_ids": [9999]},
        {"input_ids": [1, 2], "return_logprob": True, "logprob_start_len": 2},
        {"input_ids": [1], "sampling_params": {"max_new_tokens": 9999}},
    ],
)
def test_sglang_refuses(body: dict[str, Any]) -> None:
    with plain(SGLang()) as http:
        reply = http.post("/generate", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]


def test_sglang_streams_the_text_so_far() -> None:
    body = {"text": "Hi", "sampling_params": {"max_new_tokens": 5, "temperature": 0}}
    with plain(SGLang()) as http:
        whole = http.post("/generate", json=body).json()
        lines = http.post("/generate", json={**body, "stream": True}).text.split("\n\n")
    *chunks, done = [line.removeprefix("data: ") for line in lines if line]
    assert done == "[DONE]"
    found = [json.loads(chunk) for chunk in chunks]
    assert found[-1]["text"] == whole["text"]
    assert found[-1]["meta_info"]["finish_reason"] == whole["meta_info"]["finish_reason"]
    for before, after in itertools.pairwise(found):
        assert after["text"].startswith(before["text"].rstrip("\ufffd"))


def test_sglang_compatible_routes() -> None:
    server = SGLang()
    model = server.engine.model
    opened = [*MESSAGES, {"role": "assistant", "content": "I"}]
    with client(server) as api, httpx2.Client(base_url=str(api.base_url)[:-3]) as http:
        reply = api.chat.completions.create(
            model="random",
            messages=opened,
            max_tokens=1,
            temperature=0,
            logprobs=True,
            top_logprobs=3,
            extra_body={"continue_final_message": True},
        )
        echoed = api.completions.create(
            model="random", prompt="Hi", max_tokens=1, temperature=0, echo=True, logprobs=1
        )
        tokens = http.post("/tokenize", json={"prompt": ["Hi", "Ho"]}).json()
        text = http.post("/detokenize", json={"tokens": model.encode("Hi")}).json()
        info = http.get("/get_model_info").json()
        assert http.get("/get_server_info").json()["version"] == "0.5.21"
    rendered = model.encode(model.chat_prompt(MESSAGES)) + model.tokenize("I")
    row = model.greedy(rendered)
    (entry,) = reply.choices[0].logprobs.content
    assert entry.logprob == pytest.approx(row.max())
    likeliest = [pytest.approx(value) for value in np.sort(row)[::-1][:3]]
    assert [each.logprob for each in entry.top_logprobs] == likeliest
    found = echoed.choices[0].logprobs
    ids = model.encode("Hi")
    assert found.token_logprobs[1:3] == [
        pytest.approx(model.greedy(ids[:i])[ids[i]]) for i in (1, 2)
    ]
    assert tokens["tokens"] == [model.encode("Hi"), model.encode("Ho")]
    assert text == {"text": "Hi"}
    assert info["is_generation"] is True
