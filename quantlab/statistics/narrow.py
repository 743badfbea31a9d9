"""Reductions of tables (n, columns) that are much faster than NumPy's own where the columns are few, with equal bits.

NumPy enters an inner loop for each row, which costs more than its work if a row has ten elements. Here the columns are
combined with each other, or several rows are seen as one long row. What holds for nearly every table, as that it is
finite, is looked for in the whole table before it is looked for in rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "column_max",
    "column_min",
    "column_sums",
    "count_in_columns",
    "count_in_rows",
    "finite_rows",
    "negative_rows",
    "row_max",
    "row_min",
    "rows_with_nan",
]

_FEW = 32
"""Most columns that are faster combined with each other than row by row."""
_LONG = 256
"""Elements of a long row, in which an inner loop costs little."""
_MOST_IN_BYTE = 255


def row_max(values: NDArray[Any], *, initial: float | None = None) -> NDArray[Any]:
    """The bits of `values.max(axis=1)`: NaN for a row with NaN.

    Args:
        values: (n, columns), with at least one column if `initial` is None.
        initial: The smallest result. Whether a result is 0 or −0 is then not sure, as in NumPy, where it depends on
            where arrays lie in memory.
    """
    return _of_rows(values, np.maximum, initial)


def row_min(values: NDArray[Any], *, initial: float | None = None) -> NDArray[Any]:
    """The bits of `values.min(axis=1)`; `initial` is the largest result, otherwise as `row_max`."""
    return _of_rows(values, np.minimum, initial)


def column_max(values: NDArray[Any]) -> NDArray[Any]:
    """The bits of `values.max(axis=0)` for at least one row: NaN for a column with NaN."""
    return _of_columns(values, np.maximum)


def column_min(values: NDArray[Any]) -> NDArray[Any]:
    """The bits of `values.min(axis=0)`, as `column_max`."""
    return _of_columns(values, np.minimum)


def _of_rows(values: NDArray[Any], combine: np.ufunc, initial: float | None) -> NDArray[Any]:
    if _is_narrow(values):
        found = values[:, 0].copy() if initial is None else combine(values[:, 0], values.dtype.type(initial))
        for column in range(1, values.shape[1]):
            combine(found, values[:, column], out=found)
        if not (np.signbit(initial or 0.0) or _is_ambiguous(found, values[found == 0])):
            return found
    limit = {} if initial is None else {"initial": initial}
    whole: NDArray[Any] = combine.reduce(values, axis=1, **limit)
    return whole


def _of_columns(values: NDArray[Any], combine: np.ufunc) -> NDArray[Any]:
    n, columns = values.shape
    folded = max(1, _LONG // max(1, columns))
    long = n // folded
    if long and _is_narrow(values):
        rows = combine.reduce(values[: long * folded].reshape(long, folded * columns), axis=0)
        rest = values[long * folded :]
        found: NDArray[Any] = combine.reduce(np.concatenate([rows.reshape(folded, columns), rest]), axis=0)
        if not _is_ambiguous(found, values[:, found == 0]):
            return found
    whole: NDArray[Any] = combine.reduce(values, axis=0)
    return whole


def _is_narrow(values: NDArray[Any]) -> bool:
    plain = values.dtype in (np.float32, np.float64) and values.flags.c_contiguous
    return plain and len(values) > 0 and 0 < values.shape[1] <= _FEW


def _is_ambiguous(found: NDArray[Any], where_zero: NDArray[Any]) -> bool:
    """Whether the order of comparisons decides about bits: which NaN is found, or the sign of a zero.

    Args:
        found: Extremes.
        where_zero: The rows or columns whose extreme is 0.
    """
    return bool(np.isnan(found).any() or (np.signbit(where_zero) & (where_zero == 0)).any())


def column_sums(values: NDArray[Any]) -> NDArray[Any]:
    """The bits of `values.sum(axis=0)`."""
    if _is_narrow(values) and values.shape[1] > 1:
        # Rows are added one after the other, here too. `sum` begins with −0, and so keeps it.
        sums: NDArray[Any] = np.einsum("ij->j", values)
        if sums.all():
            return sums
    whole: NDArray[Any] = values.sum(axis=0)
    return whole


def rows_with_nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows hold NaN: (…, columns) gives (…), with at least one column."""
    if values.dtype.kind != "f" or (values.size and not np.isnan(values.max())):
        return np.zeros(values.shape[:-1], np.bool_)
    # max propagates NaN; this is cheaper than testing every element.
    spoiled: NDArray[np.bool_] = np.isnan(values.max(axis=-1))
    return spoiled


def finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,): which rows hold finite numbers only."""
    finite = np.isfinite(values)
    rows: NDArray[np.bool_] = np.ones(len(values), np.bool_) if finite.all() else finite.all(axis=1)
    return rows


def negative_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,): which rows hold a number below 0 and no NaN; there must be at least one column."""
    if values.size and values.min() >= 0:
        return np.zeros(len(values), np.bool_)
    negative: NDArray[np.bool_] = row_min(values) < 0
    return negative


def count_in_rows(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): how many elements of each row of (n, columns) are True."""
    if not flags.any():
        return np.zeros(len(flags), np.intp)
    if flags.shape[1] > _MOST_IN_BYTE:
        return np.asarray(np.count_nonzero(flags, axis=1))
    return np.asarray(np.einsum("ij->i", flags.view(np.uint8)), np.intp)


def count_in_columns(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(columns,): how many elements of each column of (n, columns) are True."""
    n, columns = flags.shape
    folded = max(-(-n // _MOST_IN_BYTE), _LONG // max(1, columns))
    long = n // max(1, folded)
    if not long or columns > _FEW or not flags.flags.c_contiguous:
        return np.asarray(np.count_nonzero(flags, axis=0))
    whole = flags[: long * folded].view(np.uint8).reshape(long, folded * columns)
    counts = whole.sum(axis=0, dtype=np.uint8).reshape(folded, columns).sum(axis=0, dtype=np.intp)
    return np.asarray(counts + np.count_nonzero(flags[long * folded :], axis=0))
