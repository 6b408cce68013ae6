"""Tiers: what a backend offers, by name, with the laws that it must pass for each.

`docs/plugins.md` shows this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

#: The tier that no hook shows: it is measured on a loaded model.
SHARED_PREFIXES = "shared prefixes"

#: Laws of all backends, of those with a tokenizer, and of those with a chat template.
COMMON_LAWS = (
    *("description", "fingerprint", "capabilities", "closed_is_closed"),
    *("round_trip", "token_bytes_add_up", "text_batches_match", "tokens_are_valid_ids"),
    *("invalid_text_refused", "every_id_has_bytes", "vocabulary", "word_boundaries", "bos_once"),
    *("special_text_stays_text", "trusted_special_text", "chat_content_stays_text"),
    *("template_arguments_end_with_their_call", "turns_end_with_eos"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One thing that a backend offers.

    :ivar name: the name, as users see it.
    :ivar title: what it is.
    :ivar hooks: the hooks that show it; one of them is enough.
    :ivar laws: the laws that such a backend must pass, beside `COMMON_LAWS`.
    """

    name: str
    title: str
    hooks: frozenset[str]
    laws: tuple[str, ...]


TIERS = (
    Tier(
        name="completes",
        title="writes text after a prompt",
        hooks=frozenset({"complete", "greedy_impl"}),
        laws=(
            *("completion_answers_are_complete", "max_tokens_respected", "empty_stops"),
            *("tokens_spell_the_text", "unknown_options_refused", "completion_context_limit"),
        ),
    ),
    Tier(
        name="chooses",
        title="scores given choices",
        hooks=frozenset({"choose", "greedy_impl", "greedy_tree_impl"}),
        laws=(
            *("choice_answers_are_complete", "choices_in_any_order", "norms_and_suffixes"),
            *("boundary", "choice_tokens_spell_choice", "chain_rule", "choice_order_is_kept"),
            *("choice_batches_match", "probabilities_sum_to_one", "prefix_choices"),
            *("long_choices", "best_choices_match", "two_models", "repeated_choices_match"),
            *("isolated_choices_match", "threads", "two_models_of_one_engine"),
        ),
    ),
    Tier(
        name="exact rows",
        title="returns the log-probability of every next token",
        hooks=frozenset({"greedy_impl"}),
        laws=(
            *("distribution", "determinism", "returned_rows_stay_unchanged", "matches_reference"),
            *("last_token_matters", "first_tokens_matter", "bos_counts", "whole_context_matters"),
            *("new_model_same_rows", "unknown_ids_refused", "empty_prompt", "context_limit"),
        ),
    ),
    Tier(
        name="batched trees",
        title="scores all token trees of a call at once",
        hooks=frozenset({"greedy_tree_impl"}),
        laws=(
            *("tree_answers_are_complete", "tree_scores_match", "top_k_matches"),
            "tree_batches_match",
        ),
    ),
    Tier(
        name=SHARED_PREFIXES,
        title="evaluates a prefix that several queries share only once",
        hooks=frozenset({"greedy_tree_impl"}),
        laws=("cache_is_transparent",),
    ),
    Tier(
        name="own loop",
        title="writes completions, or runs whole programs, inside the engine",
        hooks=frozenset({"complete", "run_automata"}),
        laws=(
            *("stops_at_eos", "greedy_completion_is_scored", "stop_strings_match"),
            *("streamed_text_matches", "sampled_alternatives", "seed_repeats_sample"),
            "sampling_filters",
        ),
    ),
)


def tiers_of(hooks: Collection[str], *, shares_prefixes: bool | None = None) -> list[Tier]:
    """Return the tiers that a backend offers, in the order of the table.

    :param hooks: the names of its hooks.
    :param shares_prefixes: whether a loaded model was seen to evaluate shared prefixes once; None
        if that is not known. That tier is then left out.
    """
    return [
        tier
        for tier in TIERS
        if tier.hooks & set(hooks) and (tier.name != SHARED_PREFIXES or shares_prefixes)
    ]


def tier_names(tiers: Iterable[Tier]) -> list[str]:
    """Return the names of tiers."""
    return [tier.name for tier in tiers]
