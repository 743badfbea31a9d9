"""How far the stored weights of a variant stray from those of the same format's float32 artifact; nothing is run.

Rules at the edges, for every figure of a `WeightRow`:

- Weights of floats are compared as the runtime has them after decoding. Integers without a scale (shapes, axes,
  indices), booleans and strings have to be the same: `different` is counted, and the other figures are None.
- NaN and infinity on either side spoil the errors, as `TensorError` says: infinite, and −∞ dB.
- All zeros without an error are ∞ dB; an error on all zeros is −∞ dB. A scalar is a tensor of one element.
- Without elements there is a reason and no figure. What could not be aligned or read is a row with a reason as well,
  and so is a weight of the float32 artifact that the variant does not have.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.tensors import TensorError
from quantlab.types import StoredWeight, WeightRow

__all__ = ["compare_weights"]

Array = NDArray[Any]

_CLIPPED_STEPS = 0.5 + 1e-6
"""Rounding moves a value by half a step, and by exactly that where a symmetric range is nudged onto zero; the rest is
what float64 makes of it."""

_FLOAT16_LIMIT = 65504 + 16
"""float16's largest value and half of its last step; what lies beyond becomes infinite (tfjs) or 65504 (TFLite)."""

_MIDDLE = (0.1, 99.9)
"""Percentiles that the middle 99.8 % lie between."""

_WIDEST_FITTED_BITS = 16
"""Scales of wider codes (biases) are products of other scales, and no outlier stretches them."""


def compare_weights(
    setting: str, candidates: Iterable[StoredWeight], float32: Iterable[StoredWeight]
) -> tuple[WeightRow, ...]:
    """Make a row of every weight of a variant, and of every float32 weight that the variant has not.

    Weights are aligned by their keys; one whose keys the float32 artifact has not is aligned by its lasting name, with
    what no other has the keys of. Where one stands for several of the float32 artifact, as two constants that became
    the same codes, it has a row for each, and the first counts the bytes.

    Args:
        setting: Its name, for the rows.
        candidates: Of the variant, read once and one at a time.
        float32: Of the float32 artifact of the same format.
    """
    originals = tuple(float32)
    known = {key: place for place, original in enumerate(originals) for key in original.keys}
    named = {original.lasting_name: place for place, original in enumerate(originals) if original.lasting_name}
    rows: list[list[WeightRow]] = []
    unplaced: list[tuple[int, int, StoredWeight]] = []
    met = set[int]()
    for weight in candidates:
        places = dict.fromkeys(known[key] for key in weight.keys if key in known)
        met.update(places)
        if not places and weight.lasting_name in named:
            unplaced.append((len(rows), named[weight.lasting_name], weight))
        rows.append(_aligned(setting, weight, [originals[place] for place in places]))
    for row, place, weight in unplaced:
        if place not in met:
            met.add(place)
            rows[row] = _aligned(setting, weight, [originals[place]])
    left = [original for place, original in enumerate(originals) if place not in met]
    return (*(row for group in rows for row in group), *(_missing(setting, original) for original in left))


def _aligned(setting: str, weight: StoredWeight, originals: Sequence[StoredWeight]) -> list[WeightRow]:
    """A row for each weight of the float32 artifact that a weight stands for, or one that says why there is none."""
    row = _listed(setting, weight)
    if not originals:
        return [_compared(row, weight, None)]
    rows = [row, *(replace(row, size_bytes=0) for _ in originals[1:])]
    return [_compared(aligned, weight, original) for aligned, original in zip(rows, originals, strict=True)]


def _listed(setting: str, weight: StoredWeight) -> WeightRow:
    """What can be said of a weight by itself."""
    return WeightRow(
        setting=setting,
        tensor=weight.name,
        counterpart=None,
        reason=None,
        shape=weight.shape,
        dtype=weight.dtype,
        size_bytes=weight.size_bytes,
        scale=max(weight.scales, default=None),
        scales=len(weight.scales),
        channel_axis=weight.channel_axis,
        minimum_or_zero=weight.minimum if weight.minimum is not None else next(map(float, weight.zero_points), None),
        non_finite=_non_finite(weight.values),
        used_by=_used_by(weight),
    )


def _missing(setting: str, original: StoredWeight) -> WeightRow:
    return WeightRow(
        setting=setting,
        tensor=original.name,
        counterpart=original.name,
        reason="folded or removed in this variant",
        shape=original.shape,
        dtype="",
        size_bytes=0,
        used_by=_used_by(original),
    )


def _used_by(weight: StoredWeight) -> str:
    return "; ".join(key for key in weight.keys if key != weight.name)


def _non_finite(values: Array) -> int:
    return values.size - int(np.count_nonzero(np.isfinite(values))) if values.dtype.kind == "f" else 0


def _compared(row: WeightRow, weight: StoredWeight, original: StoredWeight | None) -> WeightRow:
    row = replace(row, counterpart=original.name if original else None, reason=_obstacle(weight, original))
    if original is None or row.reason is not None:
        return row
    if weight.values.dtype.kind != "f":
        return replace(row, different=int(np.count_nonzero(weight.values != original.values)))
    error = _error(original.values, weight.values)
    worst, worst_sqnr_db = _worst_channel(original.values, weight.values, weight.channel_axes)
    return replace(
        row,
        different=error.different,
        mean_abs=error.mean_abs,
        max_abs=error.max_abs,
        rms=error.rms,
        sqnr_db=error.sqnr_db,
        worst_channel=worst,
        worst_channel_sqnr_db=worst_sqnr_db,
        zeroed=_zeroed(original.values, weight.values),
        clipped=_clipped(original.values, weight),
        outlier_stretch=_outlier_stretch(original.values, weight),
    )


