"""Functions that make cells and sort keys from the fields of rows."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantlab.types import Interval
from quantlab_reports.figures import EMPTY, decibels, digits_apart, fixed, number

__all__ = [
    "Apart",
    "count",
    "decibels_of",
    "figure",
    "largest_first",
    "scaled",
    "smallest_first",
    "text",
    "worst_first",
]


def text(field: str) -> Callable[[Any], str]:
    """Return a cell function for a field without formatting."""
    return lambda row: str(getattr(row, field) or "")


def figure(field: str, digits: int = 3) -> Callable[[Any], str]:
    """Return a cell function for a number with significant digits."""
    return lambda row: number(getattr(row, field), digits)


@dataclass(frozen=True, slots=True)
class Apart:
    """Cells of a number with as many significant digits as tell rows of different owners apart."""

    value: Callable[[Any], float | None]
    """The number of a row."""
    owner: Callable[[Any], Hashable]
    """What rows are told apart by, for example their setting."""
    kind: Callable[[Any], Hashable] = lambda _: None
    """Only rows of the same kind are compared, for example those of one output."""
    least: int = 2
    """Fewest digits."""
    interval: Callable[[Any], Interval | None] = lambda _: None
    """The interval of the number, which follows it with two digits."""

    def __call__(self, row: Any) -> str:
        """Format the number with the fewest digits."""
        bounds = self.interval(row)
        between = "" if bounds is None else f" [{number(bounds.lower, 2)}, {number(bounds.upper, 2)}]"
        return number(self.value(row), self.least) + between

    def among(self, rows: Sequence[Any]) -> Callable[[Any], str]:
        """Return the function that formats the numbers of these rows."""
        by_kind: dict[Hashable, list[tuple[Hashable, float | None]]] = {}
        for row in rows:
            by_kind.setdefault(self.kind(row), []).append((self.owner(row), self.value(row)))
        digits = max((digits_apart(figures, self.least) for figures in by_kind.values()), default=self.least)
        return replace(self, least=digits)


def count(field: str) -> Callable[[Any], str]:
    """Return a cell function for a count."""
    return lambda row: fixed(getattr(row, field), 0)


def scaled(field: str, unit: float) -> Callable[[Any], str]:
    """Return a cell function for a field in a larger unit, with one decimal."""

    def cell(row: Any) -> str:
        value = getattr(row, field)
        return EMPTY if value is None else fixed(value / unit, 1)

    return cell


def decibels_of(field: str) -> Callable[[Any], str]:
    """Return a cell function for a field in decibels."""
    return lambda row: decibels(getattr(row, field))


def worst_first(field: str) -> Callable[[Any], float]:
    """Return a sort key for an SQNR: NaN first, missing values last."""

    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else float(value)

    return key


def largest_first(field: str) -> Callable[[Any], float]:
    """Return a sort key, largest first: NaN first, missing values last."""

    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else -float(value)

    return key


def smallest_first(field: str) -> Callable[[Any], tuple[bool, float]]:
    """Return a sort key that puts smallest values first and missing values last."""

    def key(row: Any) -> tuple[bool, float]:
        value = getattr(row, field)
        return (value is None, value or 0.0)

    return key
