"""Divides bytes among weights: the least error for any size, if the errors of single weights add up.

They do within a factor of two as long as few answers change: `benchmarks/tune.py` prints 0.7 to 1.9 times the sum for a
DS-CNN and the demo's model, 2.4 times where half floats of other weights are most of the error, and up to 5.6 times
where most answers change. So the sum orders divisions, and what is measured decides.

Each weight has several ways to be stored, each with bytes and an expected error. For a price of a byte, every weight
takes the way whose error and price together are lowest; of all divisions with the same size no other one has a lower
sum of errors (Everett 1963, Generalized Lagrange multiplier method).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Allocation", "Way", "between", "error_of", "ladder", "priced"]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to store a weight."""

    error: float
    """Expected error of the output if only this weight is stored in this way; 0 or more."""
    size_bytes: int
    """As the target transfers it."""


_MOST_PRICES = 500

Allocation = tuple[int, ...]
"""For each weight, the index of its way."""


def priced(weights: Sequence[Sequence[Way]], price: float) -> Allocation:
    """The division for a price of a byte; of ways that are as good, the first.

    >>> priced([[Way(0.0, 100), Way(0.5, 50)]], 0.001), priced([[Way(0.0, 100), Way(0.5, 50)]], 0.1)
    ((0,), (1,))
    """
    return tuple(min(range(len(ways)), key=lambda at: ways[at].error + price * ways[at].size_bytes) for ways in weights)


def ladder(weights: Sequence[Sequence[Way]], steps: int) -> list[Allocation]:
    """At most this many divisions, from the most precise to the smallest one, each smaller than the one before.

    Their expected errors are spread evenly on a logarithmic scale.
    """
    if not weights:
        return []
    prices = _prices(weights)
    found: dict[Allocation, float] = {}
    for price in prices:
        found.setdefault(priced(weights, _above(price)), price)
    ordered = sorted(found, key=lambda allocation: -_size(weights, allocation))
    if len(ordered) <= steps:
        return ordered
    errors = [error_of(weights, one) for one in ordered]
    least = min(error for error in errors if error > 0)  # at most one of the divisions has none
    logarithms = [math.log(max(error, least)) for error in errors]
    lowest, highest = logarithms[0], logarithms[-1]
    wanted = [lowest + (highest - lowest) * place / (steps - 1) for place in range(steps)]
    chosen = {min(range(len(ordered)), key=lambda at: (abs(logarithms[at] - error), at)) for error in wanted}
    return [ordered[at] for at in sorted(chosen)]


def between(weights: Sequence[Sequence[Way]], larger: Allocation, smaller: Allocation, steps: int) -> list[Allocation]:
    """At most this many divisions whose sizes are between those of two others, evenly spread."""
    upper, lower = _size(weights, larger), _size(weights, smaller)
    found = {priced(weights, _above(price)) for price in _prices(weights)}
    inside = sorted((one for one in found if lower < _size(weights, one) < upper), key=lambda one: -_size(weights, one))
    if len(inside) <= steps:
        return inside
    return [inside[(2 * place + 1) * len(inside) // (2 * steps)] for place in range(steps)]


def _prices(weights: Sequence[Sequence[Way]]) -> list[float]:
    """Prices at which a weight may change its way, in ascending order: all of them, or many that are evenly spread."""
    prices = {0.0}
    for ways in weights:
        for one in ways:
            for other in ways:
                if one.size_bytes > other.size_bytes and other.error > one.error:
                    prices.add((other.error - one.error) / (one.size_bytes - other.size_bytes))
    ordered = sorted(prices)
    step = max(len(ordered) // _MOST_PRICES, 1)
    return [*ordered[::step], ordered[-1]]


def _above(price: float) -> float:
    """A price that is higher by more than what sums of errors and prices are rounded by."""
    return price * (1 + 1e-9)


def _size(weights: Sequence[Sequence[Way]], allocation: Allocation) -> int:
    return sum(ways[at].size_bytes for ways, at in zip(weights, allocation, strict=True))


def error_of(weights: Sequence[Sequence[Way]], allocation: Allocation) -> float:
    """The sum of the expected errors of a division."""
    return sum(ways[at].error for ways, at in zip(weights, allocation, strict=True))
