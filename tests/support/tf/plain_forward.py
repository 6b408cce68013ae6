"""The reference without autocog: one forward for each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def row(model: Any, tokens: Sequence[int]) -> NDArray[np.float64]:
    """Return the log-probability of every token after `tokens`."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits
    result: NDArray[np.float64] = torch.log_softmax(logits[0, -1].double(), -1).numpy()
    return result


def batch_token_logprobs(
    model: Any, bases: Sequence[Sequence[int]], choices: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """Return `token_logprobs` of several sequences, as rows padded on the right.

    Attention is causal: padding at the end of a row changes nothing before it.
    """
    rows = [[*base, *tokens] for base, tokens in zip(bases, choices, strict=True)]
    width = max(map(len, rows))
    padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    keep = torch.tensor(range(min(map(len, bases)) - 1, width - 1))
    with torch.no_grad():
        logits = model(input_ids=padded, use_cache=False, logits_to_keep=keep).logits
    results = []
    for row, base, tokens in zip(logits, bases, choices, strict=True):
        start = len(base) - 1 - int(keep[0])
        logprobs = torch.log_softmax(row[start : start + len(tokens)].double(), -1)
        results.append(np.array([logprobs[i, token].item() for i, token in enumerate(tokens)]))
    return results


def token_logprobs(model: Any, base: Sequence[int], choice: Sequence[int]) -> NDArray[np.float64]:
    """Return the log-probability of each token of `choice` after `base`, from one forward."""
    tokens = torch.tensor([[*base, *choice]])
    with torch.no_grad():
        # The rows before each token of the choice, and the last row.
        logits = model(input_ids=tokens, use_cache=False, logits_to_keep=len(choice) + 1).logits
    rows = torch.log_softmax(logits[0, :-1].double(), -1)
    return np.array([rows[i, token].item() for i, token in enumerate(choice)])
