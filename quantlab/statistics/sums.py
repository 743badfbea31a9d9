"""Base class of statistics that add field by field, so that batches, shards and machines combine with `+`."""

import operator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sums", "largest", "sum_products"]


@dataclass(frozen=True, slots=True)
class Sums:
    """A statistic stored as sums; derived figures are properties.

    Every field of a subclass has a default, and the instance with all defaults is the neutral element:
    `sum(parts, TensorError())`. Fields are added with `+`; fields made with `largest()` keep the larger value.
    """

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        kind: type[Any] = type(self)
        return kind(*[add(getattr(self, name), getattr(other, name)) for name, add in _additions(kind)])  # type: ignore[arg-type, no-any-return]


@cache  # looking fields up takes longer than adding them, and a layer comparison adds thousands of times
def _additions(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Field name and the function that adds it, in declaration order."""
    return tuple((attribute.name, attribute.metadata.get("add", operator.add)) for attribute in fields(kind))


def largest() -> Any:
    """A field of a `Sums` that keeps the larger of two values instead of their sum; initially 0."""
    return field(default=0.0, metadata={"add": max})


def sum_products(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Σ one·other of two vectors, with the same result on every machine.

    `one @ other` is not used: BLAS splits the sum over threads, so the last digits depend on their number. On a busy
    machine it also waits for its threads, which takes tens of times longer than the sum itself.
    """
    return float(np.einsum("i,i->", one, other))
