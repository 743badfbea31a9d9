"""How figures are written in tables: few digits, a true minus, ∞ and NaN in words, a dash where there is none."""

import math

__all__ = ["EMPTY", "bar", "decibels", "fixed", "number", "percent", "share", "special", "true_minus"]

EMPTY = "–"
"""What stands where a figure does not apply."""

_QUIET_DB, _LOUD_DB = 60.0, 0.0  # between which a bar goes from nothing to full
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 6


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits.

    >>> number(0.00012345), number(None), number(-math.inf), number(12.0)
    ('0.000123', '–', '−∞', '12')
    >>> number(-1.2345e-7, 2), number(0.0, 2)
    ('−1.2e−7', '0')
    """
    text = special(value)
    return true_minus(f"{value or 0.0:.{digits}g}") if text is None else text


def fixed(value: float | None, digits: int) -> str:
    """A number with so many digits behind the point.

    >>> fixed(-1234.5, 2), fixed(-0.001, 2), fixed(None, 1)
    ('−1,234.50', '0.00', '–')
    """
    if (text := special(value)) is not None:
        return text
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else true_minus(text)


def special(value: float | None) -> str | None:
    """What is no finite number, in words; None for one that is."""
    if value is None:
        return EMPTY
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


def true_minus(text: str) -> str:
    """A number as Python writes it, with the sign for people, and no zero before a small exponent.

    >>> true_minus("-8e-07"), true_minus("+0.5")
    ('−8e−7', '+0.5')
    """
    return text.replace("e-0", "e-").replace("-", "−")


def decibels(value: float | None) -> str:
    """SQNR with one digit, and a bar that is the longer the more noise there is."""
    text = fixed(value, 1)
    return text if value is None or math.isnan(value) else f"{text} {bar(value):{_BAR_CELLS}}"


def bar(sqnr_db: float) -> str:
    """Noise as a bar: nothing from 60 dB on, full at 0 dB and below.

    >>> bar(60.0), bar(0.0), len(bar(30.0))
    ('', '██████', 3)
    """
    part = min(max((_QUIET_DB - sqnr_db) / (_QUIET_DB - _LOUD_DB), 0.0), 1.0)
    eighths = round(part * _BAR_CELLS * len(_BAR))
    whole, rest = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[rest - 1] if rest else "")


def share(part: int | None, of: int) -> str:
    """A count as percent of another."""
    return EMPTY if part is None or not of else f"{fixed(100 * part / of, 1)} %"


def percent(value: float | None) -> str:
    """A share as percent, in two digits."""
    return EMPTY if value is None else f"{number(100 * value, 2)} %"
