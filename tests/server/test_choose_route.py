"""`/v1/choose`: answers are those of `Model.choose`, to the last bit."""

from __future__ import annotations

import random
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core import EOS, Choice
from autocog_core.config.server_config import ServerConfig, ServerLimits
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece
from tests.server.own_routes import error, plain, post
from tests.support.served import app_in_process, small_models
from tests.support.small_backends import table_model

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
CHAT = [{"role": "user", "content": "Is it?"}]
TWO = [" yes", " no"]

#: A body, and the arguments of the same call.
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "texts": ({"prompt": "It is", "choices": TWO}, {"prompt": "It is", "choices": TWO}),
    "token ids": ({"prompt": [73, 116], "choices": TWO}, {"prompt": [73, 116], "choices": TWO}),
    "pieces": (
        {"prompt": [{"text": "<|eos|>A", "special": True}, {"tokens": [66]}, {"text": "C"}]},
        {
            "prompt": Prompt(
                (TextPiece("<|eos|>A", trusted=True), TokenPiece((66,)), TextPiece("C"))
            ),
        },
    ),
    "a chat": ({"messages": CHAT}, {"messages": CHAT}),
    "a suffix": ({"prompt": "It is", "suffix": "!"}, {"prompt": "It is", "suffix": "!"}),
    "the end": ({"prompt": "It is", "suffix": {"eos": True}}, {"prompt": "It is", "suffix": EOS}),
    "values": (
        {
            "prompt": "It is",
            "choices": [{"texts": [" yes", " sure"], "value": True}, {"text": " no", "value": 0.5}],
        },
        {
            "prompt": "It is",
            "choices": [Choice(texts=[" yes", " sure"], value=True), Choice(" no", 0.5)],
        },
    ),
    "a choice that begins another": (
        {"prompt": "It is", "choices": [" a", " ab", " abc"]},
        {"prompt": "It is", "choices": [" a", " ab", " abc"]},
    ),
    "pmi": (
        {"prompt": "It is", "norm": "pmi", "unconditional_prompt": "So"},
        {"prompt": "It is", "norm": "pmi", "unconditional_prompt": "So"},
    ),
    "the best": (
        {"prompt": "It is", "top": 1, "within": 0.1, "at_least": 0.5},
        {"prompt": "It is", "top": 1, "within": 0.1, "at_least": 0.5},
    ),
    "isolated": ({"prompt": "It is", "isolate": True}, {"prompt": "It is", "isolate": True}),
}


#: What the small table knows.
OF_TABLE = ("texts", "a suffix", "the end", "values")


@pytest.mark.parametrize(
    ("name", "what"),
    [*(("random", what) for what in SAME), *(("known", what) for what in OF_TABLE)],
)
def test_an_answer_is_that_of_choose(client: TestClient, name: str, what: str) -> None:
    model = small_models()[name]()
    body, arguments = SAME[what]
    answer = post(client, "/v1/choose", {"model": name, "choices": TWO, **body})
    expected = model.choose(**{"choices": TWO, **arguments}).to_dict()
    assert plain(answer["results"]) == plain([expected])
    assert (answer["model"], answer["usage"]["calls"]) == (name, 1)


def test_many_prompts_are_those_of_choose_many(client: TestClient) -> None:
    model = small_models()["random"]()
    numbers = random.Random(5)
    prompts = ["".join(numbers.choices("ab cd", k=8)) for _ in range(20)]
    lists = [[f" {i}", f" {i + 1}x", " z"][: 2 + i % 2] for i in range(20)]
    for norm in ("sum", "mean", "per_byte"):
        body = {"prompts": prompts, "choices": lists, "norm": norm}
        expected = model.choose_many(prompts, lists, norm=norm)  # type: ignore[call-overload]
        answer = post(client, "/v1/choose", body)
        assert plain(answer["results"]) == plain([each.to_dict() for each in expected])
        # Alone, each is the same.
        body = {"prompt": prompts[3], "choices": lists[3], "norm": norm}
        assert plain(post(client, "/v1/choose", body)["results"]) == plain(answer["results"][3:4])
    chats = [CHAT, [{"role": "user", "content": "Why?"}]]
    answer = post(client, "/v1/choose", {"chats": chats, "choices": TWO})
    expected = model.choose_many(messages=chats, choices=TWO)
    assert plain(answer["results"]) == plain([each.to_dict() for each in expected])


def test_impossible_choices_have_null_and_no_infinity() -> None:
    rows = {"It is ": {"a": 0.5, "b": 0.5}}
    with app_in_process({"sure": lambda: table_model(rows)}) as client:
        (result,) = post(client, "/v1/choose", {"prompt": "It is ", "choices": ["a", "z"]})[
            "results"
        ]
    assert result["scores"][0]["logprob"] < 0
    assert result["scores"][1]["logprob"] is None


@pytest.mark.parametrize(
    ("body", "status", "message", "parameter"),
    [
        ({"prompt": "x"}, 422, "choices: Field required", "choices"),
        ({"choices": TWO}, 422, "nothing is given: give one of prompt, prompts", None),
        ({"prompt": "x", "prompts": ["y"], "choices": TWO}, 422, "prompt and prompts are", None),
        ({"prompt": "x", "choices": TWO, "tpo": 1}, 422, 'did you mean "top"?', None),
        ({"prompt": "x", "choices": ["a", 3]}, 422, "choices.1: ", "choices.1"),
        ({"prompt": "x", "choices": ["a", {"text": "b", "value": []}]}, 422, "a number", None),
        ({"prompt": "x", "choices": ["a", {}]}, 422, "give either text or texts", "choices.1"),
        ({"prompt": "x", "choices": ["a", "a"]}, 400, "was given before", None),
        ({"prompt": "x", "choices": ["a", ["b"]]}, 400, "give one list for all", "choices"),
        ({"prompts": ["x", "y"], "choices": [TWO]}, 400, "1 lists of choices for 2", "choices"),
        ({"prompts": ["x", "y"], "choices": [TWO, ["", " a"]]}, 400, "prompt 1, choice 0", None),
        ({"prompt": "x", "choices": TWO, "within": 0.1}, 400, "give top=1, too", "within"),
        ({"prompt": "x", "choices": TWO, "method": "no"}, 400, "method", None),
        ({"prompt": "x", "choices": TWO, "model": "y"}, 404, 'no model "y"', "model"),
        ({"prompt": [10**6], "choices": TWO}, 400, "1000000", None),
        ({"prompt": "x" * 10**5, "choices": TWO}, 400, "tokens", None),
    ],
)
def test_errors_say_what_is_wrong(
    client: TestClient, body: dict[str, Any], status: int, message: str, parameter: str | None
) -> None:
    found = error(client, "/v1/choose", body)
    assert found[0] == status
    assert message in found[1]
    if parameter:
        assert found[2] == parameter


def test_there_are_limits_for_prompts_and_choices() -> None:
    limits = ServerLimits(questions=2, options=3, choices=5)
    with app_in_process(config=ServerConfig(limits=limits)) as client:
        many = [f" {number}" for number in range(4)]
        for body, message in (
            ({"prompts": ["x"] * 3, "choices": TWO}, "3 prompts; this server takes 2"),
            ({"prompt": "x", "choices": many}, "4 texts of one prompt; this server takes 3"),
            ({"prompt": "x", "choices": [{"texts": many}, " no"]}, "5 texts of one prompt"),
            ({"prompts": ["x", "y"], "choices": many[:3]}, "6 texts of all prompts together"),
        ):
            assert message in error(client, "/v1/choose", body)[1]
        post(client, "/v1/choose", {"prompts": ["x", "y"], "choices": TWO})
