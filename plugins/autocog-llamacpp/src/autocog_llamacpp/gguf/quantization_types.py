"""The types that a .gguf file can be quantized to, with llama.cpp's names."""

from __future__ import annotations

from autocog_core import InputError
from autocog_core.toolkit import did_you_mean

#: Types that need no importance matrix, and their approximate bits per weight. Most of them are
#: mixtures: important tensors get a larger type.
TYPES = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.6,
    "Q5_K_M": 5.7,
    "Q5_K_S": 5.5,
    "Q5_1": 6.0,
    "Q5_0": 5.5,
    "Q4_K_M": 4.8,
    "Q4_K_S": 4.6,
    "Q4_1": 5.0,
    "Q4_0": 4.5,
    "IQ4_NL": 4.5,
    "IQ4_XS": 4.3,
    "MXFP4_MOE": 4.3,
    "Q3_K_L": 4.3,
    "Q3_K_M": 3.9,
    "Q3_K_S": 3.5,
    "IQ3_M": 3.7,
    "IQ3_S": 3.4,
    "Q2_K": 3.0,
    "TQ2_0": 2.1,
    "TQ1_0": 1.7,
    "Q1_0": 1.1,
}
#: Short names, as in llama-quantize.
ALIASES = {"Q5_K": "Q5_K_M", "Q4_K": "Q4_K_M", "Q3_K": "Q3_K_M"}
#: Types that need an importance matrix.
IMPORTANCE_MATRIX_TYPES = frozenset(
    {"IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S"}
)


def resolve_type(name: str) -> str:
    """Return the name in `TYPES`.

    :param name: a name or an alias, in any case.
    :raises InputError: if there is no such type, or it needs an importance matrix.
    """
    upper = name.upper().replace("-", "_")
    type_name = ALIASES.get(upper, upper)
    if type_name in TYPES:
        return type_name
    if type_name in IMPORTANCE_MATRIX_TYPES:
        raise InputError(
            f"the type {type_name} needs an importance matrix, which autocog does not compute",
            where="type",
            hint="use llama.cpp's llama-imatrix and llama-quantize, or another type (Q2_K)",
        )
    suggestion, types = did_you_mean(upper, [*TYPES, *ALIASES]), f"types: {', '.join(TYPES)}"
    raise InputError(
        f'there is no type "{name}"',
        where="type",
        hint=f"{suggestion} {types}" if suggestion.startswith("did") else types,
    )
