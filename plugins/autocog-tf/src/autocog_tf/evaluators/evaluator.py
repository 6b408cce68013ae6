"""What the ways of evaluating a forest have in common, and the plain one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from transformers import GenerationMixin

from autocog_core.toolkit import PrefixForest

#: What models call the argument for a cache: all of them from Transformers 5.24 on; before that,
#: recurrent ones; before that, all others.
CACHE_NAMES = ("cache", "cache_params", "past_key_values")

#: What models call the argument for a cache: all of them from Transformers 5.24 on; before that,
#: recurrent ones; before that, all others.
CACHE_NAMES = ("cache", "cache_params", "past_key_values")

#: Takes some of the forest's wanted nodes and the logits (r, V) after them.
Sink = Callable[[Sequence[int], torch.Tensor], None]


class Evaluator(Protocol):
    """A way to get the distributions after all wanted nodes of a forest."""

    @property
    def name(self) -> str:
        """How it works, for people."""

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass every wanted node with its logits to `sink`, and count what was evaluated."""

    def clear(self) -> None:
        """Drop everything that was kept from earlier calls."""

    def halve_batch(self) -> bool:
        """Use less memory at once from now on; False if it cannot be less."""

    def reset_batch(self) -> None:
        """Undo all `shrink`."""


def cache_argument(function: Callable[..., Any]) -> str | None:
    """The name under which `function` takes a cache, if it says so.

    It must be the right one: many models ignore arguments that they do not know.
    """
    parameters = inspect.signature(function).parameters
    return next((name for name in CACHE_NAMES if name in parameters), None)


#: The name in the installed version's own code, which `generate` passes on.
OWN_CACHE_NAME = cache_argument(GenerationMixin.prepare_inputs_for_generation) or CACHE_NAMES[0]


class Forward:
    """Calls a causal language model with only the logits that are wanted."""

    def __init__(self, model: Any) -> None:
        self.model = model
        parameters = inspect.signature(model.forward).parameters
        self._keeps = "logits_to_keep" in parameters
        self._positions = "position_ids" in parameters
        # What only passes on its arguments, as a wrapper around a model may, does not tell.
        self._cache_argument = cache_argument(model.forward) or OWN_CACHE_NAME

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        device: torch.device = self.model.device
        if device.type == "meta":
            # Weights that wait on a disk or on a CPU: accelerate's hook knows where they will work.
            return torch.device(self.model._hf_hook.execution_device)
        return device

    def __call__(
        self,
        tokens: torch.Tensor,
        keep: torch.Tensor,
        *,
        cache: Any = None,
        mask: Any = None,
        positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (batch, kept, V) after the positions `keep` of tokens (batch, n)."""
        arguments: dict[str, Any] = {"use_cache": cache is not None}
        if cache is not None:
            arguments[self._cache_argument] = cache
        if mask is not None:
            arguments["attention_mask"] = mask
        if positions is not None and self._positions:
            arguments["position_ids"] = positions
        if self._keeps:
            arguments["logits_to_keep"] = keep
        logits: torch.Tensor = self.model(input_ids=tokens, **arguments).logits
        return logits if self._keeps else logits[:, keep]


class PlainEvaluator:
    """Every sequence on its own, whole, without a cache: slow, and obviously right."""

    name = "separate forwards"

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """One forward for every wanted node."""
        for node, wanted in enumerate(forest.needs_row):
            if not wanted:
                continue
            sequence = forest.sequence(node)
            tokens = torch.tensor([sequence], device=self._forward.device)
            last = torch.tensor([len(sequence) - 1], device=self._forward.device)
            forest.evaluated[forest.first_query[node]] += len(sequence)
            sink([node], self._forward(tokens, last)[0])

    def forget(self) -> None:
        """Nothing is kept."""

    def shrink(self) -> bool:
        """It is as small as can be."""
        return False

    def restore(self) -> None:
        """It never shrinks."""
