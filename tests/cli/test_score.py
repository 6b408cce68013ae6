"""`autocog score` shows the results of the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run


@pytest.fixture
def sentences(folder: Path) -> str:
    (folder / "sentences.txt").write_text("the cat sat\n\nthe dog [red]ran\x1b[31m\n", "utf-8")
    return "sentences.txt"


@pytest.fixture
def pairs(folder: Path) -> str:
    (folder / "pairs.tsv").write_text("dogs run\tdogs runs\nit is\tit are\n", "utf-8")
    return "pairs.tsv"


def test_json_has_the_scores_of_the_api(run: Run, sentences: str) -> None:
    texts = json.loads(run("score", sentences, "--words", "--json").stdout)["texts"]
    with autocog.load() as model:
        lines = ["the cat sat", "the dog [red]ran\x1b[31m"]
        assert texts == [score.to_dict() for score in model.score_many(lines, words=True)]


def test_context_may_have_special_tokens(run: Run, sentences: str) -> None:
    def logprob(*options: str) -> float:
        output = run("score", sentences, "--json", "--context", "<|end|>", *options).stdout
        return float(json.loads(output)["texts"][0]["logprob"])

    with autocog.load() as model:
        trusted = autocog.TextPiece("<|end|>", trusted=True)
        assert logprob("--special") == model.score("the cat sat", trusted).logprob
        assert logprob() == model.score("the cat sat", "<|end|>").logprob


@pytest.mark.parametrize("option", ["", "--tokens", "--words"])
def test_tables_show_texts_as_they_are(run: Run, sentences: str, option: str) -> None:
    output = run("score", sentences, *([option] if option else [])).stdout
    assert "\x1b" not in output
    assert ("'['" if option == "--tokens" else "[red]") in output


def test_whole_file_is_one_text(run: Run, sentences: str) -> None:
    (text,) = json.loads(
        run("score", sentences, "--whole", "--window", "12", "--stride", "4", "--json").stdout
    )["texts"]
    assert text["text"] == "the cat sat\n\nthe dog [red]ran\x1b[31m\n"
    assert text["windows"] > 1


def test_standard_input(run: Run) -> None:
    lines = json.loads(run("score", "-", "--json", stdin="one\ntwo\n").stdout)["texts"]
    assert [text["text"] for text in lines] == ["one", "two"]
    (whole,) = json.loads(run("score", "-", "--whole", "--json", stdin="one\n\ntwo\n").stdout)[
        "texts"
    ]
    assert whole["text"] == "one\n\ntwo\n"


def test_pairs(run: Run, pairs: str) -> None:
    compared = json.loads(run("score", pairs, "--pairs", "--json").stdout)["pairs"]
    with autocog.load() as model:
        expected = model.score_pairs([("dogs run", "dogs runs"), ("it is", "it are")])
    assert compared == [pair.to_dict() for pair in expected]
    assert "of 2 pairs" in run("score", pairs, "--pairs").stdout


def test_a_first_token_without_logprob_is_said(run: Run, sentences: str) -> None:
    result = run("score", sentences, "--backend", "random", "--option", "bos=false")
    assert "warning: the first token of 2 texts has no log-probability" in result.stderr


def test_wrong_input_is_named(
    wrong: Callable[..., str], folder: Path, sentences: str, pairs: str
) -> None:
    (folder / "empty.txt").write_text("\n", "utf-8")
    assert "empty.txt" in wrong("score", "empty.txt")
    assert "missing.txt" in wrong("score", "missing.txt")
    assert "line 1" in wrong("score", sentences, "--pairs")
    assert "--whole" in wrong("score", pairs, "--pairs", "--whole")
    assert "--tokens" in wrong("score", pairs, "--tokens", "--words")
