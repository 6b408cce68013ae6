from __future__ import annotations

from typing import Any

import pytest

from autocog_core import InputError
from autocog_core.model.completion_arguments import make_completion_request
from autocog_core.types.prompt import Prompt

PROMPT = Prompt.of("x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 2.0),
        ("max_tokens", "5"),
        ("max_tokens", True),
        ("max_new_tokens", 0),
        ("top_k", -1),
        ("n", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        pytest.param("temperature", 10**400, id="temperature-huge"),
        ("temperature", "hot"),
        ("temperature", False),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("min_p", 2),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("seed", True),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", [1]),
        ("stop", 5),
        ("stop", b"x"),
        ("stop", "\ud800"),
        ("on_text", "print"),
        ("extra", 5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        make_completion_request(PROMPT, {name: value})
    assert caught.value.where == {"max_new_tokens": "max_tokens"}.get(name, name)


def test_names_that_core_does_not_know_become_extra() -> None:
    request = make_completion_request(PROMPT, {"logit_bias": {1: 2}, "extra": {"penalty": 1.0}})
    assert request.extra == {"logit_bias": {1: 2}, "penalty": 1.0}


def test_none_means_the_default() -> None:
    request = make_completion_request(PROMPT, {"max_tokens": None, "stop": None, "penalty": None})
    assert request == make_completion_request(PROMPT, {})


@pytest.mark.parametrize(
    ("given_stops", "expected"), [("\n", ("\n",)), (["b", "a", "b"], ("b", "a")), ((), ())]
)
def test_stops_are_one_text_or_several_each_once_in_order(
    given_stops: Any, expected: tuple[str, ...]
) -> None:
    assert make_completion_request(PROMPT, {"stop": given_stops}).stop == expected


def test_max_new_tokens_is_another_name_of_max_tokens() -> None:
    assert make_completion_request(PROMPT, {"max_new_tokens": 3}).max_tokens == 3


def test_several_completions_cannot_be_streamed() -> None:
    with pytest.raises(InputError, match=r"^n:"):
        make_completion_request(PROMPT, {"n": 2, "on_text": print})


def test_engines_own_names_work_on_every_backend() -> None:
    given = make_completion_request(Prompt(()), {"max_new_tokens": 7, "repeat_penalty": 1.2})
    assert given.max_tokens == 7
    assert given.extra == {"repetition_penalty": 1.2}
