"""The table of mutants, and of the laws that must catch each of them."""

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
    only_choosing,
    rows,
    test_direct,
    tokens,
    tree_scores,
    trees,
)
from tests.mutants.correct_models import (
    Chooser,
    CorrectLM,
    CorrectSamplingLM,
    CorrectTreeLM,
    InexactChooser,
)
from tests.support.processes import child_environment
from tests.unit import test_automaton_runs

#: The mutant, the laws that must catch it, and a part of the likely cause that the first law
#: reports; empty if it must report none.
TABLE: list[tuple[Callable[[], object], str, str]] = [
    # Rows
    (rows.OffByOne, "last_token_matters", "off by one"),
    (rows.NoisyOffByOne, "last_token_matters", "off by one"),
    (rows.FirstPositionRead, "last_token_matters first_tokens_matter", "off by one"),
    (rows.SignNegated, "distribution", "the sign"),
    (rows.RawLogits, "distribution", "raw logits"),
    (rows.ClippedLogits, "distribution", "not normalized"),
    (rows.Probabilities, "distribution", "probabilities"),
    (rows.BaseTwo, "distribution", "base 2"),
    (rows.Unnormalised, "distribution", "not normalized"),
    (rows.Scaled, "distribution", ""),
    (rows.Float16Overflow, "distribution", "float16"),
    (rows.DoublePrecision, "distribution", "float32"),
    (rows.TopTenOnly, "distribution", "left out"),
    (rows.Rounded, "distribution", "rounded to 2 decimals"),
    (rows.Nondeterministic, "determinism", "dropout"),
    # Tokenizers
    (tokens.BOSAddedByTokenizer, "bos_once trusted_special_text", "core adds BOS itself"),
    (tokens.BOSStripped, "bos_counts", "BOS is stripped"),
    (tokens.LeadingBlankDropped, "round_trip", "blank at the start"),
    (tokens.Lowercased, "round_trip", "lowercased"),
    (tokens.TabsRemoved, "round_trip", "whitespace is merged"),
    (tokens.FailsOnEmoji, "round_trip", ""),
    (tokens.InvalidBytesReplaced, "token_bytes_add_up", "depends on neighbours"),
    (
        tokens.SpecialTokensParsed,
        "special_text_stays_text chat_content_stays_text",
        "parse_special=False is ignored",
    ),
    (
        tokens.TemplateArgumentsKept,
        "template_arguments_end_with_their_call",
        "stored in the template",
    ),
    (tokens.PaddedVocabulary, "every_id_has_bytes", "wider than the tokenizer's vocabulary"),
    (tokens.WordBoundariesCrossed, "word_boundaries", "splits_at_word_boundaries"),
    (tokens.TokenizerSpelling, "word_boundaries vocabulary", "respects_word_boundaries"),
    # Long sequences
    (context.BeginningTruncated, "whole_context_matters", "the beginning is cut off"),
    (context.UndeclaredTruncated, "whole_context_matters", "the beginning is cut off"),
    (context.LongTruncated, "whole_context_matters", "the end is cut off"),
    (context.ContextShifted, "whole_context_matters", "the beginning is cut off"),
    (context.EndTruncated, "whole_context_matters", "the end is cut off"),
    (context.ContextOverstated, "context_limit", "longer than what the engine can take"),
    (context.LongContextOverstated, "context_limit", "longer than what the engine can take"),
    # Token trees
    (trees.SiblingsSeen, "tree_scores_match", "siblings"),
    (trees.NextPositionRead, "tree_scores_match chain_rule", "next position: off by one"),
    (trees.PreviousPositionRead, "tree_scores_match", "previous position: off by one"),
    (trees.OneNodeWrong, "tree_scores_match", "its place in the tree"),
    (trees.LevelsSorted, "best_choices_match", "the order or the depth of the queried nodes"),
    (trees.ParentsIgnored, "tree_scores_match", "`parents` are ignored"),
    (trees.RowsByToken, "tree_scores_match", "by token id rather than by node"),
    (trees.ValuesByToken, "tree_scores_match", "by token id rather than by node"),
    (trees.PrefixEndLeftOut, "tree_scores_match", "the last token of the prefix is left out"),
    (trees.PrefixStartLeftOut, "tree_scores_match", "the first token of the prefix is left out"),
    (trees.PrefixStartDoubled, "tree_scores_match", "added a second time"),
    (trees.PrefixLeftOut, "tree_scores_match", "the prefix is left out"),
    (trees.ParentAlone, "tree_scores_match", "only the parent's token is seen"),
    (trees.NodeBeforeSeen, "tree_scores_match", "`parents` are ignored"),
    (trees.NoTreeMask, "tree_scores_match", "siblings"),
    (trees.RowsShifted, "tree_scores_match", "rows are those of the next node"),
    (trees.SortedBatches, "tree_batches_match", "another order"),
    (trees.PaddedLeft, "tree_batches_match choice_batches_match", "padding"),
    # Scores of token trees
    (tree_scores.TreeBaseTwo, "tree_scores_match", "base 2"),
    (tree_scores.TreeBaseTen, "tree_scores_match", "base 10"),
    (tree_scores.TreeRounded, "tree_scores_match", "rounded to 2 decimals"),
    (tree_scores.TreeHalfPrecision, "tree_scores_match", "rounded to float16"),
    (tree_scores.TreeScaled, "tree_scores_match", ""),
    (tree_scores.LogitsInTrees, "tree_scores_match", "raw logits"),
    (tree_scores.SumsAlongThePath, "tree_scores_match", "sums along the path"),
    (tree_scores.LeavesAnswered, "tree_scores_match", "0, 1, 2, 4 of 8"),
    (tree_scores.LastNodeForgotten, "tree_scores_match", "stay at 0: 7 of 8"),
    (tree_scores.ForgottenNodesNaN, "tree_answers_are_complete", "nodes that were forgotten"),
    (tree_scores.TopRowTooShort, "tree_answers_are_complete", ""),
    (tree_scores.FirstChildrenAnswered, "tree_scores_match", "stay at -inf: 1, 3, 5 of 8"),
    (tree_scores.FirstChildCopied, "tree_scores_match", "of their first sibling"),
    (tree_scores.NodesSorted, "tree_scores_match", "in another order"),
    (tree_scores.SiblingsSwapped, "tree_scores_match", "in another order"),
    (tree_scores.ShiftedByOne, "tree_scores_match", "in another order"),
    (tree_scores.ScoresOfTheLastCall, "tree_scores_match", "state of the previous call"),
    (tree_scores.TopOfAnotherNode, "top_k_matches", "of another node"),
    (tree_scores.TopAscending, "top_k_matches", "sort order"),
    (tree_scores.TopIdsMixed, "top_k_matches", "the ids do not belong"),
    (tree_scores.MaskIgnored, "top_k_matches", "the mask is ignored"),
    (tree_scores.NormalizedAfterMask, "top_k_matches", "normalization after the mask"),
    (tree_scores.OneQueryAnswered, "tree_batches_match", "only 1 of 6 queries have scores"),
    (tree_scores.FirstPrefixForAll, "tree_batches_match", "its prefix is used for all"),
    (tree_scores.QueriesSwapped, "tree_batches_match", "another order"),
    (tree_scores.PreviousQuerySeen, "tree_batches_match", "what another query of the batch left"),
    # Choices
    (choices.TokenizedApart, "boundary", "tokenized apart"),
    (choices.ChoicesStripped, "choice_tokens_spell_choice", "stripped before"),
    (choices.FirstTokenDropped, "chain_rule", "the first token is not scored"),
    (choices.MeanInsteadOfSum, "chain_rule", "the mean"),
    (choices.CaseFoldedLookup, "choice_order_is_kept", "stripped or folded"),
    (choices.StrippedLookup, "choice_order_is_kept", "stripped or folded"),
    (choices.SortedByScore, "choice_order_is_kept", ""),
    (choices.HalvedAmongOthers, "choice_order_is_kept", ""),
    (choices.UnlikeliestChosen, "probabilities_sum_to_one", "index"),
    (choices.LeavesOnly, "prefix_choices", "leaves of the tree"),
    (choices.ScoresNegated, "prefix_choices", "the sign"),
    (choices.ProbabilitiesMultiplied, "long_choices", "underflow"),
    (choices.NormIgnored, "norms_and_suffixes", "request.norm is ignored"),
    (only_choosing.FirstIsBest, "best_choices_match", ""),
    # Backends that only choose
    (only_choosing.LastChoiceLeftOut, "choice_answers_are_complete", ""),
    (only_choosing.SortedAnswer, "choice_answers_are_complete", "sorted by their scores"),
    (only_choosing.ProbabilityOfThree, "choice_answers_are_complete", "divide by their sum"),
    (only_choosing.NegativeProbability, "choice_answers_are_complete", "the share"),
    (only_choosing.ExactWithoutTokens, "choice_answers_are_complete", "set exact=False"),
    (only_choosing.InexactWithoutReason, "choice_answers_are_complete", ""),
    (only_choosing.TokensOfAnotherVocabulary, "choice_answers_are_complete", "another tokenizer"),
    (only_choosing.MarginOfAnother, "choice_answers_are_complete", ""),
    (only_choosing.SuffixIgnored, "norms_and_suffixes", "request.suffix is ignored"),
    (only_choosing.NormOnlyNamed, "norms_and_suffixes", "request.norm is ignored"),
    (only_choosing.InexactNormIgnored, "norms_and_suffixes", "request.norm is ignored"),
    (only_choosing.ScoresByPosition, "choices_in_any_order", "belong to positions"),
    (only_choosing.InexactByPosition, "choices_in_any_order", "belong to positions"),
    (only_choosing.AnswersAtRandom, "repeated_choices_match", "sampling"),
    (only_choosing.BatchInAnotherOrder, "choice_batches_match", "in another order"),
    # Completions
    (completions.IdsOutsideVocabulary, "completion_answers_are_complete", "another tokenizer"),
    (completions.TextInCapitals, "tokens_spell_the_text", ""),
    (completions.LastLogprobLeftOut, "completion_answers_are_complete", "left out of one"),
    (completions.EmptyStopMatches, "max_tokens_respected", "empty stop"),
    (completions.StopsIgnored, "stop_strings_match", "stop strings are ignored"),
    (completions.StopOnlyAsWholeToken, "stop_strings_match", "only if they are a whole token"),
    (completions.StopAppended, "stop_strings_match", "left in the text"),
    (completions.StopMasked, "stop_strings_match", "masked"),
    (completions.StopStreamed, "streamed_text_matches", "beginning of a stop string"),
    (completions.LogprobsNegated, "greedy_completion_is_scored", "the sign"),
    (completions.ScoresAfterTemperature, "greedy_completion_is_scored", "after temperature"),
    (completions.TopKIgnored, "sampling_filters", "request.top_k is ignored"),
    (completions.TopPIgnored, "sampling_filters", "request.top_p is ignored"),
    (completions.MinPIgnored, "sampling_filters", "request.min_p is ignored"),
    (completions.SeedIgnored, "seed_repeats_sample", "request.seed is ignored"),
    (completions.SeedFixed, "seed_repeats_sample", "begins from the same seed"),
    (completions.EOSIgnored, "stops_at_eos", "ignore_eos"),
    (completions.EOSUndeclared, "stops_at_eos", "info.eos is empty"),
    (completions.EOSReportedAsLength, "stops_at_eos", "not looked at"),
    (completions.EOSLeftOut, "stops_at_eos", "EOS is left out"),
    (completions.ContextLimitIgnored, "completion_context_limit", "self.prompt_tokens(request)"),
    (completions.ErrorChangesState, "completion_context_limit", "restore the state"),
    (
        completions.OptionsIgnored,
        "unknown_options_refused sampled_alternatives",
        "reject_unknown_options",
    ),
    # State
    (memory.StaleCache, "cache_is_transparent repeated_choices_match", "cut it back"),
    (memory.HistoryInLastBits, "isolated_choices_match", "info.isolates"),
    (memory.CompanyInLastBits, "isolated_choices_match", "another query"),
    (memory.SharedState, "two_models", "class attribute"),
    (memory.RandomWeights, "two_models new_model_same_rows", "random with every load"),
    (memory.SharedEngine, "two_models", "`close_impl` frees an engine"),
    (memory.LockOfItsOwn, "two_models_of_one_engine", "a lock of its own"),
    (memory.BufferReturned, "returned_rows_stay_unchanged", "copy"),
    # Descriptions
    (descriptions.ChangingFingerprint, "fingerprint", "id()"),
    (descriptions.HooksNotMarked, "capabilities", "@hookimpl"),
    (descriptions.DescriptionFails, "description", ""),
    (descriptions.DescriptionIsDict, "description", ""),
]

