"""The slow and obvious way, without anything of autocog's: one forward for each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def row(model: Any, tokens: Sequence[int]) -> NDArray[np.float64]:
    """Log-probability of every token after `tokens`."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits
    result: NDArray[np.float64] = torch.log_softmax(logits[0, -1].double(), -1).numpy()
    return result


def batch_token_logprobs(
    model: Any, bases: Sequence[Sequence[int]], decided: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """`token_logprobs` of several sequences, each a row of its own, padded on the right.

    Attention is causal: what is appended to a row changes nothing before it.
    """
    rows = [[*base, *tokens] for base, tokens in zip(bases, decided, strict=True)]
    longest = max(map(len, rows))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    keep = torch.tensor(range(min(map(len, bases)) - 1, longest - 1))
    with torch.no_grad():
        logits = model(input_ids=padded, use_cache=False, logits_to_keep=keep).logits
    found = []
    for row, base, tokens in zip(logits, bases, decided, strict=True):
        start = len(base) - 1 - int(keep[0])
        logprobs = torch.log_softmax(row[start : start + len(tokens)].double(), -1)
        found.append(np.array([logprobs[i, token].item() for i, token in enumerate(tokens)]))
    return found


def token_logprobs(model: Any, base: Sequence[int], decided: Sequence[int]) -> NDArray[np.float64]:
    """Log-probability of each of `decided` after `base`, from one forward over both."""
    tokens = torch.tensor([[*base, *decided]])
    with torch.no_grad():
        # The row before the first decided token, and those before each of the others.
        logits = model(input_ids=tokens, use_cache=False, logits_to_keep=len(decided) + 1).logits
    rows = torch.log_softmax(logits[0, :-1].double(), -1)
    return np.array([rows[i, token].item() for i, token in enumerate(decided)])
