"""The best choices by a server's methods, against the scores of the model itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    EOS,
    ChoiceRequest,
    ChoiceScores,
    Model,
    Prompt,
    TextPiece,
    TopChoices,
)
from autocog_core.types.choice import SCORE_FIELD_OF_NORM
from autocog_core.types.search_goal import SearchGoal
from autocog_openai.choice.top_search import NOT_FOLLOWED
from autocog_openai.choice.tree_positions import Position, TokenNames
from autocog_openai.choice.tree_walk import walk_choice_tree
from autocog_openai.connection.streamed_completion import ServerToken
from autocog_openai.routes.listed_tokens import MIN_REAL_LOGPROB, TokenListing, build_listing
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.openai_api import CHAT, DECIDER, INSTRUCT, OpenAIServer
from tests.support.openai.servers.wrong_echo import WrongEcho
from tests.support.small_backends import random_model, table_model
from tests.support.soak import count

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
MESSAGES = [{"role": "user", "content": "Yes or no?"}]


class Lister:
    """Lists the most likely tokens of a model, as servers do.

    :ivar positions: the paths that were requested.
    """

    def __init__(self, model: Model, generator: random.Random) -> None:
        self._model = model
        self._base = model.encode("Q")
        self._count = generator.choice([1, 2, 3, 5, 20, 256])
        self._deepest = generator.choice([1, 2, 9, 9, 9])
        self._written = generator.choice([True, False])
        self._hidden = generator.choice([0.0, 0.0, 0.2])
        self._seed = generator.random()
        self.lists_all = generator.random() < 0.2
        if self.lists_all:
            self._written = False
        self.positions: list[tuple[int, ...]] = []

    def __call__(self, positions: Sequence[Position]) -> list[TokenListing | None]:
        return [self._list(position) for position in positions]

    def _list(self, position: Position) -> TokenListing | None:
        path, is_all = position.path, self.lists_all and position.length != "short"
        assert (path in self.positions) is (position.length == "all"), "requested twice"
        self.positions += [path] * (path not in self.positions)
        if len(path) >= self._deepest:
            return None
        generator = random.Random(f"{self._seed} {path}")
        row = self._model.greedy([*self._base, *path]).astype(np.float64)
        listed = np.argsort(-row, kind="stable")[: None if is_all else self._count].tolist()
        if self._written:
            # In place of the last one: a token that was drawn, and is not among the most likely.
            listed = dict.fromkeys([generator.randrange(len(row)), *listed[:-1]])
        # Some have no identity, as parts of characters have none.
        return build_listing(
            ServerToken(
                token=None if generator.random() < self._hidden else token,
                raw=b"\xef\xbf\xbd",
                logprob=max(-9999.0, float(row[token])),
            )
            for token in listed
        )


def draw_model(generator: random.Random) -> Model:
    if generator.random() < 0.3:
        return random_model(seed=generator.randrange(100))
    rows: dict[str, dict[str, float]] = {}
    shares = generator.choice([(0.0, 0.1, 0.2, 0.25), (0.05, 0.1, 0.2, 0.65), (0.7, 0.2, 0.05, 0)])
    for length in range(4):
        for letters in product("abc", repeat=length):
            tokens = ["a", "b", "c", generator.choice(["1", "2", " ", "e", "t", "<|eos|>"])]
            generator.shuffle(tokens)
            rows["Q" + "".join(letters)] = dict(zip(tokens, shares, strict=True))
    return table_model(rows)


def draw_choices(generator: random.Random) -> tuple[str, ...]:
    alphabet = generator.choice(["ab", "abc", "abc", "abc12 et"])
    texts = {""}
    for _ in range(generator.randint(1, 25)):
        start = generator.choice(sorted(texts))
        texts.add(start + "".join(generator.choices(alphabet, k=generator.randint(1, 3))))
    texts.discard("")
    choices = sorted(texts)
    generator.shuffle(choices)
    return tuple(choices)


def score_of(scores: ChoiceScores, index: int) -> float:
    return float(getattr(scores.scores[index], SCORE_FIELD_OF_NORM[scores.norm]))


def assert_true(part: TopChoices, truth: ChoiceScores, wanted: SearchGoal) -> None:
    """Check what is claimed: the proof, exact scores, bounds and intervals."""
    ranked = sorted(range(len(truth.scores)), key=lambda i: (-score_of(truth, i), i))
    if part.proven:
        assert {each.index for each in part.top} == set(ranked[: wanted.top])
    if part.proven and part.exact:
        assert [each.index for each in part.top] == ranked[: wanted.top]
    for each in part.top:
        expected = truth.scores[each.index]
        if part.exact:
            for name in ("logprob", "exclusive_logprob", "mean_logprob", "logprob_per_byte"):
                value = getattr(expected, name)
                assert getattr(each, name) == pytest.approx(value, abs=1e-9), name
        assert each.score <= score_of(truth, each.index) + 1e-9
        low, high = each.prob_bounds
        assert low - 1e-9 <= expected.prob <= high + 1e-9
        assert each.prob in (None, pytest.approx(expected.prob, abs=1e-9))
    for index, bound in enumerate(part.score_bounds):
        assert bound >= score_of(truth, index) - 1e-9
    if wanted.at_least is not None and part.is_at_least is not None and part.proven and part.exact:
        assert part.is_at_least is (truth.best.prob >= wanted.at_least)


@pytest.mark.parametrize("block", range(4))
def test_walks_prove_only_what_is_true(block: int) -> None:
    proven_in_part = saved = 0
    for number in range(count(25, 2000)):
        generator = random.Random(f"{block} {number}")
        model, choices = draw_model(generator), draw_choices(generator)
        wanted = SearchGoal(
            top=generator.choice([1, 1, 2, 5]),
            **generator.choice([{}, {}, {"within": 0.05}, {"at_least": 0.5}]),
        )
        request = ChoiceRequest(
            prompt=Prompt((TextPiece("Q"),)),
            choices=choices,
            norm=generator.choice(["sum", "sum", "mean", "per_byte"]),
            suffix=generator.choice([None, None, "1", EOS]),
        )
        truth = model.choose("Q", list(choices), norm=request.norm, suffix=request.suffix)
        names = TokenNames(token_bytes=model.client.token_bytes, shared_bytes=frozenset())
        walks: list[Any] = []
        listers = [Lister(model, random.Random(f"{number}")) for _ in range(2)]
        for lister, top in zip(listers, (None, wanted), strict=True):
            asked = replace(request, top=top)
            walks.append(
                walk_choice_tree(
                    model.client,
                    asked,
                    lister,
                    names,
                    unlisted_reason="not listed",
                    lists_all=lister.lists_all,
                )
            )
        whole, part = walks
        assert_true(part, truth, wanted)
        values = [value for score in whole.scores for value in score.token_logprobs]
        # So unlikely tokens may be no real ones.
        if whole.exact and min(values) > MIN_REAL_LOGPROB:
            assert part.exact
            assert part.proven
        assert part.nodes_read == len(listers[1].positions) <= len(listers[0].positions)
        saved += len(listers[1].positions) < len(listers[0].positions)
        proven_in_part += part.proven and not whole.exact
        assert part.reason == "not listed" or (part.proven and part.exact)
    assert proven_in_part
    assert saved


def requests_of(server: Any, route: str) -> int:
    return len(list(server.log.bodies(route)))


def letters(truth: Model, ids: list[int], among: slice) -> list[str]:
    """Return printable tokens by their rank after `ids`."""
    order = [int(token) for token in np.argsort(-truth.greedy(ids), kind="stable")]
    return [chr(token) for token in order[among] if 33 <= token < 127]


def test_a_completions_route_proves_the_best_choice_with_fewer_requests(
    connect_chat: Connect,
) -> None:
    server = OpenAIServer()
    model = connect_chat(server, model=INSTRUCT, server="openai")
    truth = server.engine.model
    ids = truth.encode("It is")
    firsts = letters(truth, ids, slice(5))
    choices = [
        first + second + third
        for first in firsts[1:]
        for second in letters(truth, [*ids, ord(first)], slice(5))
        for third in letters(truth, [*ids, ord(first), ord(second)], slice(5))
    ]
    choices.append(firsts[0])
    model.choose("It is", choices[:1])
    server.log.clear()
    whole = model.choose("It is", choices)
    all_requests = requests_of(server, "/v1/completions")
    server.log.clear()
    part = model.choose("It is", choices, top=1)
    assert requests_of(server, "/v1/completions") == part.nodes_read < all_requests == part.nodes
    assert (part.method, part.proven, part.exact) == ("top_logprobs", True, True)
    assert part.reason == NOT_FOLLOWED
    assert part.tokens_evaluated is not None
    assert_true(part, truth.choose("It is", choices), SearchGoal())
    assert part.best.logprob == pytest.approx(whole.best.logprob, abs=1e-5)
    # No listing has tokens that are so unlikely: they cannot win, though nobody knows their score.
    unlisted = letters(truth, ids, slice(20, None))[:2]
    part = model.choose("It is", [firsts[0], *unlisted], top=1)
    assert (part.proven, part.exact, part.choice) == (True, True, firsts[0])
    assert part.prob is None
    part = model.choose("It is", [firsts[0], *unlisted], top=2)
    assert (part.proven, part.exact) == (False, False)
    assert "5 most likely" in part.reason


def test_a_chat_route_names_the_best_choice_as_it_was_given(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, model=CHAT, server="openai"), server.engine.model
    likely = letters(truth, truth.encode(truth.chat_prompt(MESSAGES)), slice(20))
    part = model.choose(messages=MESSAGES, choices=[f" {each}" for each in likely], top=2)
    assert (part.method, part.exact, part.proven) == ("top_logprobs", True, True)
    assert [each.choice for each in part.top] == [f" {each}" for each in likely[:2]]
    assert "spaces before choices were removed" in part.reason
    assert part.best.value == likely[0]
    picked = model.choose(messages=MESSAGES, choices=likely, method="pick", top=1, at_least=0.5)
    assert (picked.method, picked.exact, picked.proven) == ("pick", False, False)
    assert (picked.prob_bounds, picked.is_at_least) == ((0.0, 1.0), None)
    decider = connect_chat(server, model=DECIDER, server="openai")
    decided = decider.choose(messages=MESSAGES, choices=likely[:3], method="decision", top=1)
    assert (decided.method, decided.proven) == ("decision", False)
    assert decided.nodes_read is None


@pytest.mark.parametrize("norm", ["sum", "per_byte"])
def test_an_echo_is_requested_only_of_choices_that_may_win(
    connect: Connect, byte_tokenizer: str, norm: Any
) -> None:
    server = WrongEcho(right=True)
    model, truth = connect(server, tokenizer=byte_tokenizer), server.engine.model
    choices = [f" {first}{second}{'x' * 5}" for first in "abcd" for second in "efgh"]
    choices += [" a", " ae", " zz"]
    expected = truth.choose("The capital", choices, norm=norm)
    model.choose("The capital", choices[:1])
    server.log.clear()
    part = model.choose("The capital", choices, norm=norm, top=2)
    assert (part.method, part.proven, part.exact) == ("echo", True, True)
    assert len(server.log.requests) < len(choices)
    assert len({body["prompt"] for body in server.log.bodies("/v1/completions")}) == len(
        server.log.requests
    )
    assert [each.index for each in part.top] == sorted(
        range(len(choices)), key=lambda i: -score_of(expected, i)
    )[:2]
    for each in part.top:
        score = expected.scores[each.index]
        assert each.exclusive_logprob == pytest.approx(score.exclusive_logprob, abs=1e-5)
