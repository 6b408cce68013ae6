"""One table of backends with a mistake, and of the laws that must catch each of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocog_core.testing import LAWS, BackendUnderTest, LawViolation, conformance
from autocog_core.testing.conformance import check
from tests.mutants import (
    choices,
    completions,
    context,
    descriptions,
    memory,
    rows,
    test_direct,
    tokens,
    trees,
)
from tests.mutants.sound import Sampling, Sound, WithTrees
from tests.support.processes import child_environment
from tests.unit import test_automaton_runs

#: The mutant, the laws that must catch it, and words of the likely cause that the first of these
#: laws gives (none where it gives none).
TABLE: list[tuple[Callable[[], object], str, str]] = [
    # Rows
    (rows.OffByOne, "last_token_matters", "off by one"),
    (rows.NoisyOffByOne, "last_token_matters", "off by one"),
    (rows.FirstPosition, "last_token_matters first_tokens_matter", "off by one"),
    (rows.PositiveSign, "distribution", "the sign"),
    (rows.RawLogits, "distribution", "raw logits"),
    (rows.ClippedLogits, "distribution", ""),
    (rows.Probabilities, "distribution", "probabilities"),
    (rows.BaseTwo, "distribution", "base 2"),
    (rows.Unnormalised, "distribution", "not normalised"),
    (rows.Scaled, "distribution", ""),
    (rows.OverflowsHalf, "distribution", "float16"),
    (rows.DoublePrecision, "distribution", "float32"),
    (rows.TopTenOnly, "distribution", "left out"),
    (rows.Rounded, "distribution", "rounded to 2 decimals"),
    (rows.Nondeterministic, "determinism", "dropout"),
    # Tokenizers
    (tokens.BOSTwice, "bos_once trusted_special_text", "core adds BOS itself"),
    (tokens.BOSNever, "bos_counts", "BOS is stripped"),
    (tokens.BlankDropped, "round_trip", "blank at the start"),
    (tokens.Lowered, "round_trip", "lowered"),
    (tokens.TabsLost, "round_trip", ""),
    (tokens.FailsOnEmoji, "round_trip", ""),
    (tokens.BytesReplaced, "token_bytes_add_up", ""),
    (
        tokens.SpecialsParsed,
        "special_text_stays_text chat_content_stays_text",
        "parse_special=False is ignored",
    ),
    (tokens.PaddedVocabulary, "every_id_has_bytes", "wider than the tokenizer's vocabulary"),
    (tokens.BordersSpanned, "word_boundaries", "splits_at_word_boundaries"),
    (tokens.TokenizerSpelling, "word_boundaries vocabulary", ""),
    # Long sequences
    (context.BeginningCut, "whole_context_matters", "the beginning is cut off"),
    (context.ContextShifted, "whole_context_matters", "the beginning is cut off"),
    (context.EndCut, "whole_context_matters", "the end is cut off"),
    (context.ShorterContext, "context_limit", "longer than what the engine can take"),
    # Token trees
    (trees.SiblingsSeen, "tree_scores_match", "siblings"),
    (trees.TreesOffByOne, "tree_scores_match chain_rule", "next position: off by one"),
    (trees.TreesOffByOneBefore, "tree_scores_match", "previous position: off by one"),
    (trees.OneNodeOff, "tree_scores_match", ""),
    (trees.TreesWithoutParents, "tree_scores_match", "`parents` are ignored"),
    (trees.TreesByToken, "tree_scores_match", "by token id rather than by node"),
    (trees.ValuesByToken, "tree_scores_match", "by token id rather than by node"),
    (trees.SortedBatches, "tree_batches_match", "another order"),
    (trees.PaddedLeft, "tree_batches_match choice_batches_match", ""),
    # Choices
    (choices.TokenizedApart, "boundary", "tokenized apart"),
    (choices.BlankLost, "choice_tokens_spell_choice", ""),
    (choices.FirstTokenDropped, "chain_rule", ""),
    (choices.MeanAsSum, "chain_rule", "the mean"),
    (choices.Folded, "choice_order_is_kept", "stripped or folded"),
    (choices.Stripped, "choice_order_is_kept", "stripped or folded"),
    (choices.SortedByScore, "choice_order_is_kept", ""),
    (choices.Halved, "choice_order_is_kept", ""),
    (choices.LastChosen, "probabilities_sum_to_one", "index"),
    (choices.LeavesOnly, "prefix_choices", "leaves of the tree"),
    (choices.PositiveScores, "prefix_choices", ""),
    (choices.Products, "long_choices", ""),
    (choices.NormIgnored, "norms_and_suffixes", "request.norm is ignored"),
    # Completions
    (completions.EmptyStop, "max_tokens_respected", "empty stop"),
    (completions.StopsIgnored, "stop_strings_match", "stop strings are ignored"),
    (completions.StopOnlyAsWholeToken, "stop_strings_match", ""),
    (completions.StopMadeUp, "stop_strings_match", ""),
    (completions.StopForbidden, "stop_strings_match", ""),
    (completions.Hasty, "streamed_text_matches", ""),
    (completions.PositiveLogprobs, "greedy_completion_is_scored tokens_spell_the_text", ""),
    (completions.ScoresAfterTemperature, "greedy_completion_is_scored", "after temperature"),
    (completions.TopKIgnored, "sampling_filters", "request.top_k is ignored"),
    (completions.TopPIgnored, "sampling_filters", "request.top_p is ignored"),
    (completions.MinPIgnored, "sampling_filters", "request.min_p is ignored"),
    (completions.SeedIgnored, "seed_repeats_sample", "request.seed is ignored"),
    (completions.SeedFixed, "seed_repeats_sample", "begins from the same seed"),
    (completions.WritesOn, "stops_at_eos", "ignore_eos"),
    (completions.EndCalledLength, "stops_at_eos", "not looked at"),
    (completions.EndLeftOut, "stops_at_eos", "EOS is left out"),
    (completions.TooLongTaken, "completion_context_limit", "self.prompt_tokens(request)"),
    (completions.Upset, "completion_context_limit", ""),
    (
        completions.OptionsIgnored,
        "unknown_options_refused sampled_alternatives",
        "reject_unknown_options",
    ),
    # State
    (memory.StaleCache, "cache_is_transparent repeated_choices_match", "cut it back"),
    (memory.SharedState, "two_models", "class attribute"),
    (memory.RandomWeights, "two_models new_model_same_rows", "random with every load"),
    (memory.SharedEngine, "two_models", "`close_impl` frees an engine"),
    (memory.BufferHandedOut, "returned_rows_stay_unchanged", "copy"),
    # Descriptions
    (descriptions.ChangingFingerprint, "fingerprint", "id()"),
    (descriptions.Unmarked, "capabilities", ""),
    (descriptions.Mute, "description", ""),
    (descriptions.Dictionary, "description", ""),
]

#: Laws that no mutant is listed for: nothing here shows that they can fail.
LAWS_WITHOUT_A_MUTANT = {
    *(
        "text_batches_match",
        "tokens_are_valid_ids",
        "invalid_text_refused",
        "matches_reference",
        "top_k_matches",
        "threads",
    ),
    *("empty_stops", "unknown_ids_refused", "empty_prompt", "closed_is_closed"),
}

#: Mistakes of core itself, of which no backend could be made: the tests that catch them.
CAUGHT_BY_A_TEST: dict[str, Callable[..., None]] = {
    "pruning keeps the worst": test_direct.test_width_keeps_the_best,
    "a threshold prunes the best": (
        test_automaton_runs.test_the_best_and_likely_branches_are_followed
    ),
    "a run appends tokens to the automaton": (
        test_direct.test_evaluating_twice_gives_the_same_tokens
    ),
    "fixed text counts as decided": test_direct.test_fixed_text_does_not_count_as_decided,
    "a set of tokens keeps the stop out": test_direct.test_a_mask_never_keeps_its_stop_out,
    "a cached mask of another set": (test_direct.test_masks_are_cached_by_content_and_not_by_name),
    "a search with no beams is a result": test_direct.test_a_search_without_beams_is_refused,
    "a dead end is a result": test_direct.test_a_dead_end_is_no_result,
    "recursion over a choice's tokens": test_direct.test_a_choice_of_5000_tokens_needs_no_recursion,
    "recursion over a chain of texts": (
        test_automaton_runs.test_many_consecutive_texts_take_linear_time_and_no_recursion
    ),
    "BOS is always added, or never": (
        test_direct.test_bos_is_added_if_the_model_says_so_and_only_then
    ),
    "a stop has to be a whole token": (
        test_direct.test_a_stop_matches_where_it_ends_a_longer_token
    ),
    "0 divided by 0 among impossible choices": (
        test_direct.test_choices_that_are_all_impossible_have_equal_shares
    ),
    "a programming error is retried": (
        test_direct.test_a_programming_error_is_raised_at_once_with_its_own_traceback
    ),
    "the cause of a failed load is lost": test_direct.test_the_cause_of_a_failed_load_is_kept,
    "importing prints or warns": (
        test_direct.test_importing_core_prints_nothing_and_warns_of_nothing
    ),
}
BY_NAME = {law.name: law for law in LAWS}


def name_of(backend: Any) -> str:
    return str(backend.__name__)


@pytest.mark.parametrize(
    ("backend", "laws", "cause"),
    [pytest.param(*row, id=name_of(row[0])) for row in TABLE],
)
def test_every_mutant_is_caught_by_its_laws(
    backend: Callable[[], object], laws: str, cause: str
) -> None:
    subject = BackendUnderTest(backend)
    errors = []
    for name in laws.split():
        with pytest.raises(LawViolation) as caught:
            check(BY_NAME[name], subject)
        error = caught.value
        assert error.law == name
        assert f'the law "{name}" is broken: {error.problem}' in str(error)
        errors.append(error)
    assert cause in errors[0].cause
    assert cause in str(errors[0])


def test_every_mutant_is_in_the_table_once() -> None:
    modules = (choices, completions, context, descriptions, memory, rows, tokens, trees)
    defined = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    listed = [backend for backend, _, _ in TABLE]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(defined)


def test_every_law_has_a_mutant_but_for_those_that_are_named() -> None:
    named = {law for _, laws, _ in TABLE for law in laws.split()}
    assert set(BY_NAME) - named == LAWS_WITHOUT_A_MUTANT


@pytest.mark.parametrize("options", [{}, {"bos": False}, {"vocabulary": "bytes"}], ids=str)
def test_the_model_that_mutants_are_made_of_keeps_every_law(options: dict[str, Any]) -> None:
    keeps_every_law(lambda: Sound(**options))


@pytest.mark.parametrize("backend", [WithTrees, Sampling])
def test_the_hooks_that_mutants_are_made_of_keep_every_law(backend: type[Sound]) -> None:
    keeps_every_law(backend)


def keeps_every_law(make: Callable[[], object]) -> None:
    findings = list(conformance(BackendUnderTest(make)))
    assert [finding.violation for finding in findings if finding.violation] == []
    assert sum(finding.status == "holds" for finding in findings) > 30


def test_a_law_shows_the_smallest_text() -> None:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], BackendUnderTest(tokens.TabsLost))
    assert (caught.value.given, caught.value.expected, caught.value.got) == ("'\\t'", "'\\t'", "''")


def test_an_answer_that_depends_on_what_failed_before_is_told_so() -> None:
    with pytest.raises(LawViolation, match="after an error"):
        check(BY_NAME["completion_context_limit"], BackendUnderTest(completions.Upset))


def test_a_vocabulary_as_the_tokenizer_spells_it_breaks_no_other_law() -> None:
    findings = conformance(BackendUnderTest(tokens.TokenizerSpelling))
    assert {f.law.name for f in findings if f.violation} == {"word_boundaries", "vocabulary"}


SUITE = """
    from autocog_core.testing import BackendContractTests
    from tests.mutants.{module} import {name}

    class TestIt(BackendContractTests):
        def make(self):
            return {name}()
"""


@pytest.mark.parametrize(
    ("module", "name", "failing"),
    [
        pytest.param("sound", "Sound", 0, marks=pytest.mark.slow),
        ("rows", "OffByOne", 1),
    ],
)
def test_the_suite_is_run_by_a_class_of_two_lines(
    tmp_path: Path, module: str, name: str, failing: int
) -> None:
    suite = textwrap.dedent(SUITE).format(module=module, name=name)
    (tmp_path / "test_it.py").write_text(suite)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env=child_environment(),
    )
    assert ran.returncode == failing, ran.stdout
    if failing:
        assert 'the law "last_token_matters" is broken' in ran.stdout
        assert "off by one" in ran.stdout
