"""A real llama-server with autocog-openai, compared with llama.cpp in this process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field

from autocog_core import EOS, Automaton, Complete, InputError, Model, Text, load
from autocog_core.testing import LAWS, BackendUnderTest, Law, conformance
from autocog_openai import OpenAI
from tests.support.real_servers import llama_server
from tests.support.soak import count

pytest.importorskip("autocog_llamacpp")
pytest.importorskip("autocog_openai")
pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
#: Laws that take seconds here, where each row is a whole distribution in JSON: checked before a
#: release. Every run checks them on the protocol servers of autocog-openai's tests; what this
#: server does is held against llama.cpp by the other tests of this file.
LONG = {
    *(
        "distribution",
        "determinism",
        "returned_rows_stay_unchanged",
        "last_token_matters",
        "first_tokens_matter",
    ),
    *(
        "whole_context_matters",
        "tree_scores_match",
        "top_k_matches",
        "chain_rule",
        "choice_batches_match",
    ),
    *(
        "long_choices",
        "best_choices_match",
        "norms_and_suffixes",
        "two_models",
        "cache_is_transparent",
        "repeated_choices_match",
        "isolated_choices_match",
    ),
    *(
        "new_model_same_rows",
        "stops_at_eos",
        "greedy_completion_is_scored",
        "stop_strings_match",
        "sampling_filters",
        "context_limit",
    ),
    # What a slot kept changes last digits, and with them now and then a sample.
    "seed_repeats_sample",
}
#: SmolLM2 adds no BOS and declares no borders; none of its choices is as unlikely as that law asks.
NOT_APPLICABLE = {"word_boundaries", "matches_reference", "bos_counts", "long_choices"}


class Place(BaseModel, extra="forbid"):
    """A record, as for OpenAI's SDK."""

    country: Literal["France", "Italy"]
    is_city: bool


@pytest.fixture(scope="module")
def pair(tmp_path_factory: Any, weights: Path) -> Iterator[tuple[Model, Model]]:
    """The same weights on a server and in this process."""
    folder = tmp_path_factory.mktemp("smol")
    with (
        pytest.MonkeyPatch.context() as patch,
        llama_server(weights, context=count(1024, 8192)) as url,
    ):
        patch.setenv("AUTOCOG_CACHE", str(folder / "cache"))
        options = {"model": "smol", "base_url": url + "/v1", "max_concurrency": 8}
        own = {"model_path": str(weights), "n_ctx": 2048}
        with (
            load(backend="openai", options=options) as server,
            load(backend="llamacpp", options=own) as here,
        ):
            yield server, here


def test_tokens_are_the_same(pair: tuple[Model, Model]) -> None:
    server, here = pair
    for text in (
        "The capital",
        "h\u00e9llo <|im_end|> \U0001f389  x\n\t",
        "\u65e5\u672c\u8a9e",
        " ",
    ):
        assert server.tokenize(text) == here.tokenize(text)
        assert server.tokenize(text, parse_special=True) == here.tokenize(text, parse_special=True)
        assert server.detokenize_bytes(server.tokenize(text)) == text.encode()
    assert list(server.client.vocabulary()) == list(here.client.vocabulary())
    assert server.info.eos == here.info.eos
    messages = [{"role": "user", "content": "Say <|im_end|> twice."}]
    assert server.encode(server.chat_prompt(messages)) == here.encode(here.chat_prompt(messages))


@pytest.mark.parametrize(
    "kind",
    [
        "json_schema",
        pytest.param("regex", marks=pytest.mark.soak),
        pytest.param("grammar", marks=pytest.mark.soak),
    ],
)
def test_constrained_texts_are_those_of_cores_masks(pair: tuple[Model, Model], kind: str) -> None:
    server, here = pair
    argument = {
        "regex": " (Lyon|Rome|Oslo), [0-9]{2}",
        "grammar": 'start: " " CITY ("," " " CITY){2}\nCITY: "Rome" | "Oslo"',
        "json_schema": Place,
    }[kind]
    assert kind in server.info.constraints
    assert server.info.details["constrained_logprobs"] == "own"
    prompt = "The capital of France is"
    found, expected = (
        model.complete(prompt, max_tokens=32, temperature=0, **{kind: argument}) for model in pair
    )
    assert found.text == expected.text
    # The server's mask allows only one of the EOS tokens.
    assert found.tokens[:-1] == expected.tokens[:-1]
    assert {found.tokens[-1], expected.tokens[-1]} <= set(here.info.eos)
    assert found.logprobs[:-1] == pytest.approx(expected.logprobs[:-1], abs=here.info.tolerance)
    assert (found.finish_reason, found.allowed, found.reason) == ("eos", None, "")
    if kind == "json_schema":
        assert Place.model_validate_json(found.text).country == "France"
    assert "".join(server.stream(prompt, temperature=0, **{kind: argument})) == found.text


