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


def token_logprobs(model: Any, base: Sequence[int], decided: Sequence[int]) -> NDArray[np.float64]:
    """Log-probability of each of `decided` after `base`, from one forward over both."""
    tokens = torch.tensor([[*base, *decided]])
    with torch.no_grad():
        # The row before the first decided token, and those before each of the others.
        logits = model(input_ids=tokens, use_cache=False, logits_to_keep=len(decided) + 1).logits
    rows = torch.log_softmax(logits[0, :-1].double(), -1)
    return np.array([rows[i, token].item() for i, token in enumerate(decided)])