#: Mutants that core itself refuses, so that a call of the law fails.
REFUSED_BY_CORE = {
    descriptions.DescriptionFails,
    descriptions.DescriptionIsDict,
}

#: Laws without a mutant: nothing here shows that they can fail.
LAWS_WITHOUT_A_MUTANT = {
    "text_batches_match",
    "tokens_are_valid_ids",
    "invalid_text_refused",
    "matches_reference",
    "threads",
    "empty_stops",
    "unknown_ids_refused",
    "empty_prompt",
    "closed_is_closed",
    # A warning; `tests/testing` shows it.
    "turns_end_with_eos",
}

#: Mistakes of core, which no backend can make, and the tests that catch them.
CAUGHT_BY_A_TEST: dict[str, Callable[..., None]] = {
    "pruning keeps the worst": test_direct.test_width_prunes_all_but_the_best,
    "a threshold prunes the best": (
        test_automaton_runs.test_the_best_and_likely_branches_are_followed
    ),
    "a run appends tokens to the automaton": (test_direct.test_a_second_run_gives_the_same_tree),
    "fixed text counts as decided": test_direct.test_fixed_text_has_no_decided_tokens,
    "a mask forbids the stop string": test_direct.test_a_mask_allows_the_stop_string,
    "a cached mask of another set": test_direct.test_masks_are_cached_by_content,
    "a search with no beams is a result": test_direct.test_a_search_with_no_beams_is_refused,
    "a completion without allowed tokens is a result": (
        test_direct.test_a_completion_without_allowed_tokens_is_an_error
    ),
    "recursion over a choice's tokens": test_direct.test_a_choice_of_5000_tokens_needs_no_recursion,
    "recursion over a chain of texts": (
        test_automaton_runs.test_many_consecutive_texts_take_linear_time_and_no_recursion
    ),
    "BOS is always added, or never": (test_direct.test_bos_is_added_only_if_the_model_declares_it),
    "a stop string must be a whole token": (
        test_direct.test_a_stop_string_matches_at_the_end_of_a_longer_token
    ),
    "0 divided by 0 among impossible choices": (
        test_direct.test_impossible_choices_have_equal_probabilities
    ),
    "a programming error is retried": (
        test_direct.test_a_programming_error_is_not_retried_and_keeps_its_traceback
    ),
    "the cause of a failed load is lost": test_direct.test_the_cause_of_a_failed_load_is_kept,
    "invalid choices reach a backend": test_direct.test_invalid_choices_reach_no_backend,
    "importing prints or warns": (test_direct.test_importing_core_prints_and_warns_nothing),
}
BY_NAME = {law.name: law for law in LAWS}


