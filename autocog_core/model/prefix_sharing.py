"""Whether a loaded model evaluates a prefix that queries share only once."""

from __future__ import annotations

import numpy as np

from autocog_core.errors import ContextOverflowError
from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.tiers import Tier, tiers_of
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeQuery

_TEXT = "One, two, three."
#: With fewer tokens, the nodes of both queries cost as much as the prefix.
_MIN_PREFIX = 3


def measured_tiers(client: BackendClient) -> list[Tier]:
    """Return the tiers that a loaded model offers; this evaluates two short queries.

    :param client: the model's client.
    :raises AutocogError: if the model cannot evaluate them.
    """
    hooks = set(client.capabilities)
    return tiers_of(hooks, shares_prefixes=_shares_prefixes(client, hooks))


def _shares_prefixes(client: BackendClient, hooks: set[str]) -> bool:
    """Return whether the model evaluates fewer tokens for two queries than they have prefixes.

    A backend that counts its usage is a server: nothing is sent to it only to find this out.
    """
    if not {"greedy_tree_impl", "tokenize"} <= hooks or "usage" in hooks:
        return False
    try:
        prefix = encode_prompt(client, Prompt.of(_TEXT))
        check_sequence(prefix, client.info, new_tokens=2)
    except ContextOverflowError:
        return False
    if len(prefix) < _MIN_PREFIX:
        return False
    # Two nodes in a row each: the engine must evaluate the first of them.
    queries = [
        TreeQuery(
            prefix=prefix,
            tokens=np.array([token, token], dtype=np.int32),
            parents=np.array([-1, 0], dtype=np.int32),
        )
        for token in (prefix[-1], prefix[-2])
    ]
    evaluated = sum(scores.tokens_evaluated for scores in client.greedy_tree(queries))
    return evaluated < 2 * len(prefix)
