"""Arrays of other dtypes: with equal numbers, and cut to integers as `astype` does."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from quantlab.study.attempts.contract import Array, Attempt, RightInputs, fed

__all__ = ["dtypes"]

_FLOATS = tuple(np.dtype(kind) for kind in (np.float64, np.float16, np.float32))
_INTEGERS = tuple(np.dtype(kind) for kind in (np.int32, np.int64, np.uint8, np.int8))


def dtypes(right: RightInputs) -> Iterator[Attempt]:
    """Yield the same numbers in each dtype, and, of samples with fractions, what is left of them as integers.

    Floats are compared with the right call on the same numbers: float16 rounds them first. Integers are whole numbers
    from 0 to 9, which each dtype can hold.
    """
    unit = tuple(values[: right.unit] for values in right.arrays)
    taken = {values.dtype for values in unit}
    for dtype in _FLOATS:
        if dtype not in taken:
            numbers = tuple(values.astype(dtype) for values in unit)
            same = tuple(values.astype(one.dtype) for values, one in zip(numbers, unit, strict=True))
            yield Attempt(f"the same numbers as {dtype}", fed(right, numbers), same)
    whole = tuple(_whole(values) for values in unit)
    for dtype in _INTEGERS:
        if dtype not in taken:
            numbers = tuple(values.astype(dtype) for values in whole)
            yield Attempt(f"whole numbers 0 to 9 as {dtype}", fed(right, numbers), whole)
    if any(_has_fractions(values) for values in unit):
        cut = tuple(_cut(values) for values in unit)
        yield Attempt("cut to uint8: fractions are lost", fed(right, cut), unit)


def _whole(values: Array) -> Array:
    """Whole numbers from 0 to 9 in the dtype of the values, in the order of their sizes."""
    numbers = values.astype(np.float64)
    lowest, highest = float(numbers.min(initial=np.inf)), float(numbers.max(initial=-np.inf))
    if not highest > lowest:
        return np.zeros_like(values)
    whole: Array = np.floor((numbers - lowest) / (highest - lowest) * 9).astype(values.dtype)
    return whole


def _has_fractions(values: Array) -> bool:
    return values.dtype.kind == "f" and bool(np.any(values != np.floor(values)))


def _cut(values: Array) -> np.ndarray[Any, Any]:
    """What `astype(uint8)` makes of numbers from 0 to 255; others are limited to them, which has the same result on
    every machine.
    """
    return np.clip(np.nan_to_num(values), 0, 255).astype(np.uint8) if values.dtype.kind == "f" else values
