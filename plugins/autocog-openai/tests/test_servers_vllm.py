"""The vLLM protocol server: the model's own numbers, and vLLM's refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from tests.support.openai.servers.clients import MESSAGES, PROMPT, client, greedy, plain, refusal
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.vllm import VLLM


def test_vllm_named_tokens_are_exact_and_come_with_the_one_generated() -> None:
    server = VLLM()
    row = server.engine.model.greedy(PROMPT)
    asked = [5, 250, 17]
    with client(server) as api:
        named = {"logprob_token_ids": asked, "return_tokens_as_token_ids": True}
        choice = api.completions.create(
            model="random", prompt=PROMPT, max_tokens=1, temperature=0, logprobs=1, extra_body=named
        ).choices[0]
    best = int(np.argmax(row))
    expected = {f"token_id:{token}": pytest.approx(row[token]) for token in [best, *asked]}
    assert choice.logprobs.top_logprobs == [expected]
    assert choice.logprobs.token_logprobs == [pytest.approx(row[best])]


def test_vllm_before_named_tokens_ignores_them() -> None:
    with client(VLLM(named_tokens=False)) as api:
        more = {"logprob_token_ids": [5], "return_tokens_as_token_ids": True}
        choice = api.completions.create(
            model="random", prompt=PROMPT, max_tokens=1, temperature=0, logprobs=2, extra_body=more
        ).choices[0]
    assert len(choice.logprobs.top_logprobs[0]) == 2


@pytest.mark.parametrize(
    ("arguments", "param", "words"),
    [
        ({"logprobs": 21}, "logprobs", "max allowed: 20"),
        ({"logprobs": -1}, "logprobs", "max allowed: 20"),
        ({"extra_body": {"prompt_logprobs": 21}}, "prompt_logprobs", "max allowed: 20"),
        ({"extra_body": {"logprob_token_ids": [1]}}, "logprob_token_ids", "must be set"),
        (
            {"logprobs": 1, "extra_body": {"logprob_token_ids": [1] * 129}},
            "logprob_token_ids",
            "max allowed: 128",
        ),
        (
            {"logprobs": 1, "extra_body": {"logprob_token_ids": [9999]}},
            "logprob_token_ids",
            "out-of-vocab",
        ),
        ({"temperature": 0, "n": 2}, "n", "greedy"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"max_tokens": 5000}, "input_tokens", "context length"),
        ({"extra_body": {"allowed_token_ids": []}}, "allowed_token_ids", "empty"),
    ],
)
def test_vllm_refuses(arguments: dict[str, Any], param: str, words: str) -> None:
    with client(VLLM()) as api, pytest.raises(openai.BadRequestError) as error:
        api.completions.create(model="random", prompt=PROMPT, **arguments)
    found = refusal(error)
    assert (found["type"], found["code"], found["param"]) == ("BadRequestError", 400, param)
    assert words in found["message"]


def test_vllm_does_not_know_another_model() -> None:
    with client(VLLM()) as api, pytest.raises(openai.NotFoundError):
        api.completions.create(model="other", prompt=PROMPT)


def test_vllm_scores_prompts_by_echo_and_by_prompt_logprobs() -> None:
    server = VLLM()
    model = server.engine.model
    expected = [model.greedy(PROMPT[:i])[PROMPT[i]] for i in range(1, len(PROMPT))]
    with client(server) as api:
        echoed = api.completions.create(
            model="random", prompt=PROMPT, max_tokens=0, echo=True, logprobs=0
        ).choices[0]
        scored = api.completions.create(
            model="random", prompt=PROMPT, max_tokens=1, extra_body={"prompt_logprobs": 0}
        ).choices[0]
    assert echoed.text == "Hi "
    assert echoed.logprobs.token_logprobs == [None, *map(pytest.approx, expected)]
    first, *others = scored.prompt_logprobs
    assert first is None
    found = [entry[str(token)] for entry, token in zip(others, PROMPT[1:], strict=True)]
    assert [each["logprob"] for each in found] == [pytest.approx(each) for each in expected]
    assert [each["decoded_token"] for each in found] == ["i", " "]


def test_vllm_accepts_several_prompts_n_seeds_and_stop_strings() -> None:
    server = VLLM()
    tokens = greedy(server.engine, PROMPT, 6)
    # A byte of ASCII among them, before which generation has to end.
    stop = next(i for i, token in enumerate(tokens) if token < 128)
    with client(server) as api:
        both = api.completions.create(
            model="random",
            prompt=[PROMPT, [1, 2]],
            max_tokens=6,
            temperature=0,
            stop=[chr(tokens[stop])],
            extra_body={"return_token_ids": True},
        )
        drawn = [
            api.completions.create(
                model="random",
                prompt=PROMPT,
                n=3,
                seed=seed,
                temperature=1,
                extra_body={"return_token_ids": True},
            )
            for seed in (7, 7, 8)
        ]
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[0].token_ids == tokens[: stop + 1]
    assert both.choices[0].stop_reason == chr(tokens[stop])
    assert both.choices[0].finish_reason == "stop"
    assert both.choices[1].prompt_token_ids == [1, 2]
    one, again, other = [[choice.token_ids for choice in each.choices] for each in drawn]
    assert one == again != other
    assert one[0] != one[1]


def test_vllm_constraints_change_the_choice_but_not_the_log_probabilities() -> None:
    server = VLLM()
    row = server.engine.model.greedy(PROMPT)
    best = int(np.argmax(row))
    with client(server) as api:

        def first(**more: Any) -> Any:
            body = {"return_token_ids": True, **more.pop("extra_body", {})}
            reply = api.completions.create(
                model="random",
                prompt=PROMPT,
                temperature=0,
                logprobs=0,
                extra_body=body,
                **{"max_tokens": 1, **more},
            )
            return reply.choices[0]

        biased = first(logit_bias={str(best): -100, "65": 50})
        allowed = first(extra_body={"allowed_token_ids": [66, 67]})
        picked = first(extra_body={"structured_outputs": {"choice": ["no", "yes"]}}, max_tokens=9)
    assert biased.token_ids == [65]
    assert biased.logprobs.token_logprobs == [pytest.approx(row[65])]
    assert allowed.token_ids == [66 if row[66] > row[67] else 67]
    assert picked.text == ("no" if row[ord("n")] > row[ord("y")] else "yes")
    assert picked.finish_reason == "stop"


def test_vllm_streams_the_same_with_usage() -> None:
    server = VLLM(Engine(vocabulary="merges"))
    arguments: dict[str, Any] = {
        "model": "random",
        "prompt": "The cat",
        "max_tokens": 12,
        "temperature": 0,
        "logprobs": 2,
    }
    with client(server) as api:
        whole = api.completions.create(**arguments)
        chunks = list(
            api.completions.create(**arguments, stream=True, stream_options={"include_usage": True})
        )
    *parts, last = chunks
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    values = [
        v for p in parts if p.choices[0].logprobs for v in p.choices[0].logprobs.token_logprobs
    ]
    assert values == whole.choices[0].logprobs.token_logprobs
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.choices == []


def test_vllm_chat_is_the_chat_template_and_continues_a_last_message() -> None:
    server = VLLM()
    model = server.engine.model
    row = model.greedy(messages=MESSAGES)
    opened = [*MESSAGES, {"role": "assistant", "content": "I say"}]
    with client(server) as api:
        choice = api.chat.completions.create(
            model="random",
            messages=MESSAGES,
            max_completion_tokens=1,
            temperature=0,
            logprobs=True,
            top_logprobs=20,
            extra_body={"return_tokens_as_token_ids": True},
        ).choices[0]
        continuing = {"continue_final_message": True, "add_generation_prompt": False}
        more = api.chat.completions.create(
            model="random",
            messages=opened,
            max_completion_tokens=1,
            temperature=0,
            logprobs=True,
            extra_body={**continuing, "return_token_ids": True},
        )
        with pytest.raises(openai.BadRequestError, match="continue_final_message"):
            api.chat.completions.create(
                model="random", messages=opened, extra_body={"continue_final_message": True}
            )
        with pytest.raises(openai.BadRequestError, match="max allowed: 20"):
            api.chat.completions.create(
                model="random", messages=MESSAGES, logprobs=True, top_logprobs=21
            )
    (entry,) = choice.logprobs.content
    likeliest = [int(token) for token in np.argsort(-row)[:20]]
    expected = [(f"token_id:{token}", pytest.approx(row[token])) for token in likeliest]
    assert [(each.token, each.logprob) for each in entry.top_logprobs] == expected
    rendered = model.encode(model.chat_prompt(MESSAGES)) + model.tokenize(" I say")
    assert more.prompt_token_ids == rendered
    best = model.greedy(rendered).max()
    assert more.choices[0].logprobs.content[0].logprob == pytest.approx(best)


def test_vllm_tokenizes_detokenizes_and_reports_its_version() -> None:
    server = VLLM(Engine(vocabulary="merges"))
    model = server.engine.model
    with plain(server) as http:
        bare = {"prompt": "The cat", "add_special_tokens": False}
        tokens = http.post("/tokenize", json=bare).json()
        begun = http.post("/tokenize", json={"prompt": "The cat"}).json()
        chat = http.post("/tokenize", json={"messages": MESSAGES}).json()
        text = http.post("/detokenize", json={"tokens": tokens["tokens"]}).json()
        version = http.get("/version").json()
        (card,) = http.get("/v1/models").json()["data"]
        assert http.get("/health").status_code == 200
    assert tokens["tokens"] == model.tokenize("The cat")
    assert tokens["count"] == len(tokens["tokens"])
    assert begun["tokens"] == model.encode("The cat")
    assert chat["tokens"] == model.encode(model.chat_prompt(MESSAGES))
    assert text == {"prompt": "The cat"}
    assert version == {"version": "0.28.0"}
    assert card["max_model_len"] == tokens["max_model_len"] == 2048


def test_the_prefix_cache_is_counted_and_prompt_logprobs_bypass_it() -> None:
    server = VLLM()
    long = list(range(65, 85))
    with client(server) as api:

        def cached(prompt: list[int], **more: Any) -> Any:
            reply = api.completions.create(
                model="random", prompt=prompt, max_tokens=1, extra_body=more
            )
            return reply.usage.prompt_tokens_details.cached_tokens

        assert cached(long) == 0
        assert cached([*long, 1, 2]) == len(long)
        assert cached(long) == len(long) - 1
        assert cached(long, prompt_logprobs=0) == 0
    assert server.engine.evaluated == 20 + 2 + 1 + 20


def test_requests_in_flight_are_counted_and_logged() -> None:
    server = VLLM(Engine(delay=0.3))
    with serving(server) as url:
        bodies = [{"prompt": [number], "max_tokens": 1} for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(httpx2.post, f"{url}/v1/completions", json=b) for b in bodies]
        assert all(each.result().status_code == 200 for each in asked)
    assert server.log.most_in_flight == 6
    assert server.log.in_flight == 0
    assert server.log.paths == ["/v1/completions"] * 6
    assert sorted(body["prompt"] for body in server.log.bodies("/v1/completions")) == [
        [number] for number in range(6)
    ]
