"""vLLM and SGLang: texts, tokens and chats are those of the model behind the server."""

from __future__ import annotations

import numpy as np
import pytest

from autocog_core import Completion
from autocog_core.errors import CapabilityError
from tests.support.openai.pairs import SERVERS, Pair
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

PROMPT = "The capital is"


def assert_own(pair: Pair, found: Completion, prompt: str = PROMPT) -> None:
    """Check that the log-probabilities are the model's own."""
    tokens = pair.truth.encode(prompt)
    assert found.logprobs is not None
    for token, logprob in zip(found.tokens, found.logprobs, strict=True):
        assert logprob == pytest.approx(pair.truth.greedy(tokens)[token], abs=1e-5)
        tokens.append(token)


@pytest.mark.parametrize("stop", [(), ("Fn",), ("zz", "Z"), ("é",)])
def test_greedy_texts_are_the_models_own(pair: Pair, stop: tuple[str, ...]) -> None:
    for prompt in (PROMPT, "A", "Où"):
        found = pair.model.complete(prompt, max_tokens=24, temperature=0, stop=stop)
        expected = pair.truth.complete(prompt, max_tokens=24, temperature=0, stop=stop)
        assert (found.text, found.finish_reason, found.stop_string) == (
            expected.text,
            expected.finish_reason,
            expected.stop_string,
        )
        assert found.tokens == expected.tokens
        assert_own(pair, found, prompt)


def test_a_stop_string_across_tokens(pair: Pair) -> None:
    whole = pair.truth.complete(PROMPT, max_tokens=40, temperature=0)
    letters = [
        place for place in range(len(whole.text) - 1) if whole.text[place : place + 2].isascii()
    ]
    place = letters[len(letters) // 2]
    stop = whole.text[place : place + 2]
    expected = pair.truth.complete(PROMPT, max_tokens=40, temperature=0, stop=stop)
    found = pair.model.complete(PROMPT, max_tokens=40, temperature=0, stop=stop)
    assert expected.finish_reason == "stop"
    assert found.to_dict() == {
        **expected.to_dict(),
        "logprobs": pytest.approx(expected.logprobs, abs=1e-5),
        "logprob": pytest.approx(expected.logprob, abs=1e-5),
    }


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampled_texts_have_the_log_probabilities_before_temperature(
    pair: Pair,
    temperature: float,
) -> None:
    arguments = {"max_tokens": 6, "temperature": temperature, "n": 3, "seed": 7}
    found = pair.model.complete(PROMPT, **arguments)
    again = pair.model.complete(PROMPT, **arguments)
    everyone = [found, *found.alternatives]
    assert len(everyone) == 3
    assert len({one.tokens for one in everyone}) == 3
    for one in everyone:
        assert one.finish_reason in ("length", "eos")
        assert_own(pair, one)
    assert [one.tokens for one in (again, *again.alternatives)] == [one.tokens for one in everyone]


def test_streams_hold_back_the_start_of_a_stop_string(
    pair: Pair,
) -> None:
    whole = pair.truth.complete(PROMPT, max_tokens=30, temperature=0)
    pieces = list(pair.model.stream(PROMPT, max_tokens=30, temperature=0))
    assert "".join(pieces) == whole.text
    assert len(pieces) > 5
    place = next(i for i in range(8, 29) if whole.text[i : i + 2].isascii())
    stop = whole.text[place : place + 2]
    pieces = list(pair.model.stream(PROMPT, max_tokens=30, temperature=0, stop=stop))
    cut = pair.truth.complete(PROMPT, max_tokens=30, temperature=0, stop=stop)
    assert "".join(pieces) == cut.text
    heard: list[str] = []
    found = pair.model.complete(PROMPT, max_tokens=30, temperature=0, on_text=heard.append)
    assert "".join(heard) == found.text == whole.text
    assert found.tokens == whole.tokens


def test_an_abandoned_stream_frees_its_connection(connect: Connect) -> None:
    model = connect(VLLM(), max_concurrency=1)
    for _ in range(3):
        stream = model.stream(PROMPT, max_tokens=50, temperature=0)
        next(stream)
        stream.close()
    assert model.complete("A", max_tokens=1, temperature=0).finish_reason == "length"


@pytest.mark.parametrize("text", ["", "Hello", "Où ça? 東京 🙂", "a <b> [INST] <|end|> c", "\n\n"])
def test_tokens_are_the_models_own(pair: Pair, text: str) -> None:
    expected = pair.truth.tokenize(text)
    assert pair.model.tokenize(text) == expected
    assert pair.model.detokenize(expected) == text
    assert pair.model.as_model().encode(text or "x") == pair.truth.encode(text or "x")


def test_special_tokens_are_parsed_only_with_parse_special(
    pair: Pair,
) -> None:
    text = "a<|end|>b"
    parsed = pair.model.tokenize(text, parse_special=True)
    assert parsed == pair.truth.tokenize(text, parse_special=True)
    assert len(parsed) == 3
    assert pair.model.tokenize(text) == pair.truth.tokenize(text)
    assert pair.model.detokenize(pair.model.tokenize(text)) == text


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Yes or no? <|eos|>"},
]


