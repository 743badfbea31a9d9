"""Formats figures for tables: few digits, a true minus sign, ∞ and NaN, and a dash for a missing figure."""

import math

__all__ = ["EMPTY", "bar", "decibels", "fixed", "number", "percent", "share", "special", "true_minus", "without_bar"]

EMPTY = "–"
"""Text for a figure that does not apply."""

_QUIET_DB, _LOUD_DB = 60.0, 0.0  # a bar is empty at the first and full at the second
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 6


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with significant digits.

    >>> number(0.00012345), number(None), number(-math.inf), number(12.0)
    ('0.000123', '–', '−∞', '12')
    >>> number(-1.2345e-7, 2), number(0.0, 2)
    ('−1.2e−7', '0')
    """
    text = special(value)
    return true_minus(f"{value or 0.0:.{digits}g}") if text is None else text


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
    return text.replace("e-0", "e-").replace("-", "−")


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
