"""Figures as text, rounded so that no figure looks better than it is."""

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

from quantlab.names import counted
from quantlab.types import Loss, SettingVerdict

__all__ = [
    "Towards",
    "allowed",
    "at_least",
    "at_most",
    "bound_of",
    "carried_by_few",
    "decimals_of",
    "near_one",
    "outward",
    "rounded_down",
    "rounded_up",
    "size",
    "size_against",
    "unit_of",
]

Towards = Literal["up", "down", "nearest"]
"""Direction of rounding: up for upper bounds, down for lower bounds."""

_ROUNDING: Mapping[Towards, str] = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "nearest": ROUND_HALF_EVEN}

_MOST_DECIMALS = 12

_MOST_WITH_DECIMALS = 1e15
"""Larger numbers have no decimals as floats; only a malformed file holds such a figure."""


def rounded_up(value: float, below: float = math.inf, *, decimals: int = 2) -> str:
    """Round an upper bound up, with more decimals if it would otherwise reach a margin that it is below.

    >>> rounded_up(0.1312), rounded_up(0.4981, below=0.5), rounded_up(0.5012, below=0.5)
    ('0.14', '0.499', '0.51')
    >>> rounded_up(1.7976931e306)
    '1.7977e+306'
    """
    return _rounded(value, math.ceil, lambda shown: shown < below or value >= below, decimals)


def rounded_down(value: float, above: float = -math.inf, *, decimals: int = 2) -> str:
    """Round a lower bound down, with more decimals if it would otherwise reach a margin that it is above.

    >>> rounded_down(0.1392), rounded_down(0.5042, above=0.5)
    ('0.13', '0.504')
    """
    return _rounded(value, math.floor, lambda shown: shown > above or value <= above, decimals)


def decimals_of(loss: Loss) -> int:
    """Return 2 for points; for other units, enough decimals for two digits of the smallest bound, at most 12."""
    sizes = [abs(bound) for bound in (loss.lower, loss.upper) if math.isfinite(bound) and bound]
    if loss.unit == "pt" or not sizes:
        return 2
    return min(max(2, 1 - math.floor(math.log10(min(sizes)))), _MOST_DECIMALS)


def _rounded(value: float, towards: Callable[[float], int], honest: Callable[[float], bool], decimals: int) -> str:
    if not math.isfinite(value):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else "NaN"
    if abs(value) > _MOST_WITH_DECIMALS:
        return outward(value, "up" if towards is math.ceil else "down", digits=6)
    for digits in range(decimals, decimals + 5):
        # Binary fractions miss decimals by about 1e-9; this error must not round a bound up by a whole step.
        shown = towards(round(value * 10**digits, 9)) / 10**digits
        if honest(shown):
            return f"{shown:.{digits}f}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


def outward(value: float, towards: Towards, limit: float | None = None, *, digits: int = 3) -> str:
    """Round to significant digits, with more of them if the result would otherwise cross a limit.

    >>> outward(0.012341, "up"), outward(0.49961, "up", 0.5), outward(-0.0001, "down"), outward(40.0412, "down", 40.04)
    ('0.0124', '0.4997', '−0.0001', '40.041')
    """
    if not math.isfinite(value):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else "NaN"
    return _outward(_decimal(value), towards, None if limit is None else _decimal(limit), digits)


def _outward(value: Decimal, towards: Towards, limit: Decimal | None, digits: int) -> str:
    for number in range(digits, digits + _MOST_DIGITS):
        shown = Context(prec=number, rounding=_ROUNDING[towards]).create_decimal(value)
        if limit is None or (shown < limit, shown > limit) == (value < limit, value > limit):
            break
    return f"{float(shown) + 0.0:.{number}g}".replace("e-0", "e-").replace("-", "−")


def _decimal(value: float) -> Decimal:
    """The number as it is written, which is what a user means by a limit."""
    return Decimal(repr(float(value)))


_MOST_DIGITS = 7


def near_one(value: float, towards: Towards, limit: float | None = None) -> str:
    """Round a cosine, whose digits are those of its distance from 1; see `outward`.

    A lower bound has at most nine decimals, unless the limit needs more.

    >>> near_one(0.99998765, "down"), near_one(0.99912, "down", 0.999), near_one(1.0, "down"), near_one(-0.25, "down")
    ('0.999987', '0.99912', '1', '−0.3')
    >>> near_one(1 - 1e-14, "down")
    '0.999999999'
    """
    distance, allowed = 1 - _decimal(value), None if limit is None else 1 - _decimal(limit)
    if towards == "down" and 0 < distance < _NEAREST and (allowed is None or allowed > _NEAREST):
        distance = _NEAREST
    opposite: Mapping[Towards, Towards] = {"up": "down", "down": "up", "nearest": "nearest"}
    shown = _outward(distance, opposite[towards], allowed, 2)
    return f"{(1 - Decimal(shown.replace('−', '-'))).normalize():f}".replace("-", "−")


