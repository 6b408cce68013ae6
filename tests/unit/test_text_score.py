"""Scores of texts equal those of single rows: per token, per word, in windows, in pairs."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from autocog_core import (
    ContextOverflowError,
    InputError,
    Model,
    TextPiece,
    TextScore,
    TokenPiece,
)
from autocog_core.scoring.words import find_words
from tests.support.small_backends import CharTokenizer, Plain, random_model
from tests.support.soak import count

WORDS = ["Paris", "the", "and", "on", "ababa", "10", "100.", "é", "x,", " ", "\n", "then"]


def draw_text(source: random.Random) -> str:
    words = [source.choice(WORDS) for _ in range(source.randint(1, 6))]
    text = source.choice([" ", " ", "  ", "\n"]).join(words)
    return source.choice(["", " "]) + text + source.choice(["", " "])


def expected_logprobs(model: Model, score: TextScore, before: list[int]) -> list[float]:
    """The log-probability of each token, from one row each."""
    ids = before.copy()
    logprobs = []
    for token in score.tokens:
        logprobs.append(float(model.client.greedy(ids)[token.id]))
        ids.append(token.id)
    return logprobs


def expected_surprisals(model: Model, score: TextScore, before: list[int]) -> list[float]:
    """The surprisal of each word by its definition, from whole rows."""
    ends_word = [
        index
        for index, raw in enumerate(model.client.vocabulary())
        if raw[:1] in (b" ", b"\t", b"\n", b"\r", b"\v", b"\f") or index in model.info.eos
    ]

    def word_ends(ids: list[int]) -> float:
        return float(np.exp(model.client.greedy(ids)[ends_word].astype(np.float64)).sum())

    ids = [token.id for token in score.tokens]
    surprisals = []
    for word in score.words:
        probability = 1.0
        for index in range(word.first_token, word.end_token):
            row = model.client.greedy(before + ids[:index])
            probability *= math.exp(row[ids[index]])
        starts = [
            index
            for index in range(word.first_token, word.end_token)
            if score.tokens[index].raw.strip(b" \t\n\r\v\f")
        ]
        first = score.tokens[starts[0]].raw
        if first[:1].isspace():
            probability /= word_ends(before + ids[: starts[0]])
        follows = score.tokens[word.end_token].raw[:1] if word.end_token < len(ids) else b" "
        if follows.isspace():
            probability *= word_ends(before + ids[: word.end_token])
        surprisals.append(-math.log2(probability))
    return surprisals


@pytest.mark.parametrize("vocabulary", ["bytes", "merges"])
def test_tokens_and_words_equal_single_rows(vocabulary: str) -> None:
    for seed in range(count(normal=12, soak=400)):
        source = random.Random(seed)
        context, text = source.choice(["", "Paris", "the ", "a\n"]), draw_text(source)
        with random_model(seed=seed, vocabulary=vocabulary) as model:
            score = model.score(text, context, words=True)
            before = model.encode(context + text)[: -len(score.tokens)]
            assert [t.logprob for t in score.tokens] == pytest.approx(
                expected_logprobs(model, score, before), abs=1e-6
            )
            assert b"".join(t.raw for t in score.tokens).decode() == score.healed_text + text
            surprisals = [word.surprisal for word in score.words]
            assert surprisals == pytest.approx(expected_surprisals(model, score, before), abs=1e-4)
            words = " ".join(word.text for word in score.words).split()
            assert words == (score.healed_text + text).split(), "no word is lost"


def test_a_text_after_a_context_scores_as_a_choice_does() -> None:
    with random_model(vocabulary="merges") as model:
        score = model.score("ris and", "in Pa")
        choice = model.choose("in Pa", ["ris and"]).scores[0]
    assert score.boundary == "healed"
    assert score.healed_text == " Pa"
    assert score.logprobs == choice.token_logprobs
    assert score.logprob == pytest.approx(choice.logprob)


def test_numbers_of_a_whole_text() -> None:
    with Model(Plain()) as model:
        score = model.score("abcd", "x")
    assert score.logprob == pytest.approx(-4 * math.log(256))
    assert score.bits == pytest.approx(32)
    assert score.bits_per_byte == pytest.approx(8)
    assert score.perplexity == pytest.approx(256)
    assert score.unscored == 0
    assert score.windows == 1


def test_without_bos_and_context_the_first_token_has_no_logprob() -> None:
    with Model(Plain()) as model:
        score = model.score("abcd")
        alone = model.score("a")
    assert score.tokens[0].logprob is None
    assert score.unscored == 1
    assert score.perplexity == pytest.approx(256)
    assert alone.logprob is None
    assert alone.bits is None
    assert alone.perplexity is None
    assert alone.bits_per_byte is None


def test_context_may_be_ids_or_trusted_text() -> None:
    with random_model() as model:
        bos = model.info.bos
        assert bos is not None
        expected = model.score("hi").logprobs
        assert model.score("hi", TokenPiece((bos,))).logprobs == expected
        assert model.score("hi", TextPiece("<|bos|>", trusted=True)).logprobs == expected
        assert model.score("hi", "<|bos|>").logprobs != expected


@pytest.mark.parametrize(("window", "stride"), [(16, 1), (16, 5), (16, 14), (9, None), (2000, 3)])
def test_windows_score_each_token_once_with_what_fits_before_it(
    window: int, stride: int | None
) -> None:
    text = "the cat sat on the mat, and then some more of it."
    with random_model() as model:
        score = model.score(text, "so ", window=window, stride=stride, words=True)
        plain = model.score(text, "so ", words=True)
        bos, *ids = model.encode("so " + text)
        step = stride or window // 2
        for index, token in enumerate(score.tokens, start=3):
            end = window - 1
            while end <= index:
                end = min(end + step, len(ids))
            start = max(0, end - (window - 1))
            expected = model.client.greedy([bos, *ids[start:index]])[token.id]
            assert token.logprob == pytest.approx(float(expected), abs=1e-6)
    assert [token.id for token in score.tokens] == [token.id for token in plain.tokens]
    assert [word.text for word in score.words] == [word.text for word in plain.words]
    assert (score.windows > 1) == (window < 2000)
    if window == 2000:
        assert score.logprobs == plain.logprobs


def test_many_word_boundaries_take_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the cat sat on the mat, and then some more."
    with random_model(vocabulary="merges") as model:
        whole = model.score_many([text, "and so on"], words=True)
        monkeypatch.setattr("autocog_core.scoring.score_texts.MAX_PROBABILITIES_PER_CALL", 20)
        monkeypatch.setattr("autocog_core.scoring.query_batches.MAX_TOKENS_PER_CALL", 10)
        parts = model.score_many([text, "and so on"], words=True)
    for one, other in zip(whole, parts, strict=True):
        assert one.tokens == other.tokens
        assert one.words == other.words


def test_a_text_that_the_tokenizer_drops_is_refused() -> None:
    dropping = CharTokenizer(normalise=lambda text: text.replace("\x07", ""))
    with Model(dropping) as model:
        for context in ("", "Hello"):
            with pytest.raises(InputError, match="no token of its own"):
                model.score("\x07", context)
        with pytest.raises(InputError, match="no token of its own"):
            model.rank("\x07", ["a", "b"], before_prompt="")


def test_a_context_that_the_text_changes_whole_is_refused_without_bos() -> None:
    with Model(CharTokenizer(["Hello"], adds_bos=False)) as model:
        with pytest.raises(InputError, match="nothing to condition on"):
            model.score("o", "Hell")
        with pytest.raises(InputError, match="nothing to condition on"):
            model.rank("o", ["Hell", "x"], before_prompt="")


def test_pairs_that_begin_with_different_unscored_tokens_are_not_compared() -> None:
    with Model(Plain()) as model:
        same, other = model.score_pairs([("ab", "ac"), ("ab", "b")])
    assert same.difference == 0
    assert other.difference is None
    assert other.to_dict()["difference"] is None


def test_pairs_compare_two_texts() -> None:
    with random_model() as model:
        first, second = model.score("the dogs run"), model.score("the dogs runs")
        (pair,) = model.score_pairs([("the dogs run", "the dogs runs")])
    assert first.logprob is not None
    assert second.logprob is not None
    assert pair.difference == pytest.approx(first.logprob - second.logprob)
    assert pair.to_dict()["difference"] == pair.difference


def test_a_token_that_spans_two_words_joins_them() -> None:
    assert [word.text for word in find_words([b"of", b" the", b" c", b"at"])] == [
        b"of",
        b"the",
        b"cat",
    ]
    joined = find_words([b"in", b" front of", b" the"])
    assert [word.text for word in joined] == [b"in", b"front of", b"the"]
    assert find_words([b" ", b"\n"]) == []


def test_wrong_arguments_are_named() -> None:
    with Model(CharTokenizer(context_length=20)) as model:
        with pytest.raises(InputError, match="text 0: is empty"):
            model.score("")
        with pytest.raises(InputError, match="text 1"):
            model.score_many(["a", "\ud800"])
        with pytest.raises(InputError, match="texts"):
            model.score_many("abc")
        with pytest.raises(InputError, match="window"):
            model.score("abc", window=21)
        with pytest.raises(InputError, match=r"stride.*1 to 18"):
            model.score("a" * 30, stride=19)
        with pytest.raises(InputError, match=r"window.*larger"):
            model.score("abc", window=2)
        with pytest.raises(ContextOverflowError, match="context"):
            model.score("abc", "x" * 30)
        with pytest.raises(InputError, match="pair 1"):
            model.score_pairs([("a", "b"), "ab"])  # type: ignore[list-item]


def test_pairs_that_heal_other_parts_of_the_context_are_not_comparable() -> None:
    model = Model(CharTokenizer(["tw"]))
    joined, same = model.score_pairs([("we", "he"), ("we", "wo")], "cat")
    assert (joined.first.healed_text, joined.second.healed_text) == ("t", "")
    assert joined.difference is None
    assert same.difference == 0.0