def name_of(backend: Any) -> str:
    return str(backend.__name__)


def names_cause(error: LawViolation, cause: str) -> bool:
    """Return whether a violation names the right cause: none, if there is none to name."""
    return cause in error.cause if cause else not error.cause


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
        assert bool(error.failure) == (backend in REFUSED_BY_CORE)
        assert f'the law "{name}" is broken: {error.problem}' in str(error)
        errors.append(error)
    assert names_cause(errors[0], cause)
    assert cause in str(errors[0])


def test_every_mutant_is_in_the_table_once() -> None:
    modules = (
        *(choices, completions, context, descriptions, memory, only_choosing, rows),
        *(tokens, tree_scores, trees),
    )
    defined = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    listed = [backend for backend, _, _ in TABLE]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(defined)


def test_every_law_has_a_mutant_or_is_listed_without() -> None:
    named = {law for _, laws, _ in TABLE for law in laws.split()}
    assert set(BY_NAME) - named == LAWS_WITHOUT_A_MUTANT


@pytest.mark.parametrize("options", [{}, {"bos": False}, {"vocabulary": "bytes"}], ids=str)
def test_the_correct_model_passes_every_law(options: dict[str, Any]) -> None:
    check_every_law(lambda: CorrectLM(**options))


@pytest.mark.parametrize("backend", [CorrectTreeLM, CorrectSamplingLM])
def test_correct_hooks_pass_every_law(backend: type[CorrectLM]) -> None:
    check_every_law(backend)


