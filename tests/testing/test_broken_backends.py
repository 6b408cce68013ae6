"""Every broken backend is caught by the law that is meant for it, with its likely cause."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import BackendInfo, hookimpl
from autocog_core.testing import LAWS, LawBrokenError, Subject, conformance
from autocog_core.testing.conformance import check
from testing import broken

#: The backend, the law that is meant for it, and a part of the cause that is told.
BROKEN: list[tuple[type[broken.Sound], str, str]] = [
    (broken.OffByOne, "last_token", "off by one"),
    (broken.PositiveSign, "distribution", "the sign"),
    (broken.RawLogits, "distribution", "raw logits"),
    (broken.Probabilities, "distribution", "probabilities"),
    (broken.BaseTwo, "distribution", "base 2"),
    (broken.Unnormalised, "distribution", "not normalised"),
    (broken.OverflowsHalf, "distribution", "float16"),
    (broken.DoublePrecision, "distribution", "float32"),
    (broken.TopTenOnly, "distribution", "left out"),
    (broken.Rounded, "distribution", "rounded to 2 decimals"),
    (broken.Nondeterministic, "determinism", "dropout"),
    (broken.SiblingsSeen, "trees", "siblings"),
    (broken.TreesOffByOne, "trees", "next position: off by one"),
    (broken.TreesOffByOneBefore, "trees", "previous position: off by one"),
    (broken.TreesWithoutParents, "trees", "`parents` are ignored"),
    (broken.TreesByToken, "trees", "by token id rather than by node"),
    (broken.ValuesByToken, "trees", "by token id rather than by node"),
    (broken.NoisyOffByOne, "last_token", "off by one"),
    (broken.SortedBatches, "trees_together", "another order"),
    (broken.TokenizedApart, "boundary", "tokenized apart"),
    (broken.LastChosen, "shares", "index"),
    (broken.NormIgnored, "norms_and_ends", "request.norm is ignored"),
    (broken.BOSTwice, "bos_once", "core adds BOS itself"),
    (broken.BOSNever, "bos_counts", "BOS is stripped"),
    (broken.BlankDropped, "round_trip", "blank at the start"),
    (broken.Lowered, "round_trip", "lowered"),
    (broken.BordersSpanned, "borders", "keeps_borders"),
    (broken.PaddedVocabulary, "every_id", "wider than the tokenizer's vocabulary"),
    (broken.BeginningCut, "whole_context", "the beginning is cut off"),
    (broken.ContextShifted, "whole_context", "the beginning is cut off"),
    (broken.EndCut, "whole_context", "the end is cut off"),
    (broken.SpecialsParsed, "special_text_stays_text", "parse_special=False is ignored"),
    (broken.LeavesOnly, "prefix_choices", "leaves of the tree"),
    (broken.MeanAsSum, "chain_rule", "the mean"),
    (broken.Folded, "choices_in_order", "stripped or folded"),
    (broken.EmptyStop, "as_many_tokens", "empty stop"),
    (broken.StopsIgnored, "stops", "stop strings are ignored"),
    (broken.ScoresAfterTemperature, "greedy_and_scored", "after temperature"),
    (broken.TopKIgnored, "filters", "request.top_k is ignored"),
    (broken.TopPIgnored, "filters", "request.top_p is ignored"),
    (broken.MinPIgnored, "filters", "request.min_p is ignored"),
    (broken.SeedIgnored, "seeds", "request.seed is ignored"),
    (broken.SeedFixed, "seeds", "begins from the same seed"),
    (broken.WritesOn, "ends", "ignore_eos"),
    (broken.EndCalledLength, "ends", "not looked at"),
    (broken.EndLeftOut, "ends", "EOS is left out"),
    (broken.TooLongTaken, "context_of_completions", "self.prompt_tokens(request)"),
    (broken.StaleCache, "caches", "cut it back"),
    (broken.SharedState, "two_models", "class attribute"),
    (broken.RandomWeights, "two_models", "random with every load"),
    (broken.SharedEngine, "two_models", "`close_impl` frees an engine"),
    (broken.ShorterContext, "context", "longer than what the engine can take"),
    (broken.ChangingFingerprint, "fingerprint", "id()"),
    (broken.BufferHandedOut, "rows_are_the_callers", "copy"),
    (broken.OptionsIgnored, "unknown_options", "refuse_unknown"),
]
BY_NAME = {law.name: law for law in LAWS}


@pytest.mark.parametrize(
    ("backend", "name", "cause"),
    [pytest.param(*each, id=each[0].__name__) for each in BROKEN],
)
def test_a_broken_backend_is_caught_by_its_law(
    backend: type[broken.Sound], name: str, cause: str
) -> None:
    subject = Subject(backend)
    with pytest.raises(LawBrokenError) as caught:
        check(BY_NAME[name], subject)
    error = caught.value
    assert error.law == name
    assert cause in error.cause
    for line in (name, error.what, cause):
        assert line in str(error)


@pytest.mark.parametrize("backend", [broken.Sound, broken.WithTrees, broken.Sampling])
def test_what_they_are_made_of_is_sound(backend: type[broken.Sound]) -> None:
    found = list(conformance(Subject(backend)))
    assert [finding.broken for finding in found if finding.broken] == []
    assert sum(finding.status == "holds" for finding in found) > 30


def test_a_law_shows_the_smallest_text() -> None:
    class Forgets(broken.Sound):
        def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
            kept = [text.replace("\t", "") for text in texts]
            return super().tokenize_impl(kept, at_start, parse_special)

    with pytest.raises(LawBrokenError) as caught:
        check(BY_NAME["round_trip"], Subject(Forgets))
    assert (caught.value.given, caught.value.expected, caught.value.got) == ("'\\t'", "'\\t'", "''")


def broken_laws(backend: Any) -> set[str]:
    return {finding.law.name for finding in conformance(Subject(backend)) if finding.broken}


def test_bytes_that_are_no_character_become_question_marks() -> None:
    class Replaces(broken.Sound):
        def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
            found = super().detokenize_impl(tokens)
            return found.decode("utf-8", errors="replace").encode()

    assert {"bytes_add_up"} <= broken_laws(lambda: Replaces(vocabulary="bytes"))


def test_an_answer_that_depends_on_what_failed_before() -> None:
    class Upset(broken.Writing):
        """A completion that does not fit leaves it in another state."""

        upset = False

        def complete_impl(self, request: Any) -> Any:
            self.upset = True
            self.prompt_tokens(request)
            self.upset = False
            return super().complete_impl(request)

        def logits(self, tokens: Sequence[int]) -> Any:
            return super().logits(tokens) * (0.5 if self.upset else 1.0)

    found = {f.law.name: f.broken for f in conformance(Subject(Upset)) if f.broken}
    broken_ = found["context_of_completions"]
    assert broken_ is not None
    assert "after an error" in broken_.what


def test_choices_in_the_order_of_their_scores() -> None:
    class Sorts(broken.Sound):
        def choose_impl(self, request: Any) -> Any:
            found = self.core_choose(request)
            best = sorted(found.scores, key=lambda score: -score.logprob)
            return replace(found, scores=tuple(best), index=0)

    assert {"choices_in_order"} <= broken_laws(Sorts)


def test_a_sum_over_two_texts_of_which_one_was_padded() -> None:
    class Padded(broken.WithTrees):
        """Of several trees the shorter are filled up on the left, and the filling counts."""

        def greedy_tree_impl(self, queries: Any) -> Any:
            longest = max(len(query.prefix) for query in queries)
            filled = [
                replace(query, prefix=[0] * (longest - len(query.prefix)) + list(query.prefix))
                for query in queries
            ]
            return super().greedy_tree_impl(filled)

    assert {"trees_together"} <= broken_laws(Padded)


def test_text_that_is_shown_before_it_is_sure() -> None:
    class Hasty(broken.Writing):
        def complete_impl(self, request: Any) -> Any:
            found = super().complete_impl(request)
            if request.on_text:
                whole = super().complete_impl(replace(request, stop=()))
                request.on_text(whole.text[: len(found.text) + 1])
            return found

    assert {"streamed"} <= broken_laws(Hasty)


def test_a_vocabulary_of_words_as_the_tokenizer_spells_them() -> None:
    class Spelled(broken.Sound):
        def vocabulary_impl(self) -> Any:
            return [b"\xc4\xa0" + surface for surface in super().vocabulary_impl() or ()]

    assert broken_laws(Spelled) == {"borders", "vocabulary"}


def test_hooks_that_are_not_marked() -> None:
    class Unmarked:
        @hookimpl
        def describe(self) -> BackendInfo:
            return BackendInfo("unmarked", 256, identify=lambda: "x")

        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            return np.zeros(256, dtype=np.float32)

    assert "capabilities" in broken_laws(Unmarked)


SUITE = """
    from autocog_core.testing import BackendContract
    from testing.broken import {name}

    class TestIt(BackendContract):
        def make(self):
            return {name}()
"""


@pytest.mark.parametrize(
    ("name", "failing"), [pytest.param("Sound", 0, marks=pytest.mark.slow), ("OffByOne", 1)]
)
def test_the_suite_is_run_by_a_class_of_two_lines(tmp_path: Path, name: str, failing: int) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(SUITE).format(name=name))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ran.returncode == failing, ran.stdout
    if failing:
        assert 'the law "last_token" is broken' in ran.stdout
        assert "off by one" in ran.stdout
