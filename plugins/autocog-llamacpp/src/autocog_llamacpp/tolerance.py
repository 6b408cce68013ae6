"""Numerical tolerance of log-probabilities, as measured; see the README."""

from __future__ import annotations

from autocog_llamacpp.options import LlamaOptions

EXACT_TOLERANCE = 1e-4
DEFAULT_TOLERANCE = 1.5
_TOLERANCE_BY_TYPE = {"F32": 0.05, "F16": 0.05, "BF16": 0.05, "Q8_0": 0.5}


def estimate_tolerance(file_type: str, options: LlamaOptions) -> float:
    """Return the tolerance in nats per token.

    :param file_type: the type of the weights, such as "Q4_K_M".
    """
    if file_type == "F32" and options.exact:
        return EXACT_TOLERANCE
    if any(kind is not None and kind.startswith("q") for kind in (options.type_k, options.type_v)):
        return DEFAULT_TOLERANCE
    return _TOLERANCE_BY_TYPE.get(file_type, DEFAULT_TOLERANCE)
