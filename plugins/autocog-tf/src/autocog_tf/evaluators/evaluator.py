"""The interface of all evaluators, the call of a model's forward, and the reference evaluator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from transformers import GenerationMixin

from autocog_core.toolkit import PrefixForest

#: Names of the argument for a cache: of all models from Transformers 5.24 on; in older versions, of
#: recurrent models, and of all others.
CACHE_NAMES = ("cache", "cache_params", "past_key_values")

#: Receives nodes of a forest, and the logits (r, V) after them.
Sink = Callable[[Sequence[int], torch.Tensor], None]


class Evaluator(Protocol):
    """A method to compute the logits after all nodes of a forest that need a row."""

    @property
    def name(self) -> str:
        """The method, as `info.details` shows it."""

    @property
    def cached_bytes(self) -> int:
        """The size of what earlier calls left in the cache."""

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass every node that needs a row to `sink`, with its logits; count evaluated tokens."""

    def clear(self) -> None:
        """Drop everything that earlier calls left in the cache."""

    def halve_batch(self) -> bool:
        """Halve the size of later forwards; return False if they cannot be smaller."""

    def reset_batch(self) -> None:
        """Restore the size of forwards to what it was before any `halve_batch`."""


def cache_argument(function: Callable[..., Any]) -> str | None:
    """Return the name under which `function` takes a cache; None if its signature has none.

    A wrong name would not raise: many models ignore unknown arguments.
    """
    parameters = inspect.signature(function).parameters
    return next((name for name in CACHE_NAMES if name in parameters), None)


#: The name that `generate` of the installed version uses.
GENERATE_CACHE = cache_argument(GenerationMixin.prepare_inputs_for_generation) or CACHE_NAMES[0]


class Forward:
    """Calls a causal language model, and computes only the logits that are needed.

    :param model: the model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        parameters = inspect.signature(model.forward).parameters
        self._takes_logits_to_keep = "logits_to_keep" in parameters
        self._takes_positions = "position_ids" in parameters
        # A wrapper around a model may have a signature without names.
        self._cache_name = cache_argument(model.forward) or GENERATE_CACHE

    @property
    def device(self) -> torch.device:
        """The device of the inputs."""
        device: torch.device = self.model.device
        if device.type == "meta":
            # The weights are offloaded: accelerate's hook knows the device that computes.
            return torch.device(self.model._hf_hook.execution_device)
        return device

    def __call__(
        self,
        tokens: torch.Tensor,
        logits_to_keep: torch.Tensor,
        *,
        cache: Any = None,
        mask: Any = None,
        positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits (rows, k, V).

        :param tokens: int64 (rows, n).
        :param logits_to_keep: int64 (k,), the columns of `tokens` after which logits are computed.
        :param cache: a Transformers cache, which the forward reads and extends.
        :param mask: the attention mask, in the form that the model takes.
        :param positions: int64 (rows, n); ignored by models that take no positions.
        """
        arguments: dict[str, Any] = {"use_cache": cache is not None}
        if cache is not None:
            arguments[self._cache_name] = cache
        if mask is not None:
            arguments["attention_mask"] = mask
        if positions is not None and self._takes_positions:
            arguments["position_ids"] = positions
        if self._takes_logits_to_keep:
            arguments["logits_to_keep"] = logits_to_keep
        logits: torch.Tensor = self.model(input_ids=tokens, **arguments).logits
        return logits if self._takes_logits_to_keep else logits[:, logits_to_keep]


class PlainEvaluator:
    """The reference: one forward over the whole sequence for each row, without a cache."""

    name = "separate forwards"
    cached_bytes = 0

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Run one forward for every node that needs a row."""
        for node, needs_row in enumerate(forest.needs_row):
            if not needs_row:
                continue
            sequence = forest.sequence(node)
            tokens = torch.tensor([sequence], device=self._forward.device)
            last = torch.tensor([len(sequence) - 1], device=self._forward.device)
            forest.evaluated[forest.first_query[node]] += len(sequence)
            sink([node], self._forward(tokens, last)[0])

    def clear(self) -> None:
        """Do nothing: there is no cache."""

    def halve_batch(self) -> bool:
        """Return False: a forward has one sequence."""
        return False

    def reset_batch(self) -> None:
        """Do nothing: the size never changes."""