_NEAREST = Decimal("1e-9")


def at_most(loss: Loss, margin: float) -> str:
    """Return `loses at most 0.14 pt`, or `gains at least …` if the upper bound is below zero."""
    if loss.upper < 0:
        return f"gains at least {rounded_down(-loss.upper, 0.0, decimals=decimals_of(loss))}{unit_of(loss)}"
    return f"loses at most {rounded_up(loss.upper, margin, decimals=decimals_of(loss))}{unit_of(loss)}"


def at_least(loss: Loss, margin: float) -> str:
    """Return `loses at least 0.61 pt`."""
    return f"loses at least {rounded_down(loss.lower, margin, decimals=decimals_of(loss))}{unit_of(loss)}"


def carried_by_few(loss: Loss) -> str:
    """Return a warning, with a comma before it, where few samples carry a loss; otherwise nothing.

    >>> from quantlab.types import Tail
    >>> carried_by_few(Loss("mae", "lower", "", 300, 1, 2, 1, 0.5, 2.5, 0.95, "", tail=Tail(3, 0.614, 1.25)))
    ', but 3 samples carry 61 % of all differences (tail index 1.2), so a bound may miss more often than it says'
    """
    tail = loss.tail
    if tail is None or not tail.heavy:
        return ""
    index = "" if tail.index is None else f" (tail index {tail.index:.1f})"
    samples = counted(tail.samples, "sample carries", "samples carry")
    share = f"{100 * tail.share:.0f} % of all differences"
    return f", but {samples} {share}{index}, so a bound may miss more often than it says"


def bound_of(setting: SettingVerdict) -> str:
    """Return the highest upper bound of a setting's loss in any runtime, as `at most 0.14 pt`.

    If it is below zero, it is `a gain of at least 0.02 pt`.
    """
    loss = setting.deciding.loss
    decimals, unit = 2 if loss is None else decimals_of(loss), " pt" if loss is not None and loss.unit == "pt" else ""
    if setting.upper < 0:
        return f"a gain of at least {rounded_down(-setting.upper, 0.0, decimals=decimals)}{unit}"
    return f"at most {rounded_up(setting.upper, decimals=decimals)}{unit}"


def allowed(margin: float) -> str:
    """Return `allowed 0.50`, with more digits if the margin has more than two decimals."""
    return f"allowed {margin:.2f}" if round(margin, 2) == round(margin, 6) else f"allowed {margin:.4g}"


def unit_of(loss: Loss) -> str:
    """The unit behind the figures of a loss: points, or the name of its metric."""
    return " pt" if loss.unit == "pt" else f" {loss.metric}"


def size(size_bytes: int) -> str:
    """Return bytes as B, KB, MB or GB, in powers of 1,000.

    >>> size(19012), size(345), size(3_456_789)
    ('19.0 KB', '345 B', '3.46 MB')
    >>> size(999_950), size(10_000_000_000)
    ('1.00 MB', '10.00 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < _ROUNDED_TO_MB:
        return f"{size_bytes / 1e3:.1f} KB"
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes < _ROUNDED_TO_GB else f"{size_bytes / 1e9:.2f} GB"


_ROUNDED_TO_MB = 999_950
_ROUNDED_TO_GB = 999_995_000
"""Sizes from which the larger unit is shown: the smaller one would be rounded to 1000."""


def size_against(size_bytes: int, limit: int, word: str) -> str:
    """Return a size and its limit, in bytes if they would look alike although the limit is broken.

    >>> size_against(19_029, 19_000, "gzipped"), size_against(19_000, 19_029, "raw"), size_against(345, 300, "raw")
    ('19,029 B gzipped, allowed 19,000 B', '19.0 KB raw, allowed 19.0 KB', '345 B raw, allowed 300 B')
    """
    if size_bytes > limit and size(size_bytes) == size(limit):
        return f"{size_bytes:,} B {word}, allowed {limit:,} B"
    return f"{size(size_bytes)} {word}, allowed {size(limit)}"
