"""Cells and orders of rows, by the names of their fields."""

import math
from collections.abc import Callable
from typing import Any

from quantlab_reports.figures import EMPTY, decibels, fixed, number

__all__ = ["count", "decibels_of", "figure", "largest_first", "scaled", "smallest_first", "text", "worst_first"]


def text(field: str) -> Callable[[Any], str]:
    """A field as it is."""
    return lambda row: str(getattr(row, field) or "")


def figure(field: str, digits: int = 3) -> Callable[[Any], str]:
    """A field that is a number, with so many significant digits."""
    return lambda row: number(getattr(row, field), digits)


def count(field: str) -> Callable[[Any], str]:
    """A field that counts."""
    return lambda row: fixed(getattr(row, field), 0)


def scaled(field: str, unit: float) -> Callable[[Any], str]:
    """A field in a larger unit, as bytes in megabytes, with one digit behind the point."""

    def cell(row: Any) -> str:
        value = getattr(row, field)
        return EMPTY if value is None else fixed(value / unit, 1)

    return cell


def decibels_of(field: str) -> Callable[[Any], str]:
    """A field in decibels."""
    return lambda row: decibels(getattr(row, field))


def worst_first(field: str) -> Callable[[Any], float]:
    """An order by SQNR: NaN first, what was not measured last."""

    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else float(value)

    return key


def largest_first(field: str) -> Callable[[Any], float]:
    """An order by size: NaN first, what was not measured last."""

    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else -float(value)

    return key


def smallest_first(field: str) -> Callable[[Any], tuple[bool, float]]:
    """An order by size from the other end: what was not measured comes last, and never counts as nothing."""

    def key(row: Any) -> tuple[bool, float]:
        value = getattr(row, field)
        return (value is None, value or 0.0)

    return key
