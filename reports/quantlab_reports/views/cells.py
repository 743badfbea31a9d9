"""Cells and orders of rows, by the names of their fields."""

import math
from collections.abc import Callable
from typing import Any

from quantlab_reports.figures import decibels, number

__all__ = ["decibels_of", "figure", "largest_first", "text", "worst_first"]


def text(field: str) -> Callable[[Any], str]:
    """A field as it is."""
    return lambda row: str(getattr(row, field) or "")


def figure(field: str) -> Callable[[Any], str]:
    """A field that is a number."""
    return lambda row: number(getattr(row, field))


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
