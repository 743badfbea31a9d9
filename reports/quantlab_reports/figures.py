"""Formats the figures of all reports: few digits, a true minus sign, ∞ and NaN, and a dash for a missing figure.

Bounds are rounded by `quantlab.gate`, so that no bound looks better than it is.
"""

import math
from collections.abc import Hashable, Iterable
from itertools import combinations

from quantlab.store import json_number

__all__ = [
    "EMPTY",
    "bar",
    "confidence",
    "cosine",
    "decibels",
    "digits_apart",
    "fixed",
    "for_programs",
    "number",
    "percent",
    "share",
    "significant",
    "special",
    "true_minus",
    "with_sign",
    "without_bar",
]

EMPTY = "–"
"""Text for a figure that does not apply."""

_QUIET_DB, _LOUD_DB = 60.0, 0.0  # a bar is empty at the first and full at the second
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 6
_LARGE = 1e7
_ROUNDING = 1e-12
"""Distance of a cosine from 1 that may be a rounding error of its sums."""
_MOST_DIGITS = 6
"""Digits beyond which two figures count as equal: float32 has hardly more."""


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with significant digits; up to ten million without an exponent.

    >>> number(0.00012345), number(None), number(-math.inf), number(12.0)
    ('0.000123', '–', '−∞', '12')
    >>> number(-1.2345e-7, 2), number(0.0, 2)
    ('−1.2e−7', '0')
    >>> number(103342.0, 4), number(1.5e9)
    ('103300', '1.5e+9')
    """
    if (text := special(value)) is not None:
        return text
    shown = f"{value or 0.0:.{digits}g}"
    return (
        f"{float(shown):.0f}".replace("-", "−") if "e+0" in shown and abs(float(shown)) < _LARGE else true_minus(shown)
    )


def confidence(share: float) -> str:
    """Return a confidence in percent, with two decimals, or with as many as its distance from 100 needs.

    >>> confidence(0.95), confidence(0.994444444), confidence(0.988851), confidence(0.9500000000000046)
    ('95 %', '99.44 %', '98.89 %', '95 %')
    >>> confidence(0.99995), confidence(0.9999949)
    ('99.995 %', '99.99949 %')
    """
    percent = round(100 * share, 9)
    left = 100 - percent
    decimals = max(2, 1 - math.floor(math.log10(left))) if left > 0 else 0
    return f"{percent:.{decimals}f}".rstrip("0").rstrip(".") + " %"


def significant(value: float, digits: int) -> float:
    """Round a finite number to significant digits, for programs that print all of them.

    >>> significant(12.3456, 4), significant(103342.0, 2)
    (12.35, 100000.0)
    """
    return float(f"{value:.{digits}g}")


def digits_apart(figures: Iterable[tuple[Hashable, float | None]], least: int = 2) -> int:
    """Return the significant digits with which figures of different owners are told apart.

    Figures that six digits do not tell apart count as equal.

    >>> digits_apart([("model", 0.103342), ("uint8", 0.103401)]), digits_apart([("model", 0.1), ("float32", 0.1000001)])
    (4, 2)
    """
    finite = [(owner, value) for owner, value in figures if value is not None and math.isfinite(value)]
    pairs = {
        (min(one, other), max(one, other))
        for (owner, one), (another, other) in combinations(dict.fromkeys(finite), 2)
        if owner != another and number(one, _MOST_DIGITS) != number(other, _MOST_DIGITS)
    }
    digits = least
    while digits < _MOST_DIGITS and any(number(one, digits) == number(other, digits) for one, other in pairs):
        digits += 1
    return digits


def cosine(value: float | None) -> str:
    """Format a cosine with six decimals, and with more if it would otherwise look like 1.

    >>> cosine(0.9999), cosine(0.99999987654), cosine(1.0), cosine(None)
    ('0.999900', '0.99999987', '1.000000', '–')
    """
    from quantlab.gate import near_one  # imported here because it loads NumPy, which most tables do not need

    text = fixed(value, 6)
    return near_one(value, "down") if value is not None and 1 - value > _ROUNDING and text == "1.000000" else text


def with_sign(text: str) -> str:
    """Add the plus sign of a positive figure that was formatted.

    >>> with_sign(fixed(-73.2, 0)), with_sign(number(4.26, 2))
    ('−73', '+4.3')
    """
    return text if text.startswith("−") else f"+{text}"


def for_programs(value: float) -> str:
    """Format a number with six digits in ASCII; non-finite numbers as in the JSON reports.

    >>> for_programs(0.1435572), for_programs(-math.inf), for_programs(math.nan)
    ('0.143557', '-Infinity', 'NaN')
    """
    return f"{value:.6g}" if math.isfinite(value) else str(json_number(value))


def fixed(value: float | None, digits: int) -> str:
    """Format a number with fixed decimals.

    >>> fixed(-1234.5, 2), fixed(-0.001, 2), fixed(None, 1)
    ('−1,234.50', '0.00', '–')
    """
    if (text := special(value)) is not None:
        return text
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else true_minus(text)


def special(value: float | None) -> str | None:
    """Return text for a missing or non-finite number; None for a finite number."""
    if value is None:
        return EMPTY
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


def true_minus(text: str) -> str:
    """Replace the hyphen by a minus sign and remove zeros before an exponent.

    >>> true_minus("-8e-07"), true_minus("+0.5")
    ('−8e−7', '+0.5')
    """
    return text.replace("e-0", "e-").replace("e+0", "e+").replace("-", "−")


def decibels(value: float | None) -> str:
    """Format an SQNR with one decimal and a bar; a longer bar means more noise."""
    text = fixed(value, 1)
    return text if value is None or math.isnan(value) else f"{text} {bar(value):{_BAR_CELLS}}"


def bar(sqnr_db: float) -> str:
    """Draw noise as a bar: empty at 60 dB and above, full at 0 dB and below.

    >>> bar(60.0), bar(0.0), len(bar(30.0))
    ('', '██████', 3)
    """
    part = min(max((_QUIET_DB - sqnr_db) / (_QUIET_DB - _LOUD_DB), 0.0), 1.0)
    eighths = round(part * _BAR_CELLS * len(_BAR))
    whole, rest = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[rest - 1] if rest else "")


def without_bar(text: str) -> str:
    """Remove the bar and its space from a figure that `decibels` formatted; of other text, spaces at the end.

    >>> without_bar(decibels(30.0)), without_bar(decibels(90.0)), without_bar("3.1 %")
    ('30.0', '90.0', '3.1 %')
    """
    return text.rstrip(f"{_BAR} ")


def share(part: int | None, of: int) -> str:
    """Format a count as a percentage of another."""
    return EMPTY if part is None or not of else f"{fixed(100 * part / of, 1)} %"


def percent(value: float | None) -> str:
    """Format a share as a percentage with two digits."""
    return EMPTY if value is None else f"{number(100 * value, 2)} %"
