"""`/v1/completions`: texts and scores equal those of the model in the process."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core import Model
from autocog_core.backends.table import TableLM
from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.engine_calls import CountingLM
from tests.support.served import ROWS, app_in_process
from tests.support.small_backends import random_model, table_model

PATH = "/v1/completions"
GREEDY = {"temperature": 0, "max_tokens": 5}


def post(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refuse(client: TestClient, **body: Any) -> dict[str, Any]:
    """Return the error of a request that is refused."""
    answer = client.post(PATH, json={"prompt": "It is", **body})
    assert answer.status_code == 400, answer.text
    return dict(answer.json()["error"])


@pytest.mark.parametrize("max_tokens", [1, 2, 7])
def test_texts_and_their_scores_are_those_of_the_model(
    client: TestClient, truth: Model, max_tokens: int
) -> None:
    expected = truth.complete("It is", max_tokens=max_tokens)

    (choice,) = post(client, prompt="It is", temperature=0, max_tokens=max_tokens, logprobs=0)[
        "choices"
    ]

    assert choice["text"] == expected.text
    assert choice["logprobs"]["token_logprobs"] == list(expected.logprobs or ())
    assert choice["finish_reason"] == ("stop" if expected.finish_reason == "eos" else "length")


def test_a_sample_repeats_the_one_of_the_model(client: TestClient, truth: Model) -> None:
    sampling: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "seed": 5, "n": 3}
    expected = truth.complete("It is", max_tokens=6, **sampling)

    answer = post(client, prompt="It is", max_tokens=6, return_token_ids=True, **sampling)

    texts = [expected, *expected.alternatives]
    assert [c["token_ids"] for c in answer["choices"]] == [list(text.tokens) for text in texts]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == sum(len(text.tokens) for text in texts)
    assert answer["usage"]["prompt_tokens"] == len(truth.encode("It is"))


@pytest.mark.parametrize("max_tokens", [0, 1, 3])
def test_an_echo_has_the_scores_of_the_prompt(
    client: TestClient, truth: Model, max_tokens: int
) -> None:
    text = "It is ä day"
    score = truth.score(text)

    (choice,) = post(
        client, prompt=text, temperature=0, max_tokens=max_tokens, echo=True, logprobs=2
    )["choices"]

    logprobs = choice["logprobs"]
    count = len(score.tokens)
    # The first one is BOS, which nothing comes before.
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["token_logprobs"][1 : count + 1] == [token.logprob for token in score.tokens]
    assert choice["text"].startswith(text)
    written = logprobs["token_logprobs"][count + 1 :]
    expected = truth.complete(text, max_tokens=max(1, max_tokens)).logprobs or ()
    assert written == pytest.approx(expected[:max_tokens])


def test_the_likeliest_tokens_are_listed_in_the_place_of_each(
    client: TestClient, truth: Model
) -> None:
    (choice,) = post(
        client, prompt="ab", echo=True, logprobs=3, return_tokens_as_token_ids=True, **GREEDY
    )["choices"]

    logprobs = choice["logprobs"]
    ids = [int(name.removeprefix("token_id:")) for name in logprobs["tokens"]]
    assert logprobs["top_logprobs"][0] is None
    for index, listed in enumerate(logprobs["top_logprobs"][1:], start=1):
        best = {f"token_id:{t.token}": t.logprob for t in truth.next_tokens(ids[:index], 3)}
        own = {f"token_id:{ids[index]}": logprobs["token_logprobs"][index]}
        assert listed == best | own


def test_offsets_are_those_of_characters(client: TestClient) -> None:
    text = "aä!"
    (choice,) = post(client, prompt=text, max_tokens=0, echo=True, logprobs=1)["choices"]

    assert choice["text"] == text
    assert choice["logprobs"]["text_offset"] == [0, 0, 1, 1, 2]
    assert choice["logprobs"]["tokens"][2:4] == ["bytes:\\xc3", "bytes:\\xa4"]


def test_prompts_are_texts_or_ids_and_several(client: TestClient, truth: Model) -> None:
    ids = [truth.encode(text) for text in ("It is", "No")]
    answers = [
        post(client, prompt=prompt, n=2, seed=1, **{**GREEDY, "temperature": 1})
        for prompt in (["It is", "No"], ids)
    ]

    first, second = (
        [(choice["index"], choice["text"]) for choice in answer["choices"]] for answer in answers
    )
    assert first == second
    assert [index for index, _ in first] == [0, 1, 2, 3]
    alone = post(client, prompt=ids[0], n=2, seed=1, **{**GREEDY, "temperature": 1})
    assert [choice["text"] for choice in alone["choices"]] == [text for _, text in first[:2]]


def test_many_prompts_are_one_call_of_the_engine() -> None:
    model = CountingLM()
    prompts = [f"prompt {number}" for number in range(20)]
    with app_in_process({"counting": lambda: Model(model)}) as client:
        answer = post(client, prompt=prompts, max_tokens=1, temperature=0, echo=True, logprobs=1)

    assert model.tree_calls == 1
    assert len(answer["choices"]) == 20


def test_impossible_tokens_have_openai_s_smallest_number() -> None:
    rows = {"": {"a": 1.0}}
    with app_in_process({"certain": lambda: table_model(rows)}) as client:
        (choice,) = post(client, prompt="b", max_tokens=0, echo=True, logprobs=1)["choices"]

    assert choice["logprobs"]["token_logprobs"] == [None, -9999.0]
    assert choice["logprobs"]["top_logprobs"][1] == {"a": 0.0, "b": -9999.0}


def test_stop_strings_end_texts() -> None:
    rows = {"It is": {" ": 1.0}, "It is ": {"a": 1.0}}
    with app_in_process({"known": lambda: table_model(rows)}) as client:
        answer = post(client, prompt="It is", temperature=0, max_tokens=9, stop=["a"])

    (choice,) = answer["choices"]
    assert (choice["text"], choice["finish_reason"], choice["stop_reason"]) == (" ", "stop", "a")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"response_format": {"type": "json_object"}}, "{"),
        ({"structured_outputs": {"choice": ["a.b", "c d"]}}, ("a.b", "c d")),
        ({"guided_regex": "[xy]{3}"}, ("x", "y")),
        ({"guided_json": {"enum": ["yes"]}}, '"yes"'),
    ],
)
def test_texts_meet_constraints(client: TestClient, form: dict[str, Any], expected: Any) -> None:
    (choice,) = post(client, prompt="It is", seed=2, max_tokens=30, **form)["choices"]

    assert choice["text"].startswith(expected)


def test_tokens_have_a_default_and_a_limit() -> None:
    config = ServerConfig(limits=ServerLimits(output_tokens=20))
    models = {"short": lambda: random_model(seed=3, context_length=12)}
    with app_in_process(config=config) as client, app_in_process(models, config) as short:
        usage = post(client, prompt="It is", seed=1)["usage"]
        fitting = post(short, prompt="It is", seed=1)["usage"]
        error = refuse(client, max_tokens=21)
        too_long = refuse(short, prompt="It is a long text")

    assert usage["completion_tokens"] == 16
    assert fitting["completion_tokens"] == 12 - len("It is") - 1
    assert error["param"] == "max_tokens"
    assert "20" in error["message"]
    assert too_long["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"suffix": "."}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"n": 2, "best_of": 3}, "best_of"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"warmth": 1}, "warmth"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"prompt": []}, "prompt"),
        ({"temperature": -1}, "temperature"),
        ({"logprobs": 10_000}, "logprobs"),
        ({"prompt": [1, 100_000]}, None),
        ({"presence_penalty": 1}, None),
        ({"guided_regex": "a", "guided_choice": ["b"]}, None),
        ({"guided_regex": "("}, "regex"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"model": "other"}, "model"),
    ],
)
def test_what_cannot_be_done_is_refused(
    client: TestClient, body: dict[str, Any], parameter: str | None
) -> None:
    answer = client.post(PATH, json={"prompt": "It is", **body})

    error = answer.json()["error"]
    assert answer.status_code == (404 if "model" in body else 400), answer.text
    assert error["message"]
    if parameter is not None:
        assert error["param"].startswith(parameter)


def test_half_a_character_is_refused(client: TestClient) -> None:
    body = b'{"prompt": "\\ud800"}'
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert "surrogate" in answer.json()["error"]["message"]


def test_what_asks_for_nothing_is_accepted(client: TestClient) -> None:
    neutral = {"user": "a", "logit_bias": {}, "presence_penalty": 0, "best_of": 1, "stop": []}
    body = {"prompt": "It is", "seed": 1, "max_tokens": 3}

    plain, other = post(client, **body), post(client, **body, **neutral, suffix=None)

    assert plain["choices"] == other["choices"]


def test_requests_have_limits() -> None:
    config = ServerConfig(limits=ServerLimits(questions=3))
    with app_in_process(config=config) as client:
        error = refuse(client, prompt=["a", "b"], n=2)

    assert "at most 3" in error["message"]


def test_scores_sum_up_to_the_text_s(client: TestClient, truth: Model) -> None:
    text = "one two"
    (choice,) = post(client, prompt=text, max_tokens=0, echo=True, logprobs=0)["choices"]

    total = math.fsum(value for value in choice["logprobs"]["token_logprobs"] if value)
    assert total == pytest.approx(truth.score(text).logprob, abs=1e-9)


def test_known_probabilities_come_back(client: TestClient) -> None:
    (choice,) = post(
        client, model="known", prompt="It is", max_tokens=1, temperature=0, logprobs=4
    )["choices"]

    (listed,) = choice["logprobs"]["top_logprobs"]
    probabilities = {name: math.exp(value) for name, value in listed.items()}
    assert probabilities == {name: pytest.approx(p) for name, p in ROWS["It is"].items()}


@pytest.mark.parametrize("defaults", [{"regex": "[xy]+"}, {"stop": "a"}])
def test_the_model_s_own_defaults_hold_for_single_tokens(defaults: dict[str, Any]) -> None:
    def load() -> Model:
        return Model(TableLM(rows={"AB": {"a": 0.9}}, bos=False), completion=defaults)

    prompt = [65, 66]
    expected = load().complete(prompt, max_tokens=1, temperature=0)
    with app_in_process({"random": load}) as client:
        (choice,) = post(client, prompt=prompt, max_tokens=1, temperature=0, return_token_ids=True)[
            "choices"
        ]

    assert choice["token_ids"] == list(expected.tokens)
    assert choice["stop_reason"] == expected.stop_string
