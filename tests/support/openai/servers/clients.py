"""Clients for tests of the protocol servers: the SDK's and a plain one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_api import KEY
from tests.support.openai.servers.serving import serving

PROMPT = [72, 105, 32]
MESSAGES: Any = [{"role": "user", "content": "Yes or no?"}]


@contextmanager
def client(app: Any, key: str = KEY, retries: int = 0) -> Iterator[Any]:
    """Start a server, and return the SDK's client."""
    with serving(app) as url:
        # Without certificates: reading them takes longer than most tests.
        http = httpx2.Client(verify=False)
        made = openai.OpenAI(
            base_url=f"{url}/v1", api_key=key, max_retries=retries, timeout=10, http_client=http
        )
        with made:
            yield made


@contextmanager
def plain(app: Any) -> Iterator[httpx2.Client]:
    """Start a server, and return a plain HTTP client."""
    with ExitStack() as stack:
        url = stack.enter_context(serving(app))
        yield stack.enter_context(httpx2.Client(base_url=url, timeout=10, verify=False))


def greedy(engine: Engine, prompt: list[int], count: int) -> list[int]:
    """Return greedy tokens after the prompt."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(np.argmax(engine.model.greedy(tokens))))
    return tokens[len(prompt) :]


def refusal(error: pytest.ExceptionInfo[openai.APIStatusError]) -> dict[str, Any]:
    """Return the error object of an error's body."""
    body = error.value.response.json()
    return dict(body.get("error", body))