def test_constraints_in_programs_by_both_strategies(pair: tuple[Model, Model]) -> None:
    server, _ = pair
    text = Text(uid="text", text="The capital of Italy is", successors=("city",))
    automaton = Automaton([text, Complete(uid="city", length=8, regex=" (Lyon|Rome)")])
    by_text, by_tree = (automaton.run(server, strategy=each) for each in ("text", "token_tree"))
    assert by_text.nodes[-1].text == by_tree.nodes[-1].text == " Rome"
    assert all(node.exact for node in (*by_text.nodes, *by_tree.nodes))
    assert by_text.nodes[-1].logprobs[0] == pytest.approx(by_tree.nodes[-1].logprobs[0], abs=0.25)
    # A refused one does not reach the server, which would ignore it.
    with pytest.raises(InputError, match="look-around"):
        server.complete("a", regex="(?=a)b")


class Visit(Place):
    """A record with a text, whose masks need whole rows."""

    city: str = Field(max_length=12)


@pytest.mark.parametrize("schema", [Place, pytest.param(Visit, marks=pytest.mark.soak)])
def test_a_record_is_that_of_llama_cpp(pair: tuple[Model, Model], schema: type[Place]) -> None:
    server, here = pair
    prompt = "Rome is a city in Italy. As JSON:\n"
    found, expected = (model.record(prompt, schema) for model in (server, here))
    assert isinstance(found.value, schema)
    assert found.value == expected.value
    assert found.tree.provenance["strategy"] == "token_tree"
    for path, field in found.fields.items():
        assert field.prob == pytest.approx(expected.fields[path].prob, abs=0.1)
        assert math.fsum(each.prob for each in field.alternatives) == pytest.approx(1) or (
            path == "city"
        )


@pytest.fixture(scope="module")
def subject(pair: tuple[Model, Model]) -> Iterator[BackendUnderTest]:
    server, _ = pair
    options = {"model": "smol", "base_url": server.info.details["base_url"]}

    def make_pair() -> tuple[OpenAI, OpenAI]:
        created = OpenAI.create(**options)
        return OpenAI(**created), OpenAI(**created)

    made = BackendUnderTest(
        lambda: load(backend="openai", options=options),
        make_pair=make_pair,
        prompts=("a b", "1 + 1 ="),
        choices=(" 1", " 10", "é"),
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(law, id=law.name, marks=pytest.mark.soak if law.name in LONG else ())
        for law in LAWS
    ],
)
def test_a_real_server_passes_the_laws(subject: BackendUnderTest, law: Law) -> None:
    (found,) = conformance(subject, [law])
    expected = "not applicable" if law.name in NOT_APPLICABLE else "holds"
    assert found.status == expected, found.violation or found.reason


def test_whole_distributions_agree(pair: tuple[Model, Model]) -> None:
    server, here = pair
    for prompt in ("The capital of France is", "Once upon a time"):
        apart = np.abs(server.greedy(prompt) - here.greedy(prompt))
        assert float(apart.max()) <= here.info.tolerance


CHOICES: list[tuple[str, list[str], dict[str, Any]]] = [
    ("The capital of France is", [" Paris", " Lyon", " the city of light", " a"], {}),
    ("The capital of France is ", ["Paris", "Rome"], {}),
    ("1 + 9 =", [" 1", " 10", " 100", " 2"], {}),
    ("Is it so? Answer:", [" yes", " no", " \u00e9t\u00e9", " \U0001f389"], {"suffix": "\n"}),
    ("Is it so? Answer:", [" yes", " no"], {"suffix": EOS, "norm": "mean"}),
    ("Is it so? Answer:", [" yes", " no"], {"norm": "pmi", "unconditional_prompt": "Answer:"}),
]


