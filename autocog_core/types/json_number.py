"""Numbers in JSON. This module does not import NumPy, so that help of commands appears at once."""

from __future__ import annotations

import math


def to_json_number(value: float | None) -> float | None:
    """Return None for infinite values, since JSON has no infinity.

    :param value: such as a log-probability: -inf is a probability of 0.
    """
    return None if value is None or math.isinf(value) else float(value)
