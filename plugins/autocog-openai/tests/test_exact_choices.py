"""vLLM and SGLang return named tokens: choices are exact, with as few requests as possible."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from autocog_core import EOS, Automaton, ChoiceScores, Complete, Text, TopChoices, TreeQuery
from autocog_core.errors import CapabilityError
from tests.support.openai.pairs import Pair
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.vllm import VLLM

#: More first tokens than one request may name.
MANY = [chr(code) for code in range(1, 128)]
MANY += [chr(code) for code in range(0x80, 0x800, 0x40)]
MANY += [chr(code) for code in range(0x800, 0xD000, 0x40)][: 200 - len(MANY)]


def assert_same(found: ChoiceScores, expected: ChoiceScores) -> None:
    """Check that all numbers are the model's own, and marked exact."""
    assert found.exact
    assert (found.method, found.reason, found.unseen_probability) == ("tree", "", 0.0)
    mine, other = found.to_dict(), expected.to_dict()
    scores = zip(mine.pop("scores"), other.pop("scores"), strict=True)
    for one, another in scores:
        assert one.pop("tokens") == another.pop("tokens")
        assert one.pop("choice") == another.pop("choice")
        for name, value in another.items():
            assert one[name] == (None if value is None else pytest.approx(value, abs=1e-5)), name
    for name in ("tokens_evaluated", "entropy", "margin"):
        value = other.pop(name)
        assert name == "tokens_evaluated" or mine[name] == pytest.approx(value, abs=1e-5)
        mine.pop(name)
    assert mine == other


@pytest.mark.parametrize(
    ("prompt", "choices", "arguments"),
    [
        ("The capital is", [" Paris", " Lyon", " Rome"], {"norm": "mean"}),
        ("The capital is", [" Paris", " Lyon", " Rome"], {"norm": "per_byte"}),
        ("The capital is", [" Paris", " Lyon"], {"norm": "pmi"}),
        ("The capital is", [" Paris", " Lyon"], {"norm": "pmi", "unconditional_prompt": "Answer:"}),
        ("The capital is ", ["Paris", "Lyon"], {}),
        ("The capital is", [" Paris", " Paris, the", " Paris, the city"], {}),
        ("The capital is", [" Paris", " Lyon"], {"suffix": "\n"}),
        ("One: 1", ["0", "00", "000"], {"suffix": "."}),
        ("Où ?", [" où", " ça", " été", " 東京", " 東大", " 🙂", " 🙃"], {"norm": "per_byte"}),
        ("Says <|eos|>", [" <|end|>", " no"], {}),
        ("Only", [" one"], {}),
        ([72, 105], [" a", " b"], {"boundary": "strict"}),
    ],
)
def test_choices_have_the_scores_of_the_model_itself(
    pair: Pair, prompt: Any, choices: list[str], arguments: dict[str, Any]
) -> None:
    expected = pair.truth.choose(prompt, choices, **arguments)
    assert_same(pair.model.choose(prompt, choices, **arguments), expected)


def test_two_hundred_choices_respect_the_limit_of_named_tokens(pair: Pair) -> None:
    expected = pair.truth.choose("Pick: ", MANY)
    firsts = Counter(score.tokens[0] for score in expected.scores)
    assert len(MANY) == 200
    assert len(firsts) > 128
    assert_same(pair.model.choose("Pick: ", MANY), expected)
    named = [
        len(body.get("logprob_token_ids") or body.get("token_ids_logprob"))
        for body in pair.scored()
    ]
    if pair.kind == "vllm":
        assert max(named) == 128


def test_eos_is_probed_and_scored(pair: Pair) -> None:
    assert pair.model.as_model().info.eos == pair.truth.info.eos
    choices = ["b", "bc", "d"]
    found = pair.model.choose("A", choices, suffix=EOS)
    assert_same(found, pair.truth.choose("A", choices, suffix=EOS))


def test_automata_stop_at_eos(pair: Pair) -> None:
    first = Text(uid="text", text="A", successors="complete")
    automaton = Automaton([first, Complete(uid="complete", length=5, beams=4)])
    found, own = automaton.run(pair.model.as_model()), automaton.run(pair.truth)
    assert own.best().end.finish_reason is not None
    for node, other in zip(found.nodes, own.nodes, strict=True):
        assert (node.tokens, node.finish_reason) == (other.tokens, other.finish_reason)


def test_each_position_is_requested_once_and_the_first_one_first(pair: Pair) -> None:
    choices = [" Paris", " Paris, the", " Parma", " Lyon", " Lyons"]
    expected = pair.truth.choose("The capital is", choices)
    base = pair.truth.encode("The capital is")
    inner = {
        (*base, *score.tokens[:length])
        for score in expected.scores
        for length in range(len(score.tokens))
    }
    pair.model.choose("The capital is", choices)
    asked = [tuple(body.get("prompt") or body.get("input_ids")) for body in pair.scored()]
    assert Counter(asked) == Counter(inner)
    assert asked[0] == tuple(base)