@pytest.mark.parametrize(("prompt", "choices", "more"), CHOICES)
def test_choices_score_the_same(
    pair: tuple[Model, Model], prompt: str, choices: list[str], more: dict[str, Any]
) -> None:
    _, here = pair
    found, expected = (model.choose(prompt, choices, **more) for model in pair)
    assert found.exact
    assert found.method == "tree"
    assert found.choice == expected.choice
    tolerance = here.info.tolerance
    for one, other in zip(found.scores, expected.scores, strict=True):
        assert one.tokens == other.tokens
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=tolerance)
        assert one.logprob == pytest.approx(other.logprob, abs=tolerance * len(one.tokens))


@pytest.mark.soak
def test_all_intents_of_banking_score_the_same(pair: tuple[Model, Model]) -> None:
    server, here = pair
    automaton = Automaton.from_file(EXAMPLES / "routing" / "routing.yaml")
    intents = [" " + intent for intent in automaton.inputs["intents"].default]
    prompt = "Message: I lost my card\nIntent:"
    found, expected = server.choose(prompt, intents), here.choose(prompt, intents)
    assert found.exact
    assert found.choice == expected.choice
    for one, other in zip(found.scores, expected.scores, strict=True):
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=here.info.tolerance)
    # By named tokens, and by listings of the most likely ones.
    for method in ("tree", "top_logprobs"):
        best = server.choose(prompt, intents, top=1, method=method)
        assert (best.choice, best.proven, best.exact) == (found.choice, True, True)
        assert best.best.logprob == pytest.approx(found.best.logprob, abs=here.info.tolerance)
        assert best.nodes_read is not None
        assert best.nodes is not None
        assert best.nodes_read <= best.nodes


def test_greedy_completions_are_the_same(pair: tuple[Model, Model]) -> None:
    server, here = pair
    prompt, most = "The capital of France is", count(12, 24)
    finishes = set()
    for stop in ((), ("\n",), (". The",)):
        found, expected = (
            model.complete(prompt, max_tokens=most, stop=stop, temperature=0) for model in pair
        )
        finishes.add(found.finish_reason)
        assert (found.text, found.tokens) == (expected.text, expected.tokens)
        assert (found.finish_reason, found.stop_string) == (
            expected.finish_reason,
            expected.stop_string,
        )
        assert found.logprobs == pytest.approx(expected.logprobs, abs=here.info.tolerance)
    assert finishes == {"length", "stop"}
    pieces = list(server.stream(prompt, max_tokens=most, temperature=0))
    assert "".join(pieces) == here.complete(prompt, max_tokens=most).text
    assert len(pieces) > most / 3


def test_an_end_of_sequence_ends_a_completion(pair: tuple[Model, Model]) -> None:
    server, _ = pair
    found, expected = (model.complete("Is 2 + 2 = 4?", max_tokens=3) for model in pair)
    assert found.finish_reason == expected.finish_reason == "eos"
    assert found.tokens == expected.tokens
    assert found.tokens[-1] in server.info.eos


@pytest.mark.parametrize("given", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}])
def test_filters_reach_the_server(pair: tuple[Model, Model], given: dict[str, Any]) -> None:
    server, here = pair
    prompt = "The capital of France is"
    # Nothing but the likeliest token is left, which a sample at this temperature hardly ever is.
    found = server.complete(prompt, max_tokens=3, temperature=5.0, seed=1, **given)
    assert found.tokens == here.complete(prompt, max_tokens=3).tokens


def test_samples_have_the_models_own_log_probabilities(pair: tuple[Model, Model]) -> None:
    server, here = pair
    prompt = "The weather today is"
    found = server.complete(prompt, max_tokens=8, temperature=0.7, n=3, seed=5)
    for one in (found, *found.alternatives):
        tokens = here.encode(prompt)
        assert one.logprobs is not None
        for token, logprob in zip(one.tokens, one.logprobs, strict=True):
            assert float(here.greedy(tokens)[token]) == pytest.approx(
                logprob, abs=here.info.tolerance
            )
            tokens.append(token)


