"""Regular expressions of the numbers within bounds, as JSON writes them.

Numbers are written without exponents and with a bounded number of digits, so that a model cannot
go on with digits for ever.
"""

from __future__ import annotations

from decimal import Decimal

from autocog_core.records.rust_regex import any_of

#: Digits of a number without a bound: before the point, and after it.
MAX_INTEGER_DIGITS = 18
MAX_FRACTION_DIGITS = 9


def integer_regex(minimum: int | None, maximum: int | None) -> str:
    """Return an expression for the whole numbers within bounds, both included.

    :param minimum: the smallest number; None for no bound.
    :param maximum: the largest number, at least `minimum`; None for no bound.
    """
    low, high = _with_defaults(minimum, maximum)
    parts = []
    if low < 0:
        parts += [f"-{part}" for part in _ranges(max(1, -high), -low)]
    if high >= 0:
        parts += _ranges(max(0, low), high)
    return any_of(parts)


def decimal_regex(
    minimum: Decimal | None = None,
    maximum: Decimal | None = None,
    *,
    excludes_minimum: bool = False,
    excludes_maximum: bool = False,
    fraction_digits: int = MAX_FRACTION_DIGITS,
) -> str:
    """Return an expression for the decimal numbers within bounds; "" if there are none.

    :param minimum: the lower bound; None for none.
    :param maximum: the upper bound; None for none.
    :param excludes_minimum: whether the number must be above `minimum`.
    :param excludes_maximum: whether the number must be below `maximum`.
    :param fraction_digits: the largest number of digits after the point.
    """
    parts = []
    if minimum is None or minimum < 0:
        # Mirrored, and without zero, which is written without a sign.
        above_zero = maximum is None or maximum >= 0
        low = Decimal(0) if above_zero or maximum is None else -maximum
        high = None if minimum is None else -minimum
        negative = _PositiveRange(low, high, above_zero or excludes_maximum, excludes_minimum)
        parts += [f"-{part}" for part in negative.parts(fraction_digits)]
    if maximum is None or maximum >= 0:
        below_zero = minimum is None or minimum < 0
        low = Decimal(0) if below_zero or minimum is None else minimum
        positive = _PositiveRange(
            low, maximum, excludes_minimum and not below_zero, excludes_maximum
        )
        parts += positive.parts(fraction_digits)
    return any_of(parts) if parts else ""


class _PositiveRange:
    """The decimals from `low`, at least 0, to `high`."""

    def __init__(
        self, low: Decimal, high: Decimal | None, excludes_low: bool, excludes_high: bool
    ) -> None:
        self.low, self.excludes_low = low, excludes_low
        self.high, self.excludes_high = high, excludes_high

    def parts(self, digits: int) -> list[str]:
        """Return expressions whose union is this range."""
        first, low_digits = _split(self.low)
        if self.high is None:
            last, high_digits = max(_nines(first), 10**MAX_INTEGER_DIGITS - 1) + 1, ""
        else:
            last, high_digits = _split(self.high)
        if first > last or (first == last and self.high is None):
            return []
        # A bound may have more digits than usual; then a number may have one more than the bound.
        digits = max(digits, *(len(part) + 1 for part in (low_digits, high_digits) if part), 0)
        at_least = _Fractions(digits, low=low_digits, excludes_low=self.excludes_low)
        at_most = _Fractions(digits, high=high_digits, excludes_high=self.excludes_high)
        if first == last:
            both = _Fractions(
                digits,
                low=low_digits,
                excludes_low=self.excludes_low,
                high=high_digits,
                excludes_high=self.excludes_high,
            )
            return _with_integer(str(first), both.regexes())
        parts = []
        if low_digits or self.excludes_low:
            parts += _with_integer(str(first), at_least.regexes())
            first += 1
        if first < last:
            integers = any_of(_ranges(first, last - 1))
            parts += _with_integer(integers, _Fractions(digits).regexes())
        if self.high is not None:
            parts += _with_integer(str(last), at_most.regexes())
        return parts


