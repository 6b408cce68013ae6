"""Mistakes of earlier implementations, by their number in the design: each is rejected by a law."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import Plain
from testing import broken
from testing.broken import Sound

from autocog_core import (
    AutocogError,
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    Model,
    RetryPolicy,
    load,
)
from autocog_core.backends.byte_vocabulary import ByteVocabulary
from autocog_core.backends.random import RandomLM
from autocog_core.scoring.prompt_encoding import encode
from autocog_core.testing import LAWS, LawBrokenError, Subject, conformance
from autocog_core.testing.conformance import check

LAWS_BY_NAME = {law.name: law for law in LAWS}


class FirstPosition(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:1])


class RawLogits(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.minimum(self.logits(tokens), 0).astype(np.float32)


class FirstTokenDropped(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        scores = tuple(
            replace(s, token_logprobs=s.token_logprobs[1:], logprob=sum(s.token_logprobs[1:]))
            for s in found.scores
        )
        return replace(found, scores=scores)


class BlankLost(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        bare = replace(request, choices=tuple(choice.strip() for choice in request.choices))
        found = self.core_choose(bare)
        scores = zip(found.scores, request.choices, strict=True)
        return replace(found, scores=tuple(replace(s, choice=c) for s, c in scores))


class OwnCompletion(Sound):
    """Completes without stops; a mutant changes what becomes of them."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        free = self.free(request)
        return self.ended(free, request.stop[0]) if request.stop else free

    def free(self, request: CompletionRequest) -> Completion:
        prompt, tokens, logprobs = encode(self.as_model().caller, request.prompt), [], []
        for _ in range(request.max_tokens):
            row = self.greedy_impl([*prompt, *tokens])
            tokens.append(int(row.argmax()))
            logprobs.append(float(row.max()))
        text = self.vocabulary.detokenize(tokens).decode("utf-8", errors="replace")
        return Completion(text, tuple(tokens), tuple(logprobs), "length")

    def ended(self, free: Completion, stop: str) -> Completion:
        return free


class StopOnlyAsWholeToken(OwnCompletion):
    def ended(self, free: Completion, stop: str) -> Completion:
        for i, token in enumerate(free.tokens):
            if self.vocabulary.surfaces[token] == stop.encode():
                text = self.vocabulary.detokenize(free.tokens[:i]).decode()
                return replace(free, text=text, tokens=free.tokens[: i + 1], finish="stop")
        return free


class StopMadeUp(OwnCompletion):
    def ended(self, free: Completion, stop: str) -> Completion:
        kept = free.text.split(stop)[0]
        tokens = [*self.vocabulary.tokenize(kept, False), *self.vocabulary.tokenize(stop, False)]
        return replace(free, text=kept + stop, tokens=tuple(tokens), finish="stop", stop=stop)


