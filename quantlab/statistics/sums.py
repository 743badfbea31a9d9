"""What all sums share: they add field by field, so batches, shards and machines combine with `+`."""

import operator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sums", "largest", "sum_products"]


@dataclass(frozen=True, slots=True)
class Sums:
    """A statistic in a form that adds; what is derived from it are properties of the whole.

    Every field of a subclass has a default, and the instance made of defaults is the zero: `sum(parts, TensorError())`.
    Fields add with `+`, those made by `largest()` keep the greater.
    """

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        kind: type[Any] = type(self)
        return kind(*[add(getattr(self, name), getattr(other, name)) for name, add in _additions(kind)])  # type: ignore[arg-type, no-any-return]


@cache  # looking fields up takes longer than adding them, and a comparison of layers adds thousands of times
def _additions(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """How each field adds, in the order in which they are given."""
    return tuple((attribute.name, attribute.metadata.get("add", operator.add)) for attribute in fields(kind))


def largest() -> Any:
    """Make a field of a `Sums` that keeps the greater of two values instead of their sum; 0 to begin with."""
    return field(default=0.0, metadata={"add": max})


def sum_products(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Σ one·other of two vectors, the same on every machine.

    Not `one @ other`: BLAS divides it among threads, so that the last digits depend on how many there are, and where
    the machine is busy it waits for them, tens of times longer than the sum takes.
    """
    return float(np.einsum("i,i->", one, other))
