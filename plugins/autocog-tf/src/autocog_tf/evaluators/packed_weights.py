"""A second copy of a model's weights, packed for oneDNN: faster products of few rows on a CPU.

PyTorch computes a linear layer on a CPU with MKL, which is slow for a few rows on some processors:
two take nearly twice as long as one. oneDNN is faster with weights in an order of its own. These
functions are those that PyTorch's compiler uses. They have no public name, so each layer is
compared with the plain product at load.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from autocog_core import ConfigError
from autocog_core.toolkit import shorten

#: Rows that the order of packed weights is for; other numbers of rows are correct, too.
_ROWS = 16
#: Where packed products were faster (benchmarks/README.md): one row reads the weights once by both
#: ways, and many rows are limited by arithmetic.
_FASTER_FROM, _FASTER_TO = 2, 64
#: Largest difference of a packed product from a plain one, relative to the largest value.
_TOLERANCE = 1e-4


class PackedLinear:
    """The forward of a linear layer, by a packed copy of its weights.

    One row and many rows are computed as before, because that is as fast. So are weights that have
    changed since, and products with gradients.

    :param module: the layer, `torch.nn.Linear` or the `Conv1D` of GPT-2.
    """

    def __init__(self, module: nn.Linear | Conv1D) -> None:
        # Weak, because the layer has this object as its `forward`: closed models free their memory.
        self._layer = weakref.ref(module)
        self._state = _state_of(module.weight)
        weight = module.weight.detach()
        self._is_transposed = isinstance(module, Conv1D)
        matrix = weight.t().contiguous() if self._is_transposed else weight
        # (out, in), in the order of oneDNN.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(matrix, _ROWS)
        self._outputs = len(matrix)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return (..., out) for `values` (..., in)."""
        rows = values.reshape(-1, values.shape[-1])
        module = self._module
        has_changed = _state_of(module.weight) != self._state
        is_faster = _FASTER_FROM <= len(rows) <= _FASTER_TO
        if not is_faster or has_changed or torch.is_grad_enabled():
            plain: Any = type(module).forward
            result: torch.Tensor = plain(module, values)
            return result
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._packed, module.bias, "none", [], ""
        )
        return product.view(*values.shape[:-1], self._outputs)

    @property
    def _module(self) -> nn.Linear | Conv1D:
        module = self._layer()
        assert module is not None
        return module

    def is_correct(self) -> bool:
        """Return whether the packed product of three random rows is the plain one."""
        weight = self._module.weight.detach()
        matrix = weight.t() if self._is_transposed else weight
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(3, matrix.shape[1], generator=generator)
        with torch.inference_mode():
            expected = linear(rows, matrix, self._module.bias)
            largest = (self(rows) - expected).abs().max()
            # NaN is not within the tolerance.
            return bool(largest <= _TOLERANCE * expected.abs().max())


def _state_of(weight: torch.Tensor) -> tuple[int, int]:
    """Return what differs if a weight is replaced, or changed in place."""
    return weight.data_ptr(), weight._version


def pack_weights(model: Any) -> int:
    """Pack the linear layers of a model; return how many.

    It takes as much memory again as the weights of these layers.

    :param model: a causal language model in float32 on a CPU.
    :raises ConfigError: if the model is of another type, or this PyTorch cannot pack its weights.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32:
        dtype = str(model.dtype).removeprefix("torch.")
        raise _error(f"weights in {dtype} on {model.device} cannot be packed, float32 on a CPU can")
    count = 0
    for name, module in model.named_modules():
        # Not layers of a derived class: these may compute something else.
        if type(module) not in (nn.Linear, Conv1D):
            continue
        try:
            packed = PackedLinear(module)
            is_correct = packed.is_correct()
        # Functions without a public name may raise anything in another version.
        except Exception as error:
            reason = shorten(str(error).partition("\n")[0])
            raise _error(f"PyTorch {torch.__version__} cannot pack weights: {reason}") from error
        if not is_correct:
            raise _error(f"PyTorch {torch.__version__} computes wrong numbers in {name}, packed")
        module.forward = packed
        count += 1
    if not count:
        raise _error("the model has no linear layers whose weights can be packed")
    return count


def has_packed_weights(model: Any) -> bool:
    """Return whether `pack_weights` has packed layers of a model.

    :param model: a causal language model.
    """
    return any(isinstance(vars(module).get("forward"), PackedLinear) for module in model.modules())


def _error(message: str) -> ConfigError:
    return ConfigError(message, where="packed_weights", hint="remove the option packed_weights")