class StopForbidden(OwnCompletion):
    """Never says what would be the stop."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        if not request.stop:
            return self.free(request)
        text = self.free(request).text.replace(request.stop[0], "")
        tokens = tuple(self.vocabulary.tokenize(text, False))
        return Completion(text, tokens, (-1.0,) * len(tokens), "length")


class Products(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.exp([sum(score.token_logprobs) for score in found.scores])
            shares = shares / shares.sum()
        scores = zip(found.scores, shares.tolist(), strict=True)
        return replace(found, scores=tuple(replace(s, prob=p) for s, p in scores))


class MatchedByText(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        by_text = {score.choice.strip(): score for score in found.scores}
        scores = (replace(by_text[c.strip()], choice=c) for c in request.choices)
        return replace(found, scores=tuple(scores))


class PositiveCompletion(OwnCompletion):
    def free(self, request: CompletionRequest) -> Completion:
        found = super().free(request)
        return replace(found, logprobs=tuple(-x for x in found.logprobs or ()))


class PositiveRows(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return -super().greedy_impl(tokens)


class PositiveScores(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        return replace(found, scores=tuple(replace(s, logprob=-s.logprob) for s in found.scores))


MUTANTS: list[tuple[str, type[Sound], str]] = [
    ("1", FirstPosition, "last_token"),
    ("1", RawLogits, "distribution"),
    ("1", broken.Probabilities, "distribution"),
    ("2", broken.TreesOffByOne, "chain_rule"),
    ("4", broken.LeavesOnly, "prefix_choices"),
    ("8", broken.BOSTwice, "bos_once"),
    ("9", FirstTokenDropped, "chain_rule"),
    ("9", BlankLost, "choices_are_spelled"),
    ("10", broken.SpecialsParsed, "special_text_stays_text"),
    ("11", OwnCompletion, "stops"),
    ("11", StopOnlyAsWholeToken, "stops"),
    ("11", StopMadeUp, "stops"),
    ("11", StopForbidden, "stops"),
    ("13", broken.StaleCache, "caches"),
    ("14", Products, "long_choices"),
    ("17", MatchedByText, "choices_in_order"),
    ("20", PositiveCompletion, "greedy_and_scored"),
    ("20", PositiveRows, "distribution"),
    ("20", PositiveScores, "prefix_choices"),
]


@pytest.mark.parametrize(
    ("mutant", "law"),
    [
        pytest.param(mutant, law, id=f"trap{number}-{mutant.__name__}")
        for number, mutant, law in MUTANTS
    ],
)
def test_a_law_rejects_the_mutant(mutant: type[Sound], law: str) -> None:
    with pytest.raises(LawBrokenError):
        check(LAWS_BY_NAME[law], Subject(mutant))


@pytest.mark.parametrize("options", [{}, {"bos": False}, {"vocabulary": "bytes"}], ids=str)
def test_the_sound_model_keeps_every_law(options: dict[str, Any]) -> None:
    found = list(conformance(Subject(lambda: Sound(**options))))
    assert [finding.broken for finding in found if finding.broken] == []


def test_trap6_a_choice_of_5000_tokens_needs_no_recursion() -> None:
    model = Model(Plain())
    length = 5000
    assert sys.getrecursionlimit() < length
    result = model.choose("x", ["a" * length, "a" * (length - 1) + "b"])
    assert len(result.best.tokens) == length
    assert result.best.logprob == pytest.approx(-length * np.log(256), rel=1e-5)


def test_trap8_bos_is_added_iff_the_model_says_so() -> None:
    with_bos, without = Model(Sound()), Model(Sound(bos=False))
    assert with_bos.encode("a")[0] == with_bos.info.bos
    assert without.encode("a") == without.tokenize("a")


def test_trap11_a_stop_matches_where_it_ends_a_longer_token() -> None:
    dotted = ByteVocabulary("merges").tokenize(".\n", False)
    assert len(dotted) == 1

    class SaysDots(Sound):
        def logits(self, tokens: Sequence[int]) -> Any:
            logits = super().logits(tokens)
            logits[dotted[0] if len(tokens) % 4 == 0 else 97] += 100
            return logits

    completion = Model(SaysDots()).complete("x", stop="\n")
    assert (completion.text, completion.stop) == ("aa.", "\n")


def test_trap14_all_choices_impossible_are_equal_shares() -> None:
    row = np.full(256, -np.inf, dtype=np.float32)
    row[122] = 0
    result = Model(Plain(lambda tokens: row)).choose("x", ["a", "b" * 600])
    assert [score.prob for score in result.scores] == [0.5, 0.5]


def test_trap16_a_programming_error_is_raised_at_once_with_its_own_traceback() -> None:
    calls = []

    def mistaken(tokens: Any) -> Any:
        calls.append(tokens)
        return len(5)  # type: ignore[arg-type]

    model = Model(Plain(mistaken), retry=RetryPolicy(retries=3, delta=100))
    with pytest.raises(TypeError) as caught:
        model.choose("x", ["a", "b"])
    assert len(calls) == 1
    assert "mistaken" in "".join(traceback.format_exception(caught.value))


def test_trap16_the_cause_of_a_failed_load_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = TypeError("wrong")

    def create(**options: Any) -> Any:
        raise cause

    monkeypatch.setattr(RandomLM, "create", create)
    with pytest.raises(AutocogError) as caught:
        load(backend="random")
    assert caught.value.__cause__ is cause


def test_trap18_importing_core_prints_nothing_and_warns_of_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import autocog_core"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
