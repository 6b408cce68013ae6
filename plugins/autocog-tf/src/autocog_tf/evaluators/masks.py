"""Attention masks from what each token may see, in the form that a model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_tf.evaluators.batch import Batch
from autocog_tf.evaluators.evaluator import Forward


class AttentionMasks:
    """Makes the masks of forwards.

    :param windows: attention window by layer type; a model with one kind of layers has "".
    """

    def __init__(self, forward: Forward, windows: dict[str, int | None]) -> None:
        self._forward = forward
        self._windows = windows
        self._additive = forward.model.config._attn_implementation == "eager"

    @property
    def one_kind(self) -> bool:
        """Whether all layers attend to all that came before."""
        return self._windows == {"": None}

    def of(self, batch: Batch) -> Any:
        """The mask (rows, 1, n, past + n), one for each layer type where there are several.

        None where every new token sees all that is there: engines are fastest then.
        """
        visible, depths = batch.visible, batch.depths
        new = visible.shape[1]
        if self.one_kind and len(visible) == 1:
            if new == 1 and visible.all():
                return None
            if depths.shape[1] == new and bool((depths[0] == np.arange(new)).all()):
                return None
        masks = {}
        for kind, window in self._windows.items():
            seen = visible
            if window is not None:
                seen = visible & (depths[:, -new:, None] - depths[:, None, :] < window)
            masks[kind] = self._as_tensor(seen)
        return masks.get("", masks)

    def _as_tensor(self, seen: NDArray[np.bool_]) -> torch.Tensor:
        mask = torch.from_numpy(seen)[:, None].to(self._forward.device)
        if not self._additive:
            return mask
        # Eager attention adds the mask to its scores: a boolean one would be added as 0 and 1.
        dtype = self._forward.model.dtype
        nothing = torch.zeros((), dtype=dtype, device=mask.device)
        return torch.where(mask, nothing, torch.finfo(dtype).min)
