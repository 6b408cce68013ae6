"""The types of weights that a .gguf file can be quantized to, by llama.cpp's own names."""

from __future__ import annotations

from autocog_core import InputError
from autocog_core.toolkit import did_you_mean

#: What llama.cpp makes without an importance matrix, and roughly how many bits a weight takes in a
#: model whose rows suit the type. Most use several types, more bits where they matter most.
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
#: Shorter names that llama.cpp's own program takes too.
ALIASES = {"Q5_K": "Q5_K_M", "Q4_K": "Q4_K_M", "Q3_K": "Q3_K_M"}
#: What llama.cpp makes only with an importance matrix, which shows where rounding hurts.
WITH_MATRIX = frozenset(
    {"IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S"}
)


def type_named(name: str) -> str:
    """The type's own name, from one in any case, or from an alias.

    :raises InputError: for a name that is no type.
    """
    upper = name.upper().replace("-", "_")
    found = ALIASES.get(upper, upper)
    if found in TYPES:
        return found
    if found in WITH_MATRIX:
        raise InputError(
            f"{found} needs an importance matrix, which autocog does not make",
            where="type",
            hint="use llama.cpp's llama-imatrix and llama-quantize, or another type (Q2_K)",
        )
    near, every = did_you_mean(upper, [*TYPES, *ALIASES]), f"types: {', '.join(TYPES)}"
    raise InputError(
        f'there is no type "{name}"',
        where="type",
        hint=f"{near} {every}" if near.startswith("did") else every,
    )