class _Fractions:
    """What may follow the whole part of a decimal: nothing, or a point and digits.

    :param digits: the largest number of digits.
    :param low: the digits of the lower bound; None is 0.
    :param high: the digits of the upper bound; None is 1, which is excluded.
    """

    def __init__(
        self,
        digits: int,
        *,
        low: str | None = None,
        excludes_low: bool = False,
        high: str | None = None,
        excludes_high: bool = False,
    ) -> None:
        self.digits, self.high = digits, high
        self.low = low if low or excludes_low else None
        self.excludes_low, self.excludes_high = excludes_low, excludes_high

    def regexes(self) -> list[str]:
        """Return expressions whose union is this set; "" is a number without a point."""
        written = []
        if self._may_end(self.low, self.high):
            written.append("")
        if self.digits:
            written += [f"\\.{part}" for part in self._digits(self.low, self.high, self.digits)]
        if "" in written and len(written) > 1:
            rest = any_of([part for part in written if part])
            return [f"{rest}?" if rest.startswith("(?:") else f"(?:{rest})?"]
        return written

    def _may_end(self, low: str | None, high: str | None) -> bool:
        """Return whether zeros, or nothing, may follow. None is no bound any more."""
        above = low is None or (not low and not self.excludes_low)
        below = high is None or bool(high) or not self.excludes_high
        return above and below

    def _digits(self, low: str | None, high: str | None, left: int) -> list[str]:
        """Return expressions for one to `left` further digits."""
        if left == 0:
            return []
        if low is None and high is None:
            return [f"[0-9]{{1,{left}}}"]
        smallest = 0 if low is None else int(low[:1] or "0")
        largest = 9 if high is None else int(high[:1] or "0")
        if smallest > largest:
            return []
        parts = []
        inner = range(smallest + (low is not None), largest + 1 - (high is not None))
        if inner:
            digits = f"[{inner[0]}-{inner[-1]}]" if len(inner) > 1 else str(inner[0])
            parts.append(f"{digits}[0-9]{{0,{left - 1}}}")
        edges: list[tuple[int, str | None, str | None]] = []
        if smallest == largest and low is not None and high is not None:
            edges.append((smallest, low[1:], high[1:]))
        else:
            if low is not None:
                edges.append((smallest, low[1:], None))
            if high is not None:
                edges.append((largest, None, high[1:]))
        for digit, next_low, next_high in edges:
            if next_low == "" and not self.excludes_low:
                next_low = None
            if next_low == "" and next_high is None:
                # Above the bound: a digit that is not 0 must follow.
                zeros = f"0{{0,{left - 2}}}[1-9]" if left > 1 else ""
                if zeros:
                    parts.append(f"{digit}{zeros}[0-9]{{0,{left - 2}}}")
                continue
            if next_low is None and next_high == "":
                # At the bound: only zeros may follow.
                if not self.excludes_high:
                    parts.append(f"{digit}0{{0,{left - 1}}}")
                continue
            rest = self._digits(next_low, next_high, left - 1)
            if self._may_end(next_low, next_high):
                parts.append(f"{digit}(?:{any_of(rest)})?" if rest else str(digit))
            elif rest:
                parts.append(f"{digit}{any_of(rest)}")
        return parts


def _with_integer(integer: str, fractions: list[str]) -> list[str]:
    return [integer + any_of(fractions)] if fractions else []


def _split(number: Decimal) -> tuple[int, str]:
    """Return the whole part of a number, and the digits after the point, the last not 0."""
    integer, _, fraction = format(number, "f").partition(".")
    return int(integer), fraction.rstrip("0")


def _with_defaults(minimum: int | None, maximum: int | None) -> tuple[int, int]:
    """Return both bounds; without one, the numbers with a bounded number of digits."""
    widest = 10**MAX_INTEGER_DIGITS - 1
    low = -max(widest, _nines(maximum)) if minimum is None else minimum
    high = max(widest, _nines(minimum)) if maximum is None else maximum
    return low, high


def _nines(number: int | None) -> int:
    """Return the largest number with one digit more than `number`."""
    return 0 if number is None else int(10 ** (len(str(abs(number))) + 1) - 1)


def _ranges(low: int, high: int) -> list[str]:
    """Return expressions for the whole numbers from `low`, at least 0, to `high`."""
    parts = []
    if low == 0 <= high:
        parts, low = ["0"], 1
    while low <= high:
        size = len(str(low))
        # All numbers of several sizes are one expression.
        sizes = len(str(high + 1)) - size if low == 10 ** (size - 1) else 0
        if sizes:
            largest = size + sizes - 1
            bounds = f"{size - 1}" if sizes == 1 else f"{size - 1},{largest - 1}"
            parts.append("[1-9]" + (f"[0-9]{{{bounds}}}" if largest > 1 else ""))
            low = 10**largest
            continue
        parts.append(_same_size(str(low), str(min(high, 10**size - 1))))
        low = 10**size
    return parts


def _same_size(low: str, high: str) -> str:
    """Return an expression for the numbers of one number of digits from `low` to `high`."""
    if not low:
        return ""
    if low[0] == high[0]:
        return low[0] + _same_size(low[1:], high[1:])
    rest = len(low) - 1
    parts = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        parts.append(low[0] + _same_size(low[1:], "9" * rest))
        first += 1
    is_full = high[1:] == "9" * rest
    if not is_full:
        last -= 1
    if first <= last:
        digits = f"[{first}-{last}]" if first < last else str(first)
        parts.append(digits + (f"[0-9]{{{rest}}}" if rest else ""))
    if not is_full:
        parts.append(high[0] + _same_size("0" * rest, high[1:]))
    return any_of(parts)