def test_messages_on_vllm_use_its_template_and_are_exact(connect: Connect) -> None:
    server = VLLM()
    model = connect(server)
    truth = server.engine.model
    plain = [MESSAGES[0], {"role": "user", "content": "Yes or no?"}]
    expected = truth.choose(messages=plain, choices=[" yes", " no"])
    found = model.choose(messages=plain, choices=[" yes", " no"])
    assert found.exact
    assert [score.logprob for score in found.scores] == pytest.approx(
        [score.logprob for score in expected.scores], abs=1e-5
    )
    text = model.complete(messages=plain, max_tokens=5, temperature=0)
    assert text.tokens == truth.complete(messages=plain, max_tokens=5, temperature=0).tokens


def test_special_tokens_in_messages_stay_text(connect: Connect) -> None:
    server = VLLM()
    model = connect(server)
    assert model.as_model().encode(
        model.as_model().chat_prompt(MESSAGES)
    ) == server.engine.model.encode(server.engine.model.chat_prompt(MESSAGES))


@pytest.mark.parametrize("kind", SERVERS)
def test_the_chat_route_answers_and_lists_the_likeliest(connect: Connect, kind: str) -> None:
    server = SERVERS[kind](Engine(seed=4))
    model = connect(server, api="chat")
    truth = server.engine.model
    messages = [{"role": "user", "content": "Yes or no?"}]
    expected = truth.complete(messages=messages, max_tokens=8, temperature=0)
    found = model.complete(messages=messages, max_tokens=8, temperature=0)
    assert found.text == expected.text
    assert found.logprobs == pytest.approx(expected.logprobs, abs=1e-5)
    likeliest = [each.text for each in truth.next_tokens(messages=messages, k=20)]
    choices = [text for text in likeliest if text.isascii() and text.strip() == text][:4]
    assert len(choices) > 1
    chosen = model.choose(messages=messages, choices=choices)
    own = truth.choose(messages=messages, choices=choices)
    assert (chosen.exact, chosen.method) == (True, "top_logprobs")
    assert [score.logprob for score in chosen.scores] == pytest.approx(
        [score.logprob for score in own.scores], abs=1e-5
    )


def test_an_assistants_words_are_continued_where_the_server_does(connect: Connect) -> None:
    # SGLang puts them right after the generation prompt, as if the model had written them.
    seed = next(seed for seed in range(99) if _begins_plainly(Engine(seed=seed)))
    server = SGLang(Engine(seed=seed))
    model = connect(server, api="chat")
    assert model.as_model().info.details["prefill"] is True
    messages = [{"role": "user", "content": "Who?"}]
    begun = [*messages, {"role": "assistant", "content": "It"}]
    ids = [*server.engine.model.encode(server.engine.model.chat_prompt(messages)), 73, 116]
    prompt = model.as_model().chat_prompt(begun, add_generation_prompt=False)
    found = model.complete(prompt, max_tokens=4, temperature=0)
    assert found.text == server.engine.model.complete(ids, max_tokens=4, temperature=0).text
    likeliest = [each.text for each in server.engine.model.next_tokens(messages=messages, k=20)]
    first = next(
        text for text in likeliest if text.isascii() and text.isprintable() and text.strip()
    )
    base = [*server.engine.model.encode(server.engine.model.chat_prompt(messages)), ord(first)]
    row = server.engine.model.greedy(base)
    order = [int(token) for token in np.argsort(-row)[:20] if 33 <= token < 127]
    choices = [first + chr(token) for token in order[:3]]
    chosen = model.choose(messages=messages, choices=choices)
    own = server.engine.model.choose(messages=messages, choices=choices)
    assert (chosen.exact, chosen.method) == (True, "top_logprobs")
    assert [score.logprob for score in chosen.scores] == pytest.approx(
        [score.logprob for score in own.scores], abs=1e-5
    )


def _begins_plainly(engine: Engine) -> bool:
    """Whether the answer to the probe's question begins with a printable character."""
    question = [{"role": "user", "content": "The quick brown fox jumps over the lazy"}]
    return 33 <= int(np.argmax(engine.model.greedy(messages=question))) < 127


def test_messages_on_sglang_need_the_chat_route(connect: Connect) -> None:
    with pytest.raises(CapabilityError, match='api = "chat"'):
        connect(SGLang()).complete(messages=MESSAGES, max_tokens=1)
