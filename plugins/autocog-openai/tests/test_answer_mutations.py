"""Mutated answers of all routes, while probing and after it.

Each trial ends as a result or as one of autocog's errors. A result has no number that is not in the
answers, and the next call is right again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autocog_core import ChoiceScores, Completion
from autocog_core.errors import AutocogError
from autocog_openai import OpenAI
from autocog_openai.connection.answer_fields import ROUNDING
from tests.support.openai.in_process import InProcess, in_process
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.llama_protocol import LlamaServer
from tests.support.openai.servers.openai_api import CHAT, DECIDER, INSTRUCT, KEY, OpenAIServer
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.system_one import SystemOneServer
from tests.support.openai.servers.vllm import VLLM
from tests.support.openai.servers.wrong_echo import WrongEcho
from tests.support.trials import Trials, tried

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
EXPECT = "a result with the server's numbers, or one typed error"
RESULT, ERROR = "results with the server's numbers", "typed errors"
Make = Callable[[], Any]
SERVERS: dict[str, tuple[Make, dict[str, Any]]] = {
    "vllm": (VLLM, {"tokenizer": None}),
    "vllm without named tokens": (lambda: VLLM(named_tokens=False), {"tokenizer": None}),
    "sglang": (SGLang, {"tokenizer": None}),
    "llama-server": (LlamaServer, {"tokenizer": None}),
    "chat": (OpenAIServer, {"model": CHAT, "server": "openai"}),
    "responses": (OpenAIServer, {"model": CHAT, "server": "openai", "api": "responses"}),
    "instruct": (OpenAIServer, {"model": INSTRUCT, "server": "openai"}),
    "decisions": (OpenAIServer, {"model": DECIDER, "server": "openai"}),
    "system one": (SystemOneServer, {"tokenizer": None}),
    "generic": (Generic, {}),
    "echo": (lambda: WrongEcho(right=True), {}),
}
#: How far a number may be from the server's: rows are float32.
CLOSE = 1e-5


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(kind: str, tokenizer: str, **more: Any) -> OpenAI:
    options = {"model": "random", "api_key": KEY}
    options["base_url"] = f"http://{kind.replace(' ', '-')}/v1"
    options |= {"tokenizer": tokenizer, "max_retries": 0, "timeout": 10, **SERVERS[kind][1], **more}
    return OpenAI(**options)


def calls(kind: str, model: OpenAI) -> list[Callable[[], Any]]:
    """Return calls that use all routes of a server."""
    if kind in ("decisions", "system one"):
        return [lambda: model.choose(messages=MESSAGES, choices=["yes", "no"])]
    prompt: dict[str, Any] = {"prompt": "It is"}
    if kind in ("chat", "responses", "generic"):
        prompt = {"messages": MESSAGES}
    method = "top_logprobs" if kind == "instruct" else None
    found: list[Callable[[], Any]] = [
        lambda: model.complete(**prompt, max_tokens=4, temperature=0),
        lambda: model.complete(**prompt, max_tokens=4, temperature=0, on_text=lambda text: None),
        lambda: model.complete(**prompt, max_tokens=9, temperature=0, stop=["e", "zz"]),
        lambda: model.choose(**prompt, choices=["a", "bc", "b"], method=method),
    ]
    if kind != "responses":
        # That route has no seed.
        found.append(lambda: model.complete(**prompt, max_tokens=2, temperature=0.7, n=2, seed=1))
    if kind in ("chat", "generic"):
        found.append(lambda: model.choose(**prompt, choices=["yes", "no"], method="pick"))
    if kind == "llama-server":
        found.append(lambda: model.as_model().greedy("It is"))
    return found


def assert_given(found: Any, numbers: set[float]) -> None:
    """Check that the numbers of a result are among those of the answers."""
    given = np.array(sorted(numbers) or [math.inf])

    def is_given(value: float) -> bool:
        if value == -math.inf:
            return bool(given[0] <= -9999)
        # A log-probability that rounding makes positive is 0.
        rounded = np.where((given > 0) & (given <= ROUNDING), 0.0, given)
        return bool((np.abs(rounded - value) <= CLOSE).any())

    if isinstance(found, Completion):
        for completion in (found, *found.alternatives):
            assert all(map(is_given, completion.logprobs or ())), completion
        return
    if not isinstance(found, ChoiceScores):
        return
    for score in found.scores:
        for value in score.token_logprobs:
            assert is_given(value) or (value == -math.inf and not found.exact), found
    if found.method == "decision":
        # Probabilities that do not quite sum to 1 are divided by their sum.
        is_scaled = "they summed to" in found.reason
        assert is_scaled or all(is_given(score.prob) for score in found.scores)
    if found.exact and found.method == "top_logprobs":
        # Here, -inf means that a token is not listed.
        assert all(math.isfinite(value) for one in found.scores for value in one.token_logprobs)
    assert found.exact or found.reason


def plain(found: Any) -> Any:
    """Return a result without what depends on the order of calls."""
    if isinstance(found, Completion):
        return (found.text, found.tokens, found.logprobs, found.finish_reason)
    if isinstance(found, ChoiceScores):
        return (found.scores, found.exact, found.method, found.reason)
    return found.tolist()


@tried("Servers' answers, mutated after probing", expect=EXPECT, normal=20, soak=10_000)
def test_mutated_answers(trials: Trials, byte_tokenizer: str) -> None:
    for number, kind in enumerate(SERVERS):
        with in_process(SERVERS[kind][0]()) as server:
            model = opened(kind, byte_tokenizer)
            possible = calls(kind, model)
            right: dict[int, Any] = {}
            for seed in range(number, len(trials), len(SERVERS)):
                index = (seed // len(SERVERS)) % len(possible)
                if index not in right:
                    right[index] = plain(possible[index]())
                # Tokens that the plugin remembers are asked for again.
                fresh = opened(kind, byte_tokenizer) if seed % 3 == 0 else model
                call = calls(kind, fresh)[index]
                fresh.as_model().info  # noqa: B018
                trials.note(attempt(server, call, seed))
                assert plain(possible[index]()) == right[index], (kind, seed)


def attempt(server: InProcess, call: Callable[[], Any], seed: int) -> str:
    server.start(seed, share=1.0 if seed % 2 else 0.3)
    try:
        found = call()
    except AutocogError:
        return ERROR
    finally:
        server.stop()
    assert_given(found, server.numbers)
    return RESULT


@tried("Servers' answers, mutated while probing", expect=EXPECT, normal=6, soak=1_000)
def test_mutated_probes(trials: Trials, byte_tokenizer: str) -> None:
    for number, kind in enumerate(SERVERS):
        with in_process(SERVERS[kind][0]()) as server:
            unchanged = calls(kind, opened(kind, byte_tokenizer))
            right: dict[int, Any] = {}
            for seed in range(number, len(trials), len(SERVERS)):
                model = opened(kind, byte_tokenizer, reprobe=True)
                index = (seed // len(SERVERS)) % len(unchanged)
                if index not in right:
                    right[index] = plain(unchanged[index]())
                server.start(seed, share=0.2 if seed % 2 else 0.02)
                try:
                    model.as_model().info  # noqa: B018
                    server.stop()
                    found = calls(kind, model)[index]()
                except AutocogError:
                    trials.note(ERROR)
                else:
                    assert_given(found, server.numbers)
                    if getattr(found, "exact", False):
                        assert_equal_choices(plain(found), right[index])
                    trials.note(RESULT)
                finally:
                    server.stop()
                again = opened(kind, byte_tokenizer, reprobe=True)
                assert plain(calls(kind, again)[index]()) == right[index], (kind, seed)


def assert_equal_choices(found: Any, right: Any) -> None:
    """Check that scores that are called exact are, whatever method found them."""
    for one, other in zip(found[0], right[0], strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=CLOSE)
