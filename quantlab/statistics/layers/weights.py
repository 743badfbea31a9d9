"""Error of a variant's stored weights against the float32 artifact of the same format; nothing is executed.

Rules for the figures of a `WeightRow` in special cases:

- Float weights are compared after decoding, as the runtime uses them. Integers without a scale (shapes, axes, indices),
  booleans and strings must be equal: only `different` is counted, and the other figures are None.
- NaN or infinity on either side makes the errors infinite and the SQNR −∞, as in `TensorError`.
- All zeros without an error give ∞ dB; an error on all zeros gives −∞ dB. A scalar is a tensor of one element.
- A weight without elements has a reason and no figures. So has a weight that could not be aligned or read, and a weight
  of the float32 artifact that the variant does not contain.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.tensors import TensorError
from quantlab.types import StoredWeight, WeightRow

__all__ = ["compare_weights", "list_weights"]

Array = NDArray[Any]

_CLIPPED_STEPS = 0.5 + 1e-6
"""Rounding changes a value by at most half a step, and by exactly half if a symmetric range is shifted onto zero; the
rest allows for float64 rounding."""

_FLOAT16_LIMIT = 65504 + 16
"""Largest value of float16 plus half of its last step; larger values become infinite (tfjs) or 65504 (TFLite)."""

_MIDDLE = (0.1, 99.9)
"""Percentiles that bound the middle 99.8 % of the values."""

_WIDEST_FITTED_BITS = 16
"""Widest codes whose scale is fitted to values; wider ones (biases) use a product of other scales."""


def compare_weights(
    setting: str,
    candidates: Iterable[StoredWeight],
    float32: Iterable[StoredWeight],
    layers: Mapping[str, str] | None = None,
) -> tuple[WeightRow, ...]:
    """One row for each weight of a variant, and for each float32 weight that the variant does not contain.

    Weights are aligned by their keys. A weight whose keys do not occur in the float32 artifact is aligned by its
    `lasting_name`, if that weight of the float32 artifact is not aligned otherwise. A weight that replaces several
    float32 weights (two constants with the same codes) has one row for each; only the first counts the bytes.

    Args:
        setting: Name of the setting, for the rows.
        candidates: Weights of the variant; read once, one at a time.
        float32: Weights of the float32 artifact of the same format.
        layers: Tap of the float32 artifact → path of the reference's layer; without it rows name no layer.
    """
    originals = tuple(float32)
    layer_of = {original.name: (layers or {}).get(original.feeds, "") for original in originals}
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
    made = (*(row for group in rows for row in group), *(_missing(setting, original) for original in left))
    return tuple(replace(row, layer=layer_of.get(row.counterpart or "", "")) for row in made)


def list_weights(
    setting: str, weights: Iterable[StoredWeight], reason: str, layers: Mapping[str, str] | None = None
) -> tuple[WeightRow, ...]:
    """A row for each weight of a variant that is compared with nothing.

    Args:
        setting: Name of the setting, for the rows.
        weights: Weights of the variant; read once, one at a time.
        reason: Why they are not compared, for the rows.
        layers: Tap of the variant → path of the reference's layer; without it rows name no layer.
    """
    return tuple(
        replace(_listed(setting, weight), reason=reason, layer=(layers or {}).get(weight.feeds, ""))
        for weight in weights
    )


def _aligned(setting: str, weight: StoredWeight, originals: Sequence[StoredWeight]) -> list[WeightRow]:
    """A row for each float32 weight that a weight replaces, or a single row with the reason why there is none."""
    row = _listed(setting, weight)
    if not originals:
        return [_compared(row, weight, None)]
    rows = [row, *(replace(row, size_bytes=0) for _ in originals[1:])]
    return [_compared(aligned, weight, original) for aligned, original in zip(rows, originals, strict=True)]


def _listed(setting: str, weight: StoredWeight) -> WeightRow:
    """The fields of a row that do not depend on the float32 weight."""
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
        largest=_largest(weight.values),
        used_by=_used_by(weight),
    )


def _missing(setting: str, original: StoredWeight) -> WeightRow:
    return WeightRow(
        setting=setting,
        tensor=original.name,
        counterpart=original.name,
        reason="not in this variant: folded or removed",
        shape=original.shape,
        dtype="",
        size_bytes=0,
        used_by=_used_by(original),
    )


def _used_by(weight: StoredWeight) -> str:
    return "; ".join(key for key in weight.keys if key != weight.name)


def _non_finite(values: Array) -> int:
    return values.size - int(np.count_nonzero(np.isfinite(values))) if values.dtype.kind == "f" else 0


def _largest(values: Array) -> float | None:
    """The largest finite |value|; None without numbers."""
    if values.dtype.kind not in "fiu" or not values.size:
        return None
    ends = [float(np.max(side, where=np.isfinite(side), initial=0)) for side in (values, -values.astype(np.float64))]
    return max(ends)


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
        channels=math.prod(weight.shape[axis] for axis in weight.channel_axes) if weight.channel_axes else 0,
        channel_spread=_channel_spread(original.values, weight.channel_axes),
        worst_channel=worst,
        worst_channel_sqnr_db=worst_sqnr_db,
        zeroed=_zeroed(original.values, weight.values),
        clipped=_clipped(original.values, weight),
        outlier_stretch=_outlier_stretch(original.values, weight),
    )


def _obstacle(weight: StoredWeight, original: StoredWeight | None) -> str | None:
    """The first reason why the two cannot be compared, or None."""
    if weight.reason is not None:
        return weight.reason
    if original is None and not (weight.keys or weight.lasting_name):
        return "it cannot be identified, because no op reads it"
    if original is None:
        return f"the float32 artifact contains no '{weight.lasting_name or weight.keys[0]}'"
    if original.reason is not None:
        return f"the float32 artifact's weight cannot be read: {original.reason}"
    return _mismatch(weight, original)


def _mismatch(weight: StoredWeight, original: StoredWeight) -> str | None:
    if weight.shape != original.shape:
        return f"its shape is {list(weight.shape)}, but {list(original.shape)} in the float32 artifact"
    if (weight.values.dtype.kind == "f") != (original.values.dtype.kind == "f"):
        return f"its values are {weight.values.dtype}, but {original.values.dtype} in the float32 artifact"
    return None if weight.values.size else "it has no elements"


def _error(original: Array, candidate: Array) -> TensorError:
    expected, actual = original.reshape(-1), candidate.reshape(-1)
    return sum((TensorError.of(expected[part], actual[part]) for part in blocks(expected)), TensorError())


def _worst_channel(original: Array, candidate: Array, axes: Sequence[int]) -> tuple[int | None, float | None]:
    """Channel with the lowest SQNR and its decibels; (None, ∞) without any error, (None, None) without channel axes."""
    if not axes:
        return None, None
    errors = _channel_errors(_by_channel(original, axes), _by_channel(candidate, axes))
    decibels = [error.sqnr_db for error in errors]
    worst = min(range(len(decibels)), key=decibels.__getitem__)
    return (None if decibels[worst] == math.inf else worst), decibels[worst]


def _channel_spread(values: Array, axes: Sequence[int]) -> float | None:
    """Ratio of the largest |value| of the largest channel to that of the smallest one that is not 0, or None."""
    if not axes:
        return None
    largest = np.abs(_by_channel(values, axes)).max(axis=0, initial=0)
    largest = largest[largest != 0]
    return float(largest.max() / largest.min()) if largest.size and np.isfinite(largest).all() else None


def _by_channel(values: Array, axes: Sequence[int]) -> Array:
    """Reshape to (rest, channels), where channels is the joint index of the axes; a view if they are the last axes."""
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    return moved.reshape(-1, math.prod(values.shape[axis] for axis in axes))


def _channel_errors(original: Array, candidate: Array) -> list[TensorError]:
    """For each column, the sums from which SQNR is computed."""
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
    """Share of nonzero values that became 0; None if all values are 0."""
    held = original != 0
    total = int(np.count_nonzero(held))
    return int(np.count_nonzero(held & (candidate == 0))) / total if total else None


def _clipped(original: Array, weight: StoredWeight) -> float | None:
    """Share of values more than half a step outside the range of the codes; NaN is not counted."""
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
    """Both ends of the code range, each with the sign of the direction outwards."""
    return (code_range[0], -1), (code_range[1], 1)


def _offsets(weight: StoredWeight) -> list[float]:
    """The value of code 0, for each scale."""
    if weight.minimum is not None:
        return [weight.minimum]
    return [-scale * zero for scale, zero in zip(weight.scales, weight.zero_points, strict=True)]


def _by_scale(values: Array, weight: StoredWeight) -> Array:
    """Reshape to two dimensions, with one row per scale."""
    if weight.channel_axis is None and len(weight.scales) > 1:
        return _by_channel(values, weight.channel_axes).T
    rows = values if weight.channel_axis is None else np.moveaxis(values, weight.channel_axis, 0)
    return rows.reshape(len(weight.scales), -1)


def _outlier_stretch(original: Array, weight: StoredWeight) -> float | None:
    """Full range divided by the range of the middle 99.8 %; the largest ratio over the scales.

    Percentiles are interpolated, so with fewer than a thousand values the ratio is near 1. Infinite if a value is not
    finite, or if the middle values are equal and others are not; 1 if all values are equal.
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