def test_the_best_choice_needs_a_part_of_the_positions_each_of_them_once(pair: Pair) -> None:
    names = ["Paris", "Parma", "Lyon", "Lyons", "Lille", "Nice", "Nancy", "Nantes", "Rennes"]
    choices = [f" {name} {number}{number}" for name in names for number in (12, 34, 5)]
    expected = pair.truth.choose("The capital is", choices)
    asked = {}
    for top in (None, 1):
        pair.server.log.clear()
        found = pair.model.choose("The capital is", choices, **({"top": top} if top else {}))
        bodies = (body.get("prompt") or body.get("input_ids") for body in pair.scored())
        asked[top] = [tuple(tokens) for tokens in bodies]
    assert isinstance(found, TopChoices)
    assert (found.choice, found.proven, found.exact) == (expected.choice, True, True)
    assert found.best.logprob == pytest.approx(expected.best.logprob, abs=1e-5)
    low, high = found.prob_bounds
    assert low - 1e-6 <= expected.best.prob <= high + 1e-6
    assert max(Counter(asked[1]).values()) == 1
    assert len(asked[1]) == found.nodes_read < found.nodes == len(asked[None])
    assert asked[1][0] == tuple(pair.truth.encode("The capital is"))
    info = pair.model.as_model().info
    assert info.nodes_per_step == info.max_concurrency


def test_the_first_position_is_answered_before_others_are_requested(connect: Connect) -> None:
    server = VLLM(Engine(delay=0.03))
    model = connect(server, max_concurrency=3)
    assert model.as_model().info.max_concurrency == 3
    server.log.clear()
    before = server.engine.evaluated
    found = model.choose("The capital is", [" Paris", " Lyon", " Rome", " Oslo", " Bern"])
    assert server.log.most_in_flight == 3
    # All but the first find the prompt in the server's cache.
    assert found.tokens_evaluated == server.engine.evaluated - before
    inner = len(server.log.bodies("/v1/completions"))
    assert found.tokens_evaluated <= len(server.engine.model.encode("The capital is")) + 5 * inner


def test_trees_of_one_call_share_their_positions(pair: Pair) -> None:
    prompts = ["The capital is", "The capital is", "The river is"]
    choices = [" Paris", " Lyon"]
    expected = pair.truth.choose_many(prompts, choices)
    for found, other in zip(pair.model.choose_many(prompts, choices), expected, strict=True):
        assert_same(found, other)


@pytest.mark.parametrize("top_k", [0, 3, 20])
def test_generated_trees_have_the_values_of_the_model_itself(pair: Pair, top_k: int) -> None:
    generator = np.random.default_rng(top_k)
    size = pair.server.engine.size
    queries = []
    for _ in range(6):
        count = int(generator.integers(0, 12))
        parents = np.array([generator.integers(-1, i) if i else -1 for i in range(count)], np.int32)
        tokens = generator.integers(0, size, count).astype(np.int32)
        prefix = generator.integers(0, 256, int(generator.integers(1, 9))).tolist()
        at = np.array(sorted({-1, *generator.integers(-1, max(count, 1), 3).tolist()}), np.int32)
        at = at[at < count] if top_k else np.zeros(0, np.int32)
        queries.append(
            TreeQuery(prefix=prefix, tokens=tokens, parents=parents, top_at=at, top_k=top_k)
        )
    found = pair.model.as_model().client.greedy_tree(queries)
    expected = pair.truth.client.greedy_tree(queries)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)
        np.testing.assert_array_equal(one.top_tokens, other.top_tokens)
        np.testing.assert_allclose(one.top_logprobs, other.top_logprobs, atol=1e-5)


def test_more_tokens_than_the_server_lists_are_an_error(pair: Pair) -> None:
    nothing = np.zeros(0, np.int32)
    query = TreeQuery(
        prefix=[65], tokens=nothing, parents=nothing, top_at=np.array([-1], np.int32), top_k=21
    )
    client = pair.model.as_model().client
    if pair.kind == "vllm":
        with pytest.raises(CapabilityError, match="21 most likely"):
            client.greedy_tree([query])
        assert all(body["logprobs"] <= 20 for body in pair.scored())
        return
    expected = pair.truth.client.greedy_tree([query])[0]
    np.testing.assert_array_equal(client.greedy_tree([query])[0].top_tokens, expected.top_tokens)


def test_an_older_vllm_is_not_exact(connect: Connect) -> None:
    server = VLLM(named_tokens=False)
    model = connect(server)
    assert model.as_model().info.details["token_logprobs"] is False
    assert "greedy_tree_impl" not in model.as_model().capabilities
    truth = server.engine.model
    likeliest = [each.raw for each in truth.next_tokens("Hi", 20)]
    unlikely = next(chr(code) for code in range(33, 127) if chr(code).encode() not in likeliest)
    seen = next(raw.decode() for raw in likeliest if raw.isascii() and raw.strip())
    found = model.choose("Hi", [seen, unlikely])
    expected = truth.choose("Hi", [seen, unlikely])
    assert (found.exact, found.method) == (False, "top_logprobs")
    assert found.scores[0].logprob == pytest.approx(expected.scores[0].logprob, abs=1e-5)
    assert found.scores[1].logprob == -np.inf
    assert found.unseen_probability >= np.exp(expected.scores[1].logprob)
    with pytest.raises(CapabilityError, match="named tokens"):
        model.choose("Hi", ["a", "b"], method="tree")
