"""`autocog tokenize` and `autocog greedy` show the results of the API."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run


def test_tokenize_parses_special_tokens_only_where_asked_for(run: Run) -> None:
    plain = json.loads(run("tokenize", "--json", "é<|eos|>").stdout)
    special = json.loads(run("tokenize", "--json", "--special", "é<|eos|>").stdout)
    with autocog.load() as model:
        assert plain["tokens"] == model.tokenize("é<|eos|>")
        assert special["tokens"] == model.tokenize("é<|eos|>", parse_special=True)
    assert special["surfaces"] == ["\ufffd", "\ufffd", "<|eos|>"]
    assert special["bytes"] == ["c3", "a9", ""]
    assert len(plain["tokens"]) == 9


def test_tokenize_with_bos_shows_the_tokens_of_a_prompt(run: Run) -> None:
    with autocog.load() as model:
        expected = model.encode("hi")
        bos = model.info.bos
    assert json.loads(run("tokenize", "--json", "--bos", "hi").stdout)["tokens"] == expected
    assert expected[0] == bos
    assert json.loads(run("tokenize", "--json", "hi").stdout)["tokens"] == expected[1:]


def test_tokenize_with_chat_shows_the_tokens_of_a_chat_prompt(run: Run) -> None:
    with autocog.load() as model:
        expected = model.encode(model.chat_prompt([{"role": "user", "content": "hi"}]))
    assert json.loads(run("tokenize", "--json", "--chat", "hi").stdout)["tokens"] == expected


def test_tokenize_shows_blanks_and_brackets_as_they_are(run: Run) -> None:
    output = run("tokenize", " [").stdout
    assert "' '" in output
    assert "'['" in output


def test_tokenize_refuses_bos_inside_text(wrong: Callable[..., str]) -> None:
    assert "--continue" in wrong("tokenize", "hi", "--continue", "--bos")


def test_greedy_shows_the_most_likely_tokens_in_order(run: Run) -> None:
    rows = json.loads(run("greedy", "--json", "It is", "-k", "3").stdout)["next_tokens"]
    assert [row["text"] for row in rows] == [" ", "!", "<|eos|>"]
    assert [row["prob"] for row in rows] == pytest.approx([0.8, 0.1, 0.06], rel=1e-6)
    assert [math.log(row["prob"]) for row in rows] == pytest.approx(
        [row["logprob"] for row in rows]
    )
    with autocog.load() as model:
        assert [row["logprob"] for row in rows] == [
            t.logprob for t in model.next_tokens("It is", 3)
        ]


def test_greedy_table_shows_surfaces_and_probabilities(run: Run) -> None:
    output = run("greedy", "It is", "-k", "2").stdout
    assert "' '" in output
    assert "0.8000" in output
    assert "'!'" in output
    assert "<|eos|>" not in output


def test_greedy_refuses_to_show_0_tokens(wrong: Callable[..., str]) -> None:
    assert "-k" in wrong("greedy", "It is", "-k", "0")
