"""Many clients of one server at once: mixed requests, and what is compared with those alone."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

WORDS = ("one", "two", "the", "red", "of", "blue", "sun", "card", "is", "late", "not", "a")
CHOICES = (
    [" a", " b", " the end"],
    [" card", " transfer", " login", " refund"],
    ["1", "10", "100"],
)


@dataclass(frozen=True)
class LoadRequest:
    """A request.

    :ivar path: its route.
    :ivar body: its body.
    """

    path: str
    body: Mapping[str, Any]


class Caller:
    """One client with one connection.

    :param url: the URL of the server.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)

    def call(self, request: LoadRequest) -> Any:
        """Return the answer; any status but 200 is an error."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", request.path, json.dumps(request.body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, (request, answer.status, content)
        return json.loads(content)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def mixed_requests(count: int, seed: int = 3) -> Sequence[LoadRequest]:
    """Return requests: choices of one and several prompts, scores, completions, and questions."""
    draw = random.Random(seed)
    return [_request(draw, number) for number in range(count)]


def _request(draw: random.Random, number: int) -> LoadRequest:
    text = " ".join(draw.choices(WORDS, k=draw.randrange(2, 20)))
    kind = number % 5
    if kind < 2:
        return LoadRequest("/v1/choose", {"prompt": text, "choices": draw.choice(CHOICES)})
    if kind == 2:
        prompts = [f"{text} {word}" for word in draw.sample(WORDS, 3)]
        return LoadRequest("/v1/choose", {"prompts": prompts, "choices": draw.choice(CHOICES)})
    if kind == 3:
        return LoadRequest("/v1/score", {"context": text, "text": draw.choice(CHOICES)[0]})
    body = {"prompt": text, "max_tokens": 3, "temperature": 0, "logprobs": 1}
    return LoadRequest("/v1/completions", body)


def call_all(url: str, requests: Sequence[LoadRequest], clients: int) -> list[Any]:
    """Let clients make requests, each client one after the other; return the answers in order.

    :param url: the URL of the server.
    :param requests: the requests.
    :param clients: how many clients there are.
    """
    answers: list[Any] = [None] * len(requests)

    def work(first: int) -> None:
        caller = Caller(url)
        try:
            for number in range(first, len(requests), clients):
                answers[number] = caller.call(requests[number])
        finally:
            caller.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return answers


def log_probabilities(answer: Mapping[str, Any]) -> Sequence[float]:
    """Return the log-probabilities in an answer of `mixed_requests`, in their order."""
    if "results" in answer:
        return [
            score["logprob"]
            for result in answer["results"]
            for score in result.get("scores", [result])
        ]
    return list(answer["choices"][0]["logprobs"]["token_logprobs"])


def texts_of(answer: Mapping[str, Any]) -> Sequence[str]:
    """Return what an answer of `mixed_requests` decided."""
    if "results" in answer:
        return [result["choice"] for result in answer["results"] if "choice" in result]
    return [choice["text"] for choice in answer["choices"]]


def largest_difference(answers: Iterable[Any], expected: Iterable[Any]) -> float:
    """Return the largest difference of two log-probabilities of the same requests."""
    pairs = zip(answers, expected, strict=True)
    return max(
        abs(a - b)
        for one, other in pairs
        for a, b in zip(log_probabilities(one), log_probabilities(other), strict=False)
    )
