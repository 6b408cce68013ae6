"""How far two ways of computing one log-probability may differ, as measured; see the README."""

from __future__ import annotations

from autocog_llamacpp.options import LlamaOptions

EXACT = 1e-4
_BY_TYPE = {"F32": 0.05, "F16": 0.05, "BF16": 0.05, "Q8_0": 0.5}
_OTHERS = 1.5


def tolerance_of(file_type: str, options: LlamaOptions) -> float:
    """Nats a token, for weights of this type."""
    if file_type == "F32" and options.exact:
        return EXACT
    if any(kind is not None and kind.startswith("q") for kind in (options.type_k, options.type_v)):
        return _OTHERS
    return _BY_TYPE.get(file_type, _OTHERS)
