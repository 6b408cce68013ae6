"""Fingerprints tell models on servers apart by what may change answers, and hold no secret."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from autocog_openai.connection.fingerprint import compute_fingerprint
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.server_capabilities import ServerCapabilities

FACTS = ServerCapabilities(server="vllm", model="m")


def of(base_url: str = "https://host/v1", **options: Any) -> str:
    return compute_fingerprint(OpenAIOptions(model="m", **options), base_url, "completions", FACTS)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "https://other/v1"},
        {"base_url": "https://host/v1?deployment=a"},
        {"tokenizer": "o200k_base"},
        {"organization": "Acme"},
        {"headers": {"X-Route": "small"}},
    ],
)
def test_what_may_change_answers_tells_models_apart(options: dict[str, Any]) -> None:
    assert of(**options) != of()


def test_headers_are_compared_as_servers_do() -> None:
    assert of(headers={"X-Route": "small"}) == of(headers={"x-route": "small"})
    assert of(headers={"X-Route": "small"}) != of(headers={"X-Route": "large"})
    both = {"A": "1", "B": "2"}
    assert of(headers=both) == of(headers=dict(reversed(both.items())))


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "1234"},
        {"headers": {"Authorization": "1234"}},
        {"headers": {"X-Api-Key": "1234"}},
        {"headers": {"X-Auth-Token": "1234"}},
        {"headers": {"Cookie": "1234"}},
    ],
)
def test_secrets_change_no_fingerprint(options: dict[str, Any]) -> None:
    assert of(**options) == of()


@pytest.mark.parametrize("url", ["https://{}@host/v1", "https://host/v1?api_key={}"])
def test_secrets_in_the_address_change_no_fingerprint(url: str) -> None:
    assert of(url.format("me:1234")) == of(url.format("5678"))


def test_a_tokenizer_file_counts_by_its_content(byte_tokenizer: str, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    copy = folder / "tokenizer.json"
    shutil.copy(byte_tokenizer, copy)
    same = of(tokenizer=byte_tokenizer)
    assert of(tokenizer=str(copy)) == of(tokenizer=str(folder)) == same
    copy.write_bytes(copy.read_bytes() + b"\n")
    assert of(tokenizer=str(folder)) != same
