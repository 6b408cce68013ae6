"""Listings of the most likely tokens: a number belongs to the token of a choice, or is not used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from autocog_core.errors import CapabilityError
from autocog_openai.connection.answer_fields import FieldError
from autocog_openai.routes.listed_tokens import TokenListing, build_listing
from autocog_openai.routes.token_listing import first_listing
from autocog_openai.tokenizers.load import FileTokenizer
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.rewriting import Rewriting, make_certain
from tests.support.openai.servers.vllm import VLLM

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
CERTAIN_WORDS = "0 for the token that it wrote and a number such as -9999 for all others"


def listing(entries: dict[str, float | None]) -> TokenListing:
    """Return a listing in the format of the completions route."""
    return first_listing({"choices": [{"logprobs": {"top_logprobs": [entries]}}]})


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tokenizer in which words with and without a space are different tokens."""
    names = ["<unk>", "\u2581true", "true", "\u2581dog", "dog", "<0x41>", "A", "B", "The"]
    made = Tokenizer(models.Unigram([(name, -1.0) for name in [*names, "\u2581quick"]], unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    made.save(str(path))
    return str(path)


class Fixed(Starlette):
    """A completions server that writes the same text and lists the same tokens everywhere."""

    def __init__(self, surfaces: list[str], text: str, top: dict[str, float]) -> None:
        self.surfaces, self.text, self.top = surfaces, text, top
        super().__init__(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/completions", self.completions, methods=["POST"]),
            ]
        )

    async def models(self, request: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "random"}]})

    async def completions(self, request: Request) -> JSONResponse:
        body = await request.json()
        if not isinstance(body["prompt"], str) or body.get("echo"):
            return JSONResponse({"error": {"message": "unsupported"}}, 400)
        count = body["max_tokens"]
        choice: dict[str, Any] = {"index": 0, "text": self.text, "finish_reason": "length"}
        if count < len(self.surfaces):
            choice["text"] = self.text[: self.text.find(self.surfaces[count])]
        if "logprobs" in body:
            names = self.surfaces[:count]
            choice["logprobs"] = {
                "tokens": names,
                "token_logprobs": [self.top.get(name, -0.1) for name in names],
                "top_logprobs": [self.top] * len(names),
            }
        return JSONResponse({"choices": [choice]})


def test_surfaces_that_lost_their_space_are_not_used(connect: Connect, words: str) -> None:
    # "true" is listed for the token of " true", which is another one than that of "true".
    top = {"dog": -0.1, "true": -3.0}
    server = Fixed(["dog", "runs"], " dog runs", top)
    model = connect(server, tokenizer=words, max_retries=0)
    assert "do not spell the text" in model.as_model().info.details["listing_problem"]
    with pytest.raises(CapabilityError, match="do not spell the text"):
        model.choose("The quick", ["true", "dog"])
    right = Fixed([" dog", " runs"], " dog runs", {" dog": -0.1, " true": -3.0})
    model = connect(right, tokenizer=words, max_retries=0)
    found = model.choose("The quick", [" true", " dog"])
    assert (found.exact, found.method) == (True, "top_logprobs")
    assert [score.logprob for score in found.scores] == [-3.0, -0.1]
    # And not of the tokens without the space.
    found = model.choose("The quick", ["true", " dog"], method="top_logprobs")
    assert (found.exact, found.scores[0].logprob) == (False, -math.inf)
    assert found.unseen_probability == pytest.approx(1 - math.exp(-0.1) - math.exp(-3.0))


def test_bytes_that_two_tokens_have_identify_neither(connect: Connect, words: str) -> None:
    assert FileTokenizer(Path(words)).shared_bytes == {b"A"}
    model = connect(Fixed(["A"], "A", {"A": -0.5, "B": -2.0}), tokenizer=words, max_retries=0)
    found = model.choose("The quick", ["A", "B"], method="top_logprobs")
    assert (found.exact, found.scores[0].logprob, found.scores[1].logprob) == (
        False,
        -math.inf,
        -2.0,
    )
    assert found.unseen_probability == pytest.approx(1 - math.exp(-2.0))


