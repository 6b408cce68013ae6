"""Attention masks, in the form that a model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_tf.evaluators.batch import Batch
from autocog_tf.evaluators.evaluator import Forward


class AttentionMasks:
    """Makes the masks of forwards.

    :param forward: the model.
    :param windows: attention window by layer type; the only key is "" if all layers are alike.
    """

    def __init__(self, forward: Forward, windows: dict[str, int | None]) -> None:
        self._forward = forward
        self._windows = windows
        attention = forward.model.config._attn_implementation
        # Eager attention adds the mask to its scores: it would add a boolean mask as 0 and 1. SDPA
        # takes both, but on a CPU it converts a boolean mask in every layer again.
        self._is_additive = attention == "eager" or (
            attention == "sdpa" and forward.device.type == "cpu"
        )

    @property
    def has_full_attention(self) -> bool:
        """Whether every layer attends to all earlier tokens."""
        return self._windows == {"": None}

    def for_batch(self, batch: Batch) -> Any:
        """Return the mask (rows, 1, n, past + n); a dict of masks if there are several layer types.

        None if the model's own causal mask is right: attention is fastest without a mask.
        """
        visible, depths = batch.visible, batch.depths
        columns = visible.shape[1]
        if self.has_full_attention and len(visible) == 1:
            if columns == 1 and visible.all():
                return None
            if depths.shape[1] == columns and bool((depths[0] == np.arange(columns)).all()):
                return None
        masks = {}
        for layer_type, window in self._windows.items():
            in_window = visible
            if window is not None:
                in_window = visible & (depths[:, -columns:, None] - depths[:, None, :] < window)
            masks[layer_type] = self._to_tensor(in_window)
        return masks.get("", masks)

    def _to_tensor(self, visible: NDArray[np.bool_]) -> torch.Tensor:
        mask = torch.from_numpy(visible)[:, None].to(self._forward.device)
        if not self._is_additive:
            return mask
        dtype = self._forward.model.dtype
        zero = torch.zeros((), dtype=dtype, device=mask.device)
        return torch.where(mask, zero, torch.finfo(dtype).min)