@pytest.mark.parametrize("backend", [Chooser, InexactChooser])
def test_laws_apply_to_backends_that_only_choose(backend: type[Chooser]) -> None:
    results = {result.law.name: result for result in conformance(BackendUnderTest(backend))}
    assert [result.violation for result in results.values() if result.violation] == []
    held = {name for name, result in results.items() if result.status == "holds"}
    assert held >= {
        "choice_answers_are_complete",
        "choices_in_any_order",
        "choice_order_is_kept",
        "choice_batches_match",
        "probabilities_sum_to_one",
        "two_models",
        "repeated_choices_match",
        "threads",
        "closed_is_closed",
    }
    # The other one refuses norms and suffixes, and its scores are not exact.
    assert ({"norms_and_suffixes", "prefix_choices"} <= held) is (backend is Chooser)


def check_every_law(make: Callable[[], object]) -> None:
    results = list(conformance(BackendUnderTest(make)))
    assert [result.violation for result in results if result.violation] == []
    assert sum(result.status == "holds" for result in results) > 30


def test_a_violation_shows_the_smallest_text() -> None:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], BackendUnderTest(tokens.TabsRemoved))
    assert (caught.value.given, caught.value.expected, caught.value.got) == ("'\\t'", "'\\t'", "''")


def test_results_that_change_after_an_error_are_reported() -> None:
    with pytest.raises(LawViolation, match="after an error"):
        check(BY_NAME["completion_context_limit"], BackendUnderTest(completions.ErrorChangesState))


def test_a_vocabulary_in_the_tokenizers_spelling_breaks_two_laws() -> None:
    results = conformance(BackendUnderTest(tokens.TokenizerSpelling))
    assert {result.law.name for result in results if result.violation} == {
        "word_boundaries",
        "vocabulary",
    }


SUITE = """
    from autocog_core.testing import BackendContractTests
    from tests.mutants.{module} import {name}

    class TestBackend(BackendContractTests):
        def make(self):
            return {name}()
"""


@pytest.mark.parametrize(
    ("module", "name", "exit_code"),
    [
        pytest.param("correct_models", "CorrectLM", 0, marks=pytest.mark.slow),
        ("rows", "OffByOne", 1),
    ],
)
def test_a_subclass_with_make_runs_the_suite(
    tmp_path: Path, module: str, name: str, exit_code: int
) -> None:
    source = textwrap.dedent(SUITE).format(module=module, name=name)
    (tmp_path / "test_it.py").write_text(source)
    process = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env=child_environment(),
    )
    assert process.returncode == exit_code, process.stdout
    if exit_code:
        assert 'the law "last_token_matters" is broken' in process.stdout
        assert "off by one" in process.stdout