def test_equal_bytes_in_one_listing_identify_no_token() -> None:
    entries = [{"token": "true", "logprob": p, "bytes": list(b"true")} for p in (-1.0, -2.0)]
    entries.append({"token": "no", "logprob": -3.0, "bytes": None})
    content = [{"token": "true", "logprob": -1.0, "top_logprobs": entries}]
    found = first_listing({"choices": [{"logprobs": {"content": content}}]})
    assert found.logprobs == {b"no": -3.0}
    assert (found.count, found.find(7, b"true")) == (3, None)
    assert found.seen_probability() == pytest.approx(math.exp(-3.0))


def test_incomplete_characters_stay_unseen() -> None:
    for name in ("\ufffd", " \ufffd", "\\xf0\\x9f", "bytes:\\xf0\\x9f"):
        found = listing({name: -0.5, "a": -2.0})
        assert found.logprobs == {b"a": -2.0}
        assert found.seen_probability() == pytest.approx(math.exp(-2.0))
        assert found.find(9, b"\xf0\x9f") is None
    # As bytes they are complete.
    entry = {"token": "\\xf0\\x9f", "logprob": -0.5, "bytes": [0xF0, 0x9F]}
    content = [{**entry, "top_logprobs": [entry]}]
    found = first_listing({"choices": [{"logprobs": {"content": content}}]})
    assert found.find(9, b"\xf0\x9f") == -0.5


def test_choices_of_incomplete_characters_are_bounded_by_all_that_may_be_theirs(
    connect: Connect, byte_tokenizer: str
) -> None:
    top = {"a": -1.0, "\ufffd": -0.6}
    model = connect(Fixed(["a"], "a", top), tokenizer=byte_tokenizer, max_retries=0)
    found = model.choose("It", ["a", "\U0001f98a"])
    assert (found.exact, found.scores[0].logprob) == (False, -1.0)
    assert found.unseen_probability == pytest.approx(1 - math.exp(-1.0))


def test_probabilities_above_one_are_malformed() -> None:
    assert listing({"a": -0.7, "b": -0.69}).count == 2
    with pytest.raises(FieldError, match="sum to 2"):
        listing({"a": 0.0, "b": 0.0})


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"a": 0.0, "b": -9999.0, "c": -9999.0}, True),
        ({"a": -0.0001, "b": -10000.0}, True),
        ({"a": 0.0}, True),
        ({"a": -9999.0, "b": -9999.0}, True),
        ({"a": 0.0, "b": -30.0}, False),
        ({"a": -0.01, "b": -9999.0}, True),
        ({"a": -0.5, "b": -9999.0}, True),
        ({"a": 0.0, "b": -1000.0}, True),
        ({"b": -9998.0, "a": 0.0, "c": -9998.0}, True),
        ({"a": 0.0, "b": -1e30}, True),
        ({"a": 0.0, "b": -100.0, "c": -100.0}, True),
        ({"a": -0.0001, "b": -100.0}, True),
        ({"a": 0.0, "b": -100.0, "c": -101.0}, False),
        ({"a": 0.0, "b": -30.0, "c": -30.0}, False),
        ({"a": -0.69, "b": -0.7, "c": -9999.0}, False),
        ({"a": -0.5}, False),
        ({"a": None}, False),
    ],
)
def test_certainty_and_nothing_else_is_a_pick(
    entries: dict[str, float | None], expected: bool
) -> None:
    assert listing(entries).is_pick is expected


def test_older_servers_list_by_ids_if_they_can(connect: Connect) -> None:
    server = VLLM(named_tokens=False)
    model = connect(server, max_retries=0)
    truth = server.engine.model
    row = truth.greedy(truth.encode("It is"))
    likely = [chr(token) for token in (-row).argsort()[:20] if 33 <= token < 127][:2]
    found = model.choose("It is", likely)
    assert (found.exact, found.method) == (True, "top_logprobs")
    assert [score.logprob for score in found.scores] == pytest.approx(
        [row[ord(letter)] for letter in likely], abs=1e-5
    )
    assert server.log.bodies("/v1/completions")[-1]["return_tokens_as_token_ids"] is True
    assert build_listing([]) == TokenListing()