def _obstacle(weight: StoredWeight, original: StoredWeight | None) -> str | None:
    """Why the two cannot be compared, the first reason of several."""
    if weight.reason is not None:
        return weight.reason
    if original is None and not (weight.keys or weight.lasting_name):
        return "no op reads it, so nothing tells which weight it is"
    if original is None:
        return f"the float32 artifact has no '{weight.lasting_name or weight.keys[0]}'"
    if original.reason is not None:
        return f"the float32 artifact's cannot be read: {original.reason}"
    return _mismatch(weight, original)


def _mismatch(weight: StoredWeight, original: StoredWeight) -> str | None:
    if weight.shape != original.shape:
        return f"its shape is {list(weight.shape)} and the float32 artifact's {list(original.shape)}"
    if (weight.values.dtype.kind == "f") != (original.values.dtype.kind == "f"):
        return f"it holds {weight.values.dtype} and the float32 artifact's {original.values.dtype}"
    return None if weight.values.size else "it has no elements"


def _error(original: Array, candidate: Array) -> TensorError:
    expected, actual = original.reshape(-1), candidate.reshape(-1)
    return sum((TensorError.of(expected[part], actual[part]) for part in blocks(expected)), TensorError())


def _worst_channel(original: Array, candidate: Array, axes: Sequence[int]) -> tuple[int | None, float | None]:
    """The channel with the least SQNR, None where none has an error, and its decibels, None where there are no axes."""
    if not axes:
        return None, None
    errors = _channel_errors(_by_channel(original, axes), _by_channel(candidate, axes))
    decibels = [error.sqnr_db for error in errors]
    worst = min(range(len(decibels)), key=decibels.__getitem__)
    return (None if decibels[worst] == math.inf else worst), decibels[worst]


def _by_channel(values: Array, axes: Sequence[int]) -> Array:
    """Two dimensions, the second the joint index of the axes; a view where they are the last."""
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    return moved.reshape(-1, math.prod(values.shape[axis] for axis in axes))


def _channel_errors(original: Array, candidate: Array) -> list[TensorError]:
    """Of each column, what SQNR is made of."""
    squares = np.zeros((3, original.shape[1]))
    non_finite = np.zeros(original.shape[1], np.int64)
    for part in blocks(original):
        expected, actual = original[part].astype(np.float64), candidate[part].astype(np.float64)
        spoiled = ~(np.isfinite(expected) & np.isfinite(actual))
        expected[spoiled] = actual[spoiled] = 0
        non_finite += spoiled.sum(axis=0)
        squares += [np.einsum("ij,ij->j", values, values) for values in (actual - expected, expected, actual)]
    return [
        TensorError(
            count=len(original),
            non_finite=int(spoiled),
            sum_square_error=float(error),
            sum_square_reference=float(reference),
            sum_square_candidate=float(actual),
        )
        for spoiled, error, reference, actual in zip(non_finite, *squares, strict=True)
    ]


def _zeroed(original: Array, candidate: Array) -> float | None:
    """Share of the values other than 0 that became 0; None where all are 0."""
    held = original != 0
    total = int(np.count_nonzero(held))
    return int(np.count_nonzero(held & (candidate == 0))) / total if total else None


def _clipped(original: Array, weight: StoredWeight) -> float | None:
    """Share of the values that lie more than half a step outside of what the codes stand for; NaN lies nowhere."""
    if weight.dtype == np.dtype(np.float16).name:
        return int(np.count_nonzero(np.abs(original) > _FLOAT16_LIMIT)) / original.size
    if weight.code_range is None:
        return None
    beyond = 0
    for values, scale, offset in zip(_by_scale(original, weight), weight.scales, _offsets(weight), strict=True):
        lowest, highest = (scale * (code + sign * _CLIPPED_STEPS) + offset for code, sign in _ends(weight.code_range))
        for part in blocks(values):
            block = values[part].astype(np.float64)
            beyond += int(np.count_nonzero((block < lowest) | (block > highest)))
    return beyond / original.size


def _ends(code_range: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Each end of the range, and which way is out."""
    return (code_range[0], -1), (code_range[1], 1)


def _offsets(weight: StoredWeight) -> list[float]:
    """The value of code 0, for each scale."""
    if weight.minimum is not None:
        return [weight.minimum]
    return [-scale * zero for scale, zero in zip(weight.scales, weight.zero_points, strict=True)]


def _by_scale(values: Array, weight: StoredWeight) -> Array:
    """Two dimensions, a row for each scale."""
    rows = values if weight.channel_axis is None else np.moveaxis(values, weight.channel_axis, 0)
    return rows.reshape(len(weight.scales), -1)


def _outlier_stretch(original: Array, weight: StoredWeight) -> float | None:
    """Range over the range of the middle 99.8 %, of the scale where it is the largest.

    Percentiles are interpolated, so that under a thousand values it comes out near 1. Infinite where a value is not
    finite, or where the middle is one value and the whole is not; 1 where all values are equal.
    """
    if weight.code_range is None or 8 * weight.stored.itemsize > _WIDEST_FITTED_BITS:
        return None
    if _non_finite(original):
        return math.inf
    rows = _by_scale(original, weight)
    whole = np.ptp(rows.astype(np.float64, copy=False), axis=1)
    low, high = np.percentile(rows, _MIDDLE, axis=1)
    middle = high.astype(np.float64) - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(whole == 0, 1.0, whole / middle).max())
