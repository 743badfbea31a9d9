"""Summarizes weights one at a time, so that memory does not grow with the model."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.lint.subject import OCTAVES, Role, WeightFacts
from quantlab.types import StoredWeight

__all__ = ["facts_of", "facts_of_stored"]

Array = npt.NDArray[Any]

_HALF_LIMIT = float(np.finfo(np.float16).max)
_HALF_OVERFLOWS = (_HALF_LIMIT + 2.0**16) / 2
"""Half way from the largest float16 to the next power of two: from here on, rounding gives infinity."""
_MOST_VALUES = 4096
_INT32 = (np.iinfo(np.int32).min, np.iinfo(np.int32).max)


def facts_of(
    name: str, values: Array, axes: Sequence[int] = (), *, role: Role = "constant", owner: str = ""
) -> WeightFacts:
    """Summarize a weight of a model, which is stored as it is.

    Args:
        name: Its name.
        values: Any shape and data type.
        axes: The axes that together index the output channel; empty if there are none.
        role: What it does.
        owner: The layer or op that reads it.
    """
    facts: dict[str, Any] = {"name": name, "owner": owner, "role": role, "shape": values.shape}
    facts["dtype"] = "bfloat16" if values.dtype.kind == "V" else values.dtype.name
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        facts["beyond_int32"] = _beyond_int32(values)
    if values.dtype.kind == "f" and values.size:
        facts |= _of_floats(values, axes)
    return WeightFacts(**facts)


def facts_of_stored(weight: StoredWeight, role: Role, owner: str) -> WeightFacts:
    """Summarize a weight of an artifact: its decoded values, and how it is stored."""
    values = weight.values
    facts: dict[str, Any] = {"name": weight.name, "owner": owner, "role": role, "shape": weight.shape}
    facts |= {"dtype": weight.dtype, "scales": weight.scales, "zero_points": weight.zero_points}
    if weight.stored.dtype == np.int64 and weight.stored.size:
        facts["beyond_int32"] = _beyond_int32(weight.stored)
    if weight.scales and weight.stored.dtype == np.int32:
        facts["saturated"] = int(np.isin(weight.stored, _INT32).sum())
    if values.dtype.kind == "f" and values.size and weight.reason is None:
        facts |= _of_floats(values, weight.channel_axes)
        if weight.dtype == "float16":
            facts["at_half_limit"] = int((np.abs(values) == _HALF_LIMIT).sum())
    return WeightFacts(**facts)


def _beyond_int32(values: Array) -> int:
    return int(((values < _INT32[0]) | (values > _INT32[1])).sum())


def _of_floats(values: Array, axes: Sequence[int]) -> dict[str, Any]:
    finite = np.isfinite(values)
    nan = int(np.isnan(values).sum())
    kept = np.where(finite, values, 0).astype(np.float64)
    size = np.abs(kept)
    channels = _by_channel(kept, axes)
    inside = np.where(size < _HALF_OVERFLOWS, kept, 0)
    return {
        "nan": nan,
        "infinite": int(values.size - finite.sum()) - nan,
        "largest": float(size.max()),
        "beyond_half": int((size >= _HALF_OVERFLOWS).sum()),
        "half_error": _relative(inside - inside.astype(np.float16).astype(np.float64), inside),
        "quantile": _quantile(size.reshape(-1)),
        "low": tuple(channels.min(axis=1).tolist()),
        "high": tuple(channels.max(axis=1).tolist()),
        "rms": tuple(np.sqrt(np.square(channels).mean(axis=1)).tolist()),
        **_of_octaves(channels),
        "values": tuple(values.reshape(-1).tolist()) if _is_kept(values, finite) else (),
    }


def _is_kept(values: Array, finite: Array) -> bool:
    """Whether all values are kept: few, on one axis, and such that JSON has them."""
    return values.ndim <= 1 and values.size <= _MOST_VALUES and bool(finite.all())


def _by_channel(values: Array, axes: Sequence[int]) -> Array:
    """Rows of the values of each output channel; one row if the channel is unknown."""
    if not axes or values.ndim < 2:
        return values.reshape(1, -1)
    moved = np.moveaxis(values, axes, range(len(axes)))
    return moved.reshape(math.prod(moved.shape[: len(axes)]), -1)


def _of_octaves(channels: Array) -> dict[str, Any]:
    """Numbers and sums of squares of the values in each octave below the largest magnitude of their channel."""
    if len(channels) < 2:
        return {}
    size = np.abs(channels)
    largest = size.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.nan_to_num(-np.log2(size / largest), nan=OCTAVES, posinf=OCTAVES)  # zeros, and channels of zeros
    octave = np.minimum(below, OCTAVES - 1).astype(np.int64) + OCTAVES * np.arange(len(size))[:, None]
    energies = np.bincount(octave.reshape(-1), np.square(size).reshape(-1), OCTAVES * len(size))
    counts = np.bincount(octave.reshape(-1), minlength=OCTAVES * len(size))
    return {"counts": tuple(counts.tolist()), "energies": tuple(energies.tolist())}


def _relative(error: Array, values: Array) -> float:
    whole = float(np.square(values).sum())
    return math.sqrt(float(np.square(error).sum()) / whole) if whole else 0.0


_NEGLIGIBLE = 1e-3
"""Share of the quantile below which a value is negligible: those of dead channels would count as values otherwise."""


def _quantile(size: Array) -> float:
    """The magnitude that the largest value in a thousand exceeds, at least one of them; 0 for a single value.

    It is computed twice, the second time without negligible values: most values of a trained kernel may be dead.
    """
    first = _largest_but(size)
    return _largest_but(size[size >= _NEGLIGIBLE * first])


def _largest_but(size: Array) -> float:
    if size.size < 2:
        return 0.0
    place = size.size - 1 - max(1, size.size // 1000)
    return float(np.partition(size, place)[place])