@pytest.mark.parametrize(
    "name",
    [
        *("triage", "speed_of_light"),
        pytest.param("shopping_list", marks=pytest.mark.soak),
        pytest.param("quiz", marks=pytest.mark.soak),
        pytest.param("routing", marks=pytest.mark.soak),
    ],
)
def test_examples_find_the_same_best_path(pair: tuple[Model, Model], name: str) -> None:
    automaton = Automaton.from_file(EXAMPLES / name / f"{name}.yaml")
    rows = EXAMPLES / name / ("questions.jsonl" if name == "quiz" else "messages.jsonl")
    given = json.loads(rows.read_text(encoding="utf-8").splitlines()[0]) if rows.exists() else {}
    given = {key: value for key, value in given.items() if key in automaton.inputs}
    if name == "routing":
        given["intents"] = automaton.inputs["intents"].default[:12]
    found, expected = (automaton.run(model, given) for model in pair)
    assert found.provenance["strategy"] == expected.provenance["strategy"] == "token_tree"
    assert found.best().text == expected.best().text
    assert all(node.exact for node in found.nodes)
    best = expected.best()
    assert found.best().logprob == pytest.approx(
        best.logprob, abs=pair[1].info.tolerance * max(1, best.end.length)
    )


def test_examples_run_by_choose_and_complete_alone(pair: tuple[Model, Model]) -> None:
    server, here = pair
    automaton = Automaton.from_file(EXAMPLES / "quiz" / "quiz.yaml")
    row = json.loads((EXAMPLES / "quiz" / "questions.jsonl").read_text().splitlines()[0])
    given = {key: value for key, value in row.items() if key in automaton.inputs}
    tree = automaton.run(server, given, strategy="text")
    assert tree.provenance["strategy"] == "text"
    assert tree.best().text == automaton.run(here, given).best().text


def test_chat_route_agrees_where_all_is_listed(pair: tuple[Model, Model], tmp_path: Path) -> None:
    server, here = pair
    base_url = server.info.details["base_url"]
    messages = [{"role": "user", "content": "Is the sky blue? Answer yes or no."}]
    options = {"model": "smol", "base_url": base_url, "api": "chat", "tokenizer": None}
    with load(backend="openai", options=options) as chat:
        found = chat.choose(messages=messages, choices=["Yes", "No", "I"])
        expected = here.choose(messages=messages, choices=["Yes", "No", "I"])
        for one, other in zip(found.scores, expected.scores, strict=True):
            if found.exact:
                assert one.logprob == pytest.approx(other.logprob, abs=here.info.tolerance)
            else:
                assert one.logprob <= other.logprob + here.info.tolerance
        assert found.method == "top_logprobs"
        picked = chat.choose(messages=messages, choices=["Yes", "No"], method="pick")
        assert picked.choice in ("Yes", "No")
        assert not picked.exact


def test_conversations_in_programs_are_those_of_this_process(pair: tuple[Model, Model]) -> None:
    server, here = pair
    base_url = server.info.details["base_url"]
    actions: list[dict[str, Any]] = [
        {"messages": [{"system": "Answer with one word."}, {"user": "Is the sky blue?"}]},
        {"name": "sky", "choices": ["Yes", "No"]},
        {"messages": [{"user": "{{ fields.sky }}? <|im_end|> Count to ten."}]},
        {"text": "1, 2, 3, 4, 5,"},
        {"name": "next", "length": 3},
    ]
    program = Automaton.from_dict({"actions": actions})
    expected = program.run(here)
    options = {"model": "smol", "base_url": base_url, "api": "chat"}
    with load(backend="openai", options=options) as chat:
        trees = {"token_tree": program.run(server), "text": program.run(chat)}
    for strategy, tree in trees.items():
        assert tree.provenance["strategy"] == strategy
        # The chat route repeats the beginning of an answer, which is no part of the completion.
        assert tree.best().fields == expected.best().fields
        for one, other in zip(tree.nodes, expected.nodes, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=3 * here.info.tolerance)


def test_too_long_a_prompt_is_a_clear_error_and_the_next_call_works(
    pair: tuple[Model, Model],
) -> None:
    from autocog_core.errors import ContextOverflowError

    server, _ = pair
    with pytest.raises(ContextOverflowError):
        server.complete("word " * 4000, max_tokens=4)
    assert server.complete("Hello", max_tokens=2).tokens