@pytest.fixture
def thinking(connect: Connect, byte_tokenizer: str) -> Any:
    """Return a model that thinks before it answers."""

    def think(node: Any) -> Any:
        for choice in node.get("choices", ()):
            message = choice["message"]
            message["reasoning_content"], message["content"] = message["content"], ""
        return node

    server = Rewriting(Generic(), think)
    return connect(server, api="chat", tokenizer=byte_tokenizer, max_retries=0)


def test_a_model_that_thinks_first_is_not_scored_by_its_thoughts(thinking: Any) -> None:
    assert "thinks" in thinking.as_model().info.details["chat_listing_problem"]
    with pytest.raises(CapabilityError, match=r"thinks before it answers.*reasoning-budget"):
        thinking.choose(messages=MESSAGES, choices=["a", "b"], method="top_logprobs")
    found = thinking.complete(messages=MESSAGES, max_tokens=3)
    assert (found.text, found.logprobs) == ("", None)


def test_a_model_that_begins_to_think_after_probing_is_not_exact(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = Rewriting(Generic())
    model = connect(server, api="chat", tokenizer=byte_tokenizer, max_retries=0)
    assert model.as_model().info.details["chat_max_top_logprobs"] == 20

    def think(node: Any) -> Any:
        node["choices"][0]["message"]["reasoning"] = "hm"
        return node

    server.change = think
    found = model.choose(messages=MESSAGES, choices=["a", "b"], method="top_logprobs")
    assert (found.exact, found.unseen_probability) == (False, 1.0)
    assert "thinks before it answers" in found.reason


@pytest.mark.parametrize(
    "change",
    [
        {"content": None},
        {"content": ""},
        {"content": "\u00a7"},
        {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_listed_tokens_of_something_else_than_the_answer_are_not_exact(
    connect: Connect, byte_tokenizer: str, change: dict[str, Any]
) -> None:
    engines = (Engine(seed=seed) for seed in range(99))
    # A token that is not a whole character cannot be compared with a text.
    engine = next(engine for engine in engines if _likely(engine)[0].isalpha())
    server = Rewriting(Generic(engine))
    model = connect(server, api="chat", tokenizer=byte_tokenizer, max_retries=0)
    likely = [letter for letter in _likely(engine) if "!" <= letter <= "~"][:2]
    options = {"messages": MESSAGES, "choices": likely, "method": "top_logprobs"}
    assert model.choose(**options).exact is True

    def answer(node: Any) -> Any:
        node["choices"][0]["message"] |= change
        return node

    server.change = answer
    found = model.choose(**options)
    assert (found.exact, found.unseen_probability) == (False, 1.0)
    assert "not those of its answer" in found.reason


def _likely(engine: Engine) -> list[str]:
    row = engine.model.greedy(engine.model.encode(engine.model.chat_prompt(MESSAGES)))
    return [chr(token) if token < 127 else "" for token in (-row).argsort()[:20]]


@pytest.mark.parametrize("make", [Generic, VLLM], ids=["chat", "completions"])
def test_a_server_that_is_always_certain_has_no_distribution(
    connect: Connect, byte_tokenizer: str, make: Any
) -> None:
    options = {"api": "chat", "tokenizer": byte_tokenizer} if make is Generic else {}
    server = Rewriting(make(), make_certain)
    model = connect(server, max_retries=0, **options)
    details = model.as_model().info.details
    name = "chat_listing_problem" if make is Generic else "listing_problem"
    assert CERTAIN_WORDS in details[name]
    found = model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert (found.method, found.exact) == ("pick", False)
    assert CERTAIN_WORDS in found.reason
    if make is Generic:
        assert model.complete(messages=MESSAGES, max_tokens=3).logprobs is None
        with pytest.raises(CapabilityError, match="-9999"):
            model.choose(messages=MESSAGES, choices=["yes", "no"], method="top_logprobs")


def test_a_server_that_becomes_certain_after_probing_is_not_exact(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = Rewriting(Generic())
    model = connect(server, api="chat", tokenizer=byte_tokenizer, max_retries=0)
    assert model.as_model().info.details["chat_max_top_logprobs"] == 20
    server.change = make_certain
    for method in (None, "top_logprobs"):
        found = model.choose(messages=MESSAGES, choices=["a", "b"], method=method)
        assert found.exact is False
        assert found.reason
