"""Building blocks for backends: what plugins import beside `autocog_core` itself."""

from __future__ import annotations

from autocog_core.config.cache_folder import cache_folder, file_hash
from autocog_core.config.options import HUB_PREFIX, PACKAGE_PREFIX, package_file, validate
from autocog_core.errors import did_you_mean
from autocog_core.hooks.client import Caller
from autocog_core.lazy import lazy
from autocog_core.numerics import entropy, likeliest, log_softmax, logsumexp, softmax, total
from autocog_core.redaction import conceal, from_environment, is_secret_name, redact, shown_url
from autocog_core.toolkit.chat_template import Render, prompt_from_template
from autocog_core.toolkit.completion_builder import GrowingCompletion
from autocog_core.toolkit.engine_options import refuse_unknown
from autocog_core.toolkit.logits_cache import KeptRows
from autocog_core.toolkit.plain_text import Cutter, continued, looks_like_control
from autocog_core.toolkit.prefix_forest import Forest, add_query
from autocog_core.toolkit.sampling import pick
from autocog_core.toolkit.stop_strings import StopMatcher, first_stop
from autocog_core.toolkit.tree_answers import ArrayAnswers, TreeAnswers
from autocog_core.toolkit.word_boundaries import kept
from autocog_core.types.prompt import check_messages, check_text
from autocog_core.types.token_tree import TokenTree, common_prefix_length

__all__ = [
    "HUB_PREFIX",
    "PACKAGE_PREFIX",
    "ArrayAnswers",
    "Caller",
    "Cutter",
    "Forest",
    "GrowingCompletion",
    "KeptRows",
    "Render",
    "StopMatcher",
    "TokenTree",
    "TreeAnswers",
    "add_query",
    "cache_folder",
    "check_messages",
    "check_text",
    "common_prefix_length",
    "conceal",
    "continued",
    "did_you_mean",
    "entropy",
    "file_hash",
    "first_stop",
    "from_environment",
    "is_secret_name",
    "kept",
    "lazy",
    "likeliest",
    "log_softmax",
    "logsumexp",
    "looks_like_control",
    "package_file",
    "pick",
    "prompt_from_template",
    "redact",
    "refuse_unknown",
    "shown_url",
    "softmax",
    "total",
    "validate",
]
