"""llama-cpp-python's server with autocog-openai: no token ids, and a wrong echo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, CapabilityError, EngineError, Model, load
from autocog_core.config.options import package_file
from tests.support.engines import SMOL
from tests.support.real_servers import llama_cpp_server
from tests.support.soak import count

pytest.importorskip("autocog_openai")
pytest.importorskip("llama_cpp")
pytest.importorskip("uvicorn")
pytest.importorskip("sse_starlette")
pytestmark = pytest.mark.soak

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: Any) -> Iterator[tuple[Model, Model]]:
    """The same weights on a server and in this process, quantized as they come."""
    weights = package_file(SMOL)
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, llama_cpp_server(weights) as url:
        patch.setenv("AUTOCOG_CACHE", str(cache))
        options = {"model": str(weights), "base_url": url + "/v1", "max_concurrency": 2}
        own = {"model_path": str(weights), "n_ctx": 1024}
        with (
            load(backend="openai", options=options) as server,
            load(backend="llamacpp", options=own) as here,
        ):
            yield server, here


@pytest.mark.soak
def test_its_wrong_echo_is_not_used(pair: tuple[Model, Model]) -> None:
    server, _ = pair
    details = server.info.details
    assert details["prompt_logprobs"] == "wrong"
    assert not details["token_ids"]
    assert "greedy_tree_impl" not in server.capabilities


def test_tokens_are_the_same(pair: tuple[Model, Model]) -> None:
    server, here = pair
    texts = ("h\u00e9llo \U0001f389  x\n", "The capital of France is", "\u65e5\u672c\u8a9e")
    for text in texts[: count(1, 3)]:
        assert server.tokenize(text) == here.tokenize(text)
        assert server.detokenize(server.tokenize(text)) == text


def test_choices_score_the_same(pair: tuple[Model, Model]) -> None:
    server, here = pair
    for prompt, choices in (
        ("The capital of France is", [" Paris", " Lyon", " the city of light"]),
        ("1 + 9 =", [" 1", " 10", " 100"]),
    ):
        found, expected = server.choose(prompt, choices), here.choose(prompt, choices)
        assert found.method == "top_logprobs"
        assert found.exact
        assert found.choice == expected.choice
        for one, other in zip(found.scores, expected.scores, strict=True):
            assert one.tokens == other.tokens
            assert one.token_logprobs == pytest.approx(
                other.token_logprobs, abs=here.info.tolerance
            )


def test_whole_distributions_are_not_offered(pair: tuple[Model, Model]) -> None:
    # It lists tokens by their texts, and several share one.
    with pytest.raises(CapabilityError, match="greedy_impl"):
        pair[0].greedy("The capital of France is")


@pytest.mark.soak
def test_a_constraint_that_it_obeys_only_in_part_is_noticed(pair: tuple[Model, Model]) -> None:
    server, _ = pair
    options = {"model": server.info.details["model"], "base_url": server.info.details["base_url"]}
    bounded = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Lyon"]}, "n": {"type": "integer", "maximum": 9}},
        "required": ["city", "n"],
        "additionalProperties": False,
    }
    with load(backend="openai", options={**options, "api": "chat"}) as chat:
        assert chat.info.details["constraint_forms"] == {"json_schema": "json_object"}
        loose = {
            **bounded,
            "properties": {"city": {"enum": ["Paris", "Lyon"]}},
            "required": ["city"],
        }
        found = chat.complete("The capital of France is", json_schema=loose, temperature=0)
        assert json.loads(found.text)["city"] in ("Paris", "Lyon")
        with pytest.raises(EngineError, match="does not meet its json_schema"):
            chat.complete("The capital of France is", json_schema=bounded, temperature=0)


def test_completions(pair: tuple[Model, Model]) -> None:
    server, here = pair
    prompt = "The capital of France is"
    # Few: with quantized weights the two part ways where two tokens are nearly as likely.
    found = server.complete(prompt, max_tokens=3, temperature=0)
    expected = here.complete(prompt, max_tokens=3)
    assert found.text == expected.text
    assert found.logprobs == pytest.approx(expected.logprobs, abs=here.info.tolerance)
    stopped = server.complete(prompt, max_tokens=12, temperature=0, stop=".")
    assert stopped.finish_reason == "stop"
    assert stopped.text == here.complete(prompt, max_tokens=12, stop=".").text
    pieces = list(server.stream(prompt, max_tokens=3, temperature=0))
    assert "".join(pieces) == found.text
    assert len(pieces) > 1


@pytest.mark.parametrize(
    "name",
    [
        "triage",
        pytest.param("quiz", marks=pytest.mark.soak),
        pytest.param("shopping_list", marks=pytest.mark.soak),
    ],
)
def test_examples_run_by_choose_and_complete(pair: tuple[Model, Model], name: str) -> None:
    server, _ = pair
    automaton = Automaton.from_file(EXAMPLES / name / f"{name}.yaml")
    rows = EXAMPLES / name / ("questions.jsonl" if name == "quiz" else "messages.jsonl")
    given = json.loads(rows.read_text(encoding="utf-8").splitlines()[0]) if rows.exists() else {}
    given = {key: value for key, value in given.items() if key in automaton.inputs}
    tree = automaton.run(server, given)
    assert tree.provenance["strategy"] == "text"
    assert tree.best().fields
    for node in tree.nodes:
        assert node.exact or node.reason


def test_a_position_with_eos_first_lists_nothing(pair: tuple[Model, Model]) -> None:
    server, here = pair
    # The server lists nothing if EOS is the most likely token.
    prompt = "Is 2 + 2 = 4?"
    ends = {token.token for token in here.next_tokens(prompt, 1)} & set(here.info.eos)
    assert ends, "the model would end the text here"
    found = server.choose(prompt, ["yes", "no"], method="top_logprobs")
    assert not found.exact
    assert found.reason
    assert found.unseen_probability == pytest.approx(1.0)
