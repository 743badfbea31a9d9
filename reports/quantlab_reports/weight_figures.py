"""Histograms of weights: how the float32 values lie, and which values an artifact can store.

The artifacts of the study are read with the readers of their formats. Nothing is run.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.types import StoredWeight, Variant, WeightRow
from quantlab_reports.subject import Subject

__all__ = ["BINS", "CELLS", "Histogram", "WeightFigure", "WeightFigures", "weight_figures"]

BINS = 48
"""Of a histogram."""
CELLS = 256
"""Parts of the axis; a part is marked if a stored value lies in it."""
_HEIGHTS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MOST_VALUES = 200_000
"""Values that a histogram counts; of larger weights, evenly spaced ones."""
_MOST_BYTES = 200_000_000
"""Size of artifacts that are read: larger ones would take longer than a report may."""
_LARGE = "The weights are not drawn, because they have more than 200 MB; 'quantlab show weights' has the figures."
_GONE = "The weights are not drawn, because there is no float32 artifact of the same format."
_MISSING = "The weights are not drawn, because the artifact of {} is gone; run 'quantlab analyze' again."
_SMALL_ITEM = 1
"""Bytes of a stored code, for which different ones are few enough to be drawn."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Float32 weights, from the smallest to the largest finite one."""

    low: float
    high: float
    heights: str
    """A character for each of `BINS` bins: 0 is empty, `z` is as high as the highest one."""

    @classmethod
    def of(cls, values: Array, low: float, high: float) -> "Histogram":
        """The histogram of values; those beyond its ends are left out."""
        every = max(1, values.size // _MOST_VALUES)
        counts, _ = np.histogram(values.reshape(-1)[::every], BINS, (low, high))
        most = max(int(counts.max()), 1)
        scaled = np.ceil(counts / most * (len(_HEIGHTS) - 1)).astype(int)
        return cls(low, high, "".join(_HEIGHTS[height] for height in scaled))


@dataclass(frozen=True, slots=True)
class WeightFigure:
    """One weight of one setting: its float32 values and the stored ones."""

    row: WeightRow
    whole: Histogram
    worst: Histogram | None
    """The channel with the lowest SQNR on the same axis; None without channels."""
    cells: str
    """`CELLS` bits in hexadecimal digits, that of the smallest value first; empty if the values are not codes."""
    values: int
    """Number of different stored values; 0 if they are not codes."""
    of_channel: bool
    """Whether the stored values are those of the worst channel alone, because each channel has its own scale."""


@dataclass(frozen=True, slots=True)
class WeightFigures:
    """The figures of several settings, and why others have none."""

    figures: Mapping[str, Sequence[WeightFigure]]
    """Setting → a figure for each weight that was compared with float32."""
    absent: Mapping[str, str]
    """Setting → a sentence."""


_Name = tuple[str, tuple[int, ...]]
"""Name and shape of a weight: in a TFLite file, a kernel and its bias may have one name."""
_Rows = Mapping[_Name, WeightRow]


def weight_figures(subject: Subject, settings: Sequence[str]) -> WeightFigures:
    """Read the weights of some settings, and the float32 ones of their formats."""
    compared = _compared(subject, settings)
    variants = {trial.setting: trial.variant for trial in subject.study.trials if trial.variant is not None}
    originals = _originals(subject, variants, compared)
    figures: dict[str, Sequence[WeightFigure]] = {}
    absent: dict[str, str] = {}
    for setting, rows in compared.items():
        known = originals.get(variants[setting].format, _GONE) if setting in variants else _GONE
        if isinstance(known, str):
            absent[setting] = known
            continue
        if not variants[setting].path.exists():
            absent[setting] = _MISSING.format(setting)
            continue
        try:
            stored = ((one, rows.get((one.name, one.shape))) for one in _weights(subject, variants[setting]))
            figures[setting] = [_figure(one, row, known) for one, row in stored if row is not None]
        except (QuantlabError, OSError) as error:
            absent[setting] = f"The weights of {setting} cannot be drawn: {error}."
    return WeightFigures(figures, absent)


@dataclass(frozen=True, slots=True)
class _Original:
    """A float32 weight of a format."""

    whole: Histogram
    channels: Mapping[int, Histogram]
    """Channels that some setting stores worst."""


def _compared(subject: Subject, settings: Sequence[str]) -> dict[str, dict[_Name, WeightRow]]:
    found: dict[str, dict[_Name, WeightRow]] = {setting: {} for setting in settings}
    for row in subject.inside.weights if subject.inside else ():
        if row.setting in found and row.counterpart is not None and row.sqnr_db is not None and row.shape:
            found[row.setting][row.tensor, row.shape] = row
    return found


def _weights(subject: Subject, variant: Variant) -> Iterator[StoredWeight]:
    formats = subject.formats
    return formats[variant.format].weights(variant.path)


def _originals(
    subject: Subject, variants: Mapping[str, Variant], compared: Mapping[str, _Rows]
) -> dict[str, dict[_Name, _Original] | str]:
    """Format → its float32 weights, or a sentence that tells why they cannot be drawn."""
    wanted: dict[str, dict[_Name, set[int]]] = {}
    for setting, rows in compared.items():
        if setting in variants:
            channels = wanted.setdefault(variants[setting].format, {})
            for row in rows.values():
                worst = {} if row.worst_channel is None else {row.worst_channel}
                channels.setdefault((row.counterpart or "", row.shape), set()).update(worst)
    found: dict[str, dict[_Name, _Original] | str] = {}
    for name, weights in wanted.items():
        float32 = next((one for one in variants.values() if one.format == name and one.is_float32), None)
        if float32 is None or name not in subject.formats:
            continue
        if float32.size_bytes > _MOST_BYTES or not float32.path.exists():
            found[name] = _LARGE if float32.path.exists() else _MISSING.format(float32.name)
            continue
        try:
            read = ((one, weights.get((one.name, one.shape))) for one in _weights(subject, float32))
            found[name] = {(one.name, one.shape): _original(one, few) for one, few in read if few is not None}
        except (QuantlabError, OSError) as error:
            found[name] = f"The float32 weights cannot be drawn: {error}."
    return found


def _original(weight: StoredWeight, channels: Iterable[int]) -> _Original:
    values = np.asarray(weight.values)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    parts = {one: Histogram.of(_channel(values, weight, one), low, high) for one in channels if weight.channel_axes}
    return _Original(Histogram.of(values, low, high), parts)


def _channel(values: Array, weight: StoredWeight, channel: int) -> Array:
    """The values of one channel; the joint index of several axes counts the last one fastest."""
    axes = weight.channel_axes
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    return moved.reshape(-1, math.prod(weight.shape[axis] for axis in axes))[:, channel]


def _figure(weight: StoredWeight, row: WeightRow, originals: Mapping[_Name, _Original]) -> WeightFigure:
    original = originals[row.counterpart or "", row.shape]
    channel = row.worst_channel
    worst = None if channel is None else original.channels.get(channel)
    if not weight.scales or weight.stored.dtype.itemsize > _SMALL_ITEM:
        return WeightFigure(row, original.whole, worst, "", 0, of_channel=False)
    alone = len(weight.scales) > 1 and channel is not None and bool(weight.channel_axes)
    stored, values = np.asarray(weight.stored), np.asarray(weight.values)
    if alone and channel is not None:
        stored, values = _channel(stored, weight, channel), _channel(values, weight, channel)
    _, places = np.unique(stored, return_index=True)
    marked = np.zeros(CELLS, bool)
    parts = (values.reshape(-1)[places] - original.whole.low) / (original.whole.high - original.whole.low)
    within = parts[(parts >= 0) & (parts <= 1)]
    marked[np.minimum((within * CELLS).astype(int), CELLS - 1)] = True
    cells = np.packbits(marked).tobytes().hex()
    return WeightFigure(row, original.whole, worst, cells, len(places), of_channel=alone)
