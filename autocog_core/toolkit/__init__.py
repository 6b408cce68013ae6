"""Building blocks for backends: what plugins import beside `autocog_core` itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocog_core.config.cache_folder import (
    cache_folder,
    file_hash,
    read_cached,
    warn_not_cached,
    write_cached,
)
from autocog_core.config.options import (
    HUB_PREFIX,
    PACKAGE_PREFIX,
    FilePath,
    Resource,
    package_file,
    validate,
)
from autocog_core.config.paths import missing_hint, resolve_new_path, resolve_path
from autocog_core.config.required_files import RequiredFiles
from autocog_core.constraints.language import lark_of
from autocog_core.errors import did_you_mean, shorten
from autocog_core.files import write_atomically
from autocog_core.hooks.client import BackendClient
from autocog_core.lazy import lazy, lazy_names
from autocog_core.numerics import entropy, log_softmax, logsumexp, logsumexp_row, softmax, top_k_ids
from autocog_core.redaction import (
    from_environment,
    is_secret_name,
    redact,
    redact_url,
    register_secret,
    register_secret_url,
    register_secret_words,
)
from autocog_core.tokenizers.byte_alphabet import decode_byte_alphabet
from autocog_core.tokenizers.chat_prompt import RenderTemplate, render_chat_prompt, stopped_clock
from autocog_core.tokenizers.chat_template import ChatTemplate
from autocog_core.tokenizers.plain_text import (
    SpecialTokenSplitter,
    looks_like_control_token,
    tokenize_continuation,
)
from autocog_core.tokenizers.text_tokenizer import TextTokenizer
from autocog_core.tokenizers.word_boundaries import respects_word_boundaries
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.toolkit.limited_groups import limited_groups
from autocog_core.toolkit.logits_cache import LogitsCache
from autocog_core.toolkit.prefix_forest import PrefixForest, add_query
from autocog_core.toolkit.processor_quota import limit_threads, processor_quota
from autocog_core.toolkit.row_batches import RowBatches
from autocog_core.toolkit.rows import Row, RowBatch
from autocog_core.toolkit.sampling import sample_token
from autocog_core.toolkit.stop_strings import StopMatcher, find_first_stop
from autocog_core.toolkit.tree_answers import NumpyScoreCollector, TopRequest, TreeScoreCollector
from autocog_core.toolkit.waiting_threads import wait_briefly, warn_of_spinning
from autocog_core.types.prompt import check_messages, check_text, join_text
from autocog_core.types.token_tree import TokenTree, common_prefix_length

if TYPE_CHECKING:
    from autocog_core import TokenizerLM
else:
    # A base class is above the toolkit: it is imported on first use.
    __getattr__, __dir__ = lazy_names(__name__, {"autocog_core": ("TokenizerLM",)})

__all__ = [
    "HUB_PREFIX",
    "PACKAGE_PREFIX",
    "BackendClient",
    "ChatTemplate",
    "CompletionBuilder",
    "FilePath",
    "LogitsCache",
    "NumpyScoreCollector",
    "PrefixForest",
    "RenderTemplate",
    "RequiredFiles",
    "Resource",
    "Row",
    "RowBatch",
    "RowBatches",
    "SpecialTokenSplitter",
    "StopMatcher",
    "TextTokenizer",
    "TokenTree",
    "TokenizerLM",
    "TopRequest",
    "TreeScoreCollector",
    "add_query",
    "cache_folder",
    "check_messages",
    "check_text",
    "common_prefix_length",
    "decode_byte_alphabet",
    "did_you_mean",
    "entropy",
    "file_hash",
    "find_first_stop",
    "from_environment",
    "is_secret_name",
    "join_text",
    "lark_of",
    "lazy",
    "limit_threads",
    "limited_groups",
    "log_softmax",
    "logsumexp",
    "logsumexp_row",
    "looks_like_control_token",
    "missing_hint",
    "package_file",
    "processor_quota",
    "read_cached",
    "redact",
    "redact_url",
    "register_secret",
    "register_secret_url",
    "register_secret_words",
    "reject_unknown_options",
    "render_chat_prompt",
    "resolve_new_path",
    "resolve_path",
    "respects_word_boundaries",
    "sample_token",
    "shorten",
    "softmax",
    "stopped_clock",
    "tokenize_continuation",
    "top_k_ids",
    "validate",
    "wait_briefly",
    "warn_not_cached",
    "warn_of_spinning",
    "write_atomically",
    "write_cached",
]
