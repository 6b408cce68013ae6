"""Each fault happens with its frequency, and clients see it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.support.openai.servers.clients import PROMPT, client, plain
from tests.support.openai.servers.faults import KINDS, STATUSES, Faults
from tests.support.openai.servers.vllm import VLLM


def test_disabled_faults_do_not_happen() -> None:
    faults = Faults(VLLM(), share=1.0)
    faults.enabled = False
    with client(faults) as api:
        for _ in range(20):
            api.completions.create(model="random", prompt=PROMPT, max_tokens=1)
    assert faults.requests == 20
    assert not faults.injected


def test_faults_depend_on_the_share_and_the_seed() -> None:
    def run(seed: int) -> Faults:
        faults = Faults(VLLM(), share=0.3, seed=seed, slow=0.01)
        with plain(faults) as http:
            for _ in range(100):
                try:
                    http.post("/v1/completions", json={"prompt": [1], "max_tokens": 1})
                except httpx2.HTTPError:
                    continue
        return faults

    one, again, other = run(1), run(1), run(2)
    assert one.injected == again.injected != other.injected
    # "wrong ids" finds no id in these answers, and is not counted then.
    assert 10 <= one.injected.total() <= 45


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_seen_by_the_client(kind: str, stream: bool) -> None:
    faults = Faults(VLLM(), share=1.0, kinds=[kind], slow=0.3)
    body: dict[str, Any] = {"return_token_ids": True, "return_tokens_as_token_ids": True}
    body |= {"max_tokens": 4, "temperature": 0, "prompt": PROMPT, "logprobs": 1, "stream": stream}
    with plain(faults) as http:
        if kind == "cut":
            with pytest.raises(httpx2.RemoteProtocolError):
                http.post("/v1/completions", json=body)
            return
        reply = http.post("/v1/completions", json=body)
    assert faults.injected == {kind: 1}
    assert reply.status_code == STATUSES.get(kind, 200)
    assert ("retry-after" in reply.headers) == (kind == "429 retry-after")
    if kind in STATUSES:
        return
    if kind == "slow":
        assert reply.elapsed.total_seconds() >= 0.3
    events = [line.removeprefix("data: ") for line in reply.text.split("\n\n")] if stream else []
    texts = [e for e in events if e and e != "[DONE]"] if stream else [reply.text]
    if kind in ("invalid json", "truncated json"):
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter|Extra"):
            [json.loads(text) for text in texts]
        return
    values = [json.loads(text) for text in texts]
    if kind == "missing fields":
        assert all("choices" not in value for value in values)
    if kind == "wrong ids":
        ids = [i for value in values for i in value["choices"][0].get("token_ids") or ()]
        assert ids
        assert min(ids) >= 10_000_000
        assert "token_id:1000" in reply.text


def test_the_sdk_gets_past_faults_that_it_retries() -> None:
    kinds = ["429", "429 retry-after", "500", "503"]
    faults = Faults(VLLM(), share=0.3, seed=5, kinds=kinds)
    with client(faults, retries=8) as api:
        for _ in range(5):
            api.completions.create(model="random", prompt=PROMPT, max_tokens=1)
    assert faults.injected.total() > 0
    assert faults.requests == 5 + faults.injected.total()


def test_an_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="earthquake"):
        Faults(VLLM(), kinds=["earthquake"])
