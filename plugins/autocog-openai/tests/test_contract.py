"""The laws that every backend must pass, on several kinds of servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autocog_core.testing import LAWS, BackendUnderTest, Law, check_or_skip
from autocog_openai import OpenAI
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM
from tests.support.openai.servers.wrong_echo import WrongEcho
from tests.support.served import small_app
from tests.support.small_backends import random_model

pytestmark = pytest.mark.slow
SERVERS: dict[str, tuple[Any, bool]] = {
    "vllm": (lambda: VLLM(Engine(context_length=256)), False),
    "sglang": (lambda: SGLang(Engine(context_length=256)), False),
    "echo": (lambda: WrongEcho(right=True), True),
    "autocog": (
        lambda: small_app({"random": lambda: random_model(seed=3, context_length=256)}),
        False,
    ),
}


def with_marks(name: str) -> Any:
    """Of the servers that list prompts' tokens, one is in the normal run."""
    is_long = name in ("sglang", "autocog")
    return pytest.param(name, marks=[pytest.mark.soak] if is_long else [])


@pytest.fixture(scope="module", params=map(with_marks, SERVERS))
def subject(
    request: Any, byte_tokenizer: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackendUnderTest]:
    make, encoded = SERVERS[request.param]
    options: dict[str, Any] = {"tokenizer": byte_tokenizer} if encoded else {}
    with serving(make()) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        options |= {"model": "random", "base_url": f"{url}/v1"}

        def make_pair() -> tuple[OpenAI, OpenAI]:
            created = OpenAI.create(**options)
            return OpenAI(**created), OpenAI(**created)

        made = BackendUnderTest(lambda: OpenAI(**options), make_pair=make_pair)
        yield made
        made.close()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_servers_pass_the_laws(subject: BackendUnderTest, law: Law) -> None:
    check_or_skip(law, subject)
