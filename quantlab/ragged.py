"""Ground truth of another shape for each sample: in memory an array of objects, on disk two plain arrays.

A ragged array is stored as the values of all samples in a row, and the offsets at which each sample begins. Values of
JSON are stored as their text, in the same way. No file holds Python objects, so nothing is unpickled.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Packed", "RaggedKind", "objects", "pack", "rectangular", "unpack"]

Array = npt.NDArray[Any]
RaggedKind = Literal["", "ragged", "json"]
"""How ground truth is stored: one plain array, the arrays of all samples in a row, or the texts of JSON values."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Values of all samples in a row."""

    kind: RaggedKind
    values: Array
    """(m, …) of numbers; bytes (m,) of JSON texts in UTF-8."""
    offsets: npt.NDArray[np.int64]
    """(n + 1,): sample i has the values from offsets[i] up to, not including, offsets[i + 1]."""


def objects(values: list[Any]) -> Array:
    """An array of objects (n,), whatever the values are."""
    held = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        held[place] = value
    return held


def pack(truth: Array) -> Packed:
    """Values of an array of objects (n,), each an array (k, …) of one data type, or each a value of JSON."""
    ragged = all(isinstance(value, np.ndarray) for value in truth)
    if ragged and len(truth):
        parts = list(truth)
        values = np.concatenate(parts)
    else:
        parts = [np.frombuffer(json.dumps(value).encode(), np.uint8) for value in truth]
        values = np.concatenate([np.zeros(0, np.uint8), *parts])
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype("<i8")
    return Packed("ragged" if ragged and len(truth) else "json", values, offsets)


def unpack(packed: Packed) -> Array:
    """The array of objects (n,) that was packed.

    Raises:
        ValueError: If the offsets are not those of the values, or a text is not JSON.
    """
    values, offsets = packed.values, np.asarray(packed.offsets)
    fitting = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 0
    # Compared as they are: offsets of uint64 would wrap in int64.
    if not fitting or offsets[0] != 0 or offsets[-1] != len(values) or (offsets[1:] < offsets[:-1]).any():
        raise ValueError("the offsets of the labels are not those of their values")
    parts = [values[start:stop] for start, stop in pairwise(offsets)]
    if packed.kind == "ragged":
        return objects([np.asarray(part) for part in parts])
    return objects([json.loads(bytes(np.asarray(part))) for part in parts])


def rectangular(values: list[Any]) -> Array | None:
    """Values of JSON as arrays: (n, …) if all have one shape, else objects (n,) of arrays (k, …); None if neither.

    Lists of numbers of one depth become arrays; an empty list has the shape of the others with no row. Integers become
    int64, and if any value is not an integer, all become float64.
    """
    arrays = [_numbers(value) for value in values]
    filled = [array for array in arrays if array is not None and array.size]
    if not filled or any(array is None for array in arrays):
        return None
    inner, depth = filled[0].shape[1:], filled[0].ndim
    dtype = np.float64 if any(array.dtype.kind == "f" for array in filled) else np.int64
    alike: list[Array] = []
    for array in arrays:
        empty = array is not None and array.shape == (0,) and depth > 0
        if array is None or not (empty or (array.ndim == depth and array.shape[1:] == inner)):
            return None
        alike.append(array.astype(dtype).reshape((0, *inner) if empty else array.shape))
    if len({array.shape for array in alike}) > 1:
        return objects(alike)
    stacked: Array = np.stack(alike)
    return stacked


def _numbers(value: Any) -> Array | None:
    """A value of JSON as an array of numbers; None if it is none, or its lists differ in length.

    An integer beyond int64 stays a value of JSON, because as int64 it would wrap.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.dtype.kind in "bif" else None
