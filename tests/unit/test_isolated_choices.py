"""Isolated choices: what the engine must evaluate by itself, and what keeps them apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autocog_core import AsyncModel, Model, TextPiece, TokenPiece, TreeQuery, TreeScores
from autocog_core.backends.random import RandomLM
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.prompt import Prompt, PromptLike
from autocog_core.wrappers.call_key import make_key, make_query_key
from tests.support.small_backends import CharTokenizer

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
CHOICES = [" yes", " no"]
STATE, QUESTION = TextPiece("A list of words. "), TextPiece("Is it long?")


class SeenQueries(Model):
    """Keeps the queries that reach the engine, by call."""

    def __init__(self, backend: object) -> None:
        super().__init__(backend)
        self.seen: list[list[TreeQuery]] = []
        evaluate = self.client.greedy_tree

        def greedy_tree(queries: Sequence[TreeQuery]) -> list[TreeScores]:
            self.seen.append(list(queries))
            return evaluate(queries)

        self.client.greedy_tree = greedy_tree  # type: ignore[method-assign]

    def starts(self) -> list[int | None]:
        return [query.isolated_start for call in self.seen for query in call]


@pytest.fixture
def model() -> SeenQueries:
    return SeenQueries(RandomLM())


def start_of(model: SeenQueries, prompt: PromptLike, choices: Sequence[str] = CHOICES) -> Any:
    model.choose(prompt, choices, isolate=True)
    (start,) = model.starts()
    return start


def test_a_request_is_not_isolated_unless_asked(model: SeenQueries) -> None:
    model.choose((STATE, QUESTION), CHOICES)
    assert model.starts() == [None]


def test_the_first_piece_is_evaluated_by_itself(model: SeenQueries) -> None:
    assert start_of(model, (STATE, QUESTION)) == len(model.encode(STATE.text))


def test_empty_pieces_do_not_count(model: SeenQueries) -> None:
    pieces = (TextPiece(""), STATE, TextPiece(""), QUESTION)
    assert start_of(model, pieces) == len(model.encode(STATE.text))


@pytest.mark.parametrize("prompt", ["one text", (TextPiece("one text"), TextPiece("")), [72, 105]])
def test_a_prompt_of_one_piece_is_one_batch(model: SeenQueries, prompt: PromptLike) -> None:
    assert start_of(model, prompt) == 0


def test_the_first_piece_counts_with_bos_and_ids(model: SeenQueries) -> None:
    ids = tuple(model.encode(STATE.text))
    assert start_of(model, (TokenPiece(ids), QUESTION)) == len(ids)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # Characters are tokens; BOS comes first.
        (("ab ", "cd"), 4),
        # "bcd" is one token, with characters of both pieces.
        (("ab", "cde"), 2),
    ],
)
def test_tokens_that_the_rest_changes_belong_to_the_rest(
    pieces: tuple[str, ...], expected: int
) -> None:
    model = SeenQueries(CharTokenizer(["bcd"]))
    assert start_of(model, tuple(map(TextPiece, pieces)), ["gx", "gy"]) == expected


def test_the_last_token_before_the_choices_belongs_to_the_rest() -> None:
    # "bc" is changed by all choices, and with it all that follows the first piece.
    model = SeenQueries(CharTokenizer(["bcx", "bcy"]))
    assert start_of(model, (TextPiece("aa"), TextPiece("bc")), ["x", "y"]) == 2
    assert model.seen[0][0].prefix[2:] == (97,)


def test_many_prompts_are_isolated_in_one_call(model: SeenQueries) -> None:
    prompts = [(STATE, TextPiece(question)) for question in ("Long?", "Is it very long?")]
    together = model.choose_many(prompts, CHOICES, isolate=True)
    assert len(model.seen) == 1
    assert model.starts() == [len(model.encode(STATE.text))] * 2
    assert together == [model.choose(prompt, CHOICES, isolate=True) for prompt in prompts]


def test_the_unconditional_prompt_is_isolated_too(model: SeenQueries) -> None:
    prompt = (STATE, QUESTION)
    model.choose(prompt, CHOICES, norm="pmi", unconditional_prompt="Is it?", isolate=True)
    assert model.starts() == [len(model.encode(STATE.text)), 0]


def test_every_step_of_a_search_is_isolated(model: SeenQueries) -> None:
    numbers = [f" {number}" for number in range(200)]
    best = model.choose((STATE, QUESTION), numbers, top=1, isolate=True)
    assert set(model.starts()) == {len(model.encode(STATE.text))}
    assert best.choice == model.choose((STATE, QUESTION), numbers).choice


def test_a_search_for_pmi_is_isolated_too(model: SeenQueries) -> None:
    options: Any = {"norm": "pmi", "unconditional_prompt": "Is it?", "top": 1}
    model.choose((STATE, QUESTION), CHOICES, **options)
    assert set(model.starts()) == {None}
    model.seen.clear()
    # What was evaluated with other tokens is not used.
    model.choose((STATE, QUESTION), CHOICES, **options, isolate=True)
    assert model.starts()[0] == 0
    assert None not in model.starts()


def test_awaited_isolated_choices_are_one_call_apart_from_the_others(model: SeenQueries) -> None:
    start = len(model.encode(STATE.text))

    async def ask() -> list[Any]:
        async with AsyncModel(model) as waiting:
            calls = [
                waiting.choose((STATE, QUESTION), CHOICES, isolate=isolate)
                for isolate in (True, False, True)
            ]
            return list(await asyncio.gather(*calls))

    results = asyncio.run(ask())
    calls = [[query.isolated_start for query in call] for call in model.seen]
    assert sorted(calls, key=len) == [[None], [start, start]]
    assert results[0] == results[2] == results[1]


def test_stored_answers_of_isolated_choices_are_their_own() -> None:
    request = ChoiceRequest(prompt=Prompt((STATE, QUESTION)), choices=tuple(CHOICES))
    keys = {make_key("choose", replace(request, isolate=isolate)) for isolate in (True, False)}
    assert len(keys) == 2
    model = SeenQueries(RandomLM())
    model.choose((STATE, QUESTION), CHOICES)
    query = model.seen[0][0]
    starts = (None, 0, 5)
    assert len({make_query_key(replace(query, isolated_start=start)) for start in starts}) == 3


def test_calls_that_are_not_isolated_keep_the_keys_of_older_recordings() -> None:
    request = ChoiceRequest(prompt=Prompt((TextPiece("a"),)), choices=("b", "c"))
    key = make_key("choose", request)
    assert key is not None
    assert key.hex() == "6b6e35410a141ba0519710fc514857ac"
