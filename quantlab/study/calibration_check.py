"""Compares the calibration samples with the scored samples, before anything is converted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.names import counted, shortened
from quantlab.npy import mapped
from quantlab.samples import named
from quantlab.statistics import InputSums, OutsideSums, blocks, extreme_samples, overlap
from quantlab.types import CalibrationCheck, CalibrationOutliers, InputRange, SampleSet, Variant

__all__ = [
    "CALIBRATED",
    "check_calibration",
    "stretching_samples",
    "told_of_calibration",
    "told_of_recorded",
    "with_recorded",
]

CALIBRATED, SCORED = "calibration", "scored"
"""Names of the two sets of samples in `InputRange.of`."""

_MOST_CHANNELS = 16
"""Most channels that get a row each."""

_FEWEST = 20
"""Fewest calibration samples of which a few can be outliers."""

_FEW = 0.01
"""Largest share of the calibration samples that counts as few; at least one sample may be."""

_LEAST_COVERED = 0.5
"""Share of the range of the scored samples that the calibration must cover, unless next to no value lies outside."""

_MOST_OUTSIDE = 0.01
"""Largest share of values outside the calibration of which nothing is said."""

_NARROW = 1 / 8
"""Share of the range of the calibration below which the scored samples use three of eight bits less."""

_NAMED = 3

Array = npt.NDArray[Any]
_Ends = tuple[float, float]


def check_calibration(calibration: SampleSet, scored: SampleSet) -> CalibrationCheck:
    """The ranges of every input in both sets of samples, and calibration samples that stretch a range."""
    ranges: list[InputRange] = []
    outliers: list[CalibrationOutliers] = []
    for spec in scored.inputs:
        sets = [_values(samples, spec.name) for samples in (calibration, scored)]
        if any(not values.size or values.dtype.kind not in "iuf" for values in sets):
            continue
        sums = [sum((InputSums.of(values[rows]) for rows in blocks(values)), InputSums()) for values in sets]
        ranges += _ranges(spec.name, sums[0], sums[1], sets[1])
        stretched = _outliers(spec.name, sums[0], calibration)
        outliers += [] if stretched is None else [stretched]
    return CalibrationCheck(tuple(ranges), tuple(outliers))


def stretching_samples(calibration: SampleSet) -> list[str]:
    """Sentences about calibration samples that stretch a range, if nothing is scored."""
    return [*map(_stretched, check_calibration(calibration, calibration).outliers)]


def with_recorded(
    check: CalibrationCheck | None, variants: Sequence[Variant], scored: SampleSet
) -> CalibrationCheck | None:
    """Add the ranges that the codes of each variant's inputs can hold.

    Args:
        check: The ranges of the samples; None if no setting was calibrated. Then the calibration is not known, as that
            of a file of the user.
        variants: Each variant of the study once.
        scored: The scored samples.

    Returns:
        None if no setting was calibrated, and no variant takes codes.
    """
    if not any(port.codes is not None for variant in variants for port in variant.inputs):
        return check
    check = CalibrationCheck(_of_scored(scored)) if check is None else check
    known = {row.input: row for row in check.ranges if row.of == SCORED and row.channel is None}
    added = []
    for variant in variants:
        for port in variant.inputs:
            if port.codes is None or port.name not in known:
                continue
            codes = port.codes
            ends = (
                (codes.lowest - codes.zero_point) * codes.scale + codes.offset,
                (codes.highest - codes.zero_point) * codes.scale + codes.offset,
            )
            half = abs(codes.scale) / 2  # a value within half a step of the last code is rounded to it
            outside = _outside(_values(scored, port.name), (min(ends) - half, max(ends) + half))
            row = InputRange(port.name, variant.name, None, min(ends), max(ends), None, None)
            added.append(
                replace(row, covered=overlap((min(ends), max(ends)), _ends(known[port.name])), outside=outside)
            )
    return replace(check, ranges=(*check.ranges, *added))


def told_of_recorded(check: CalibrationCheck | None) -> list[str]:
    """Sentences about variants whose inputs take codes for another range than that of the scored samples.

    Not about inputs whose calibration samples have another range, too, of which `told_of_calibration` tells.
    """
    if check is None:
        return []
    whole = [row for row in check.ranges if row.channel is None]
    known = {row.input: row for row in whole if row.of == SCORED}
    told = {row.input for row in whole if row.of == CALIBRATED and _clips(row)}
    return [
        f"the input '{row.input}' of {row.of} takes codes for {_range(row)}, and the scored samples are "
        f"{_range(known[row.input])}: {_percent(row.outside or 0.0)} of their values are clipped; feed samples that "
        f"are preprocessed as those that the file was calibrated on"
        for row in whole
        if row.of not in {CALIBRATED, SCORED} and row.input not in told and _clips(row)
    ]


def _clips(row: InputRange) -> bool:
    return (row.covered or 0.0) < _LEAST_COVERED and (row.outside or 0.0) >= _MOST_OUTSIDE


def told_of_calibration(check: CalibrationCheck) -> list[str]:
    """Sentences about calibration samples that do not suit the scored ones; none if they do."""
    scored = {row.input: row for row in check.ranges if row.of == SCORED and row.channel is None}
    stretched = {one.input for one in check.outliers}
    sentences: list[str] = []
    for row in check.ranges:
        if row.of == CALIBRATED and row.channel is None and row.input in scored:
            sentences += _told(row, scored[row.input], stretched=row.input in stretched)
    return [*sentences, *map(_stretched, check.outliers)]


def _values(samples: SampleSet, name: str) -> Array:
    values: Array = mapped(samples.input_file(name))
    return values


def _of_scored(scored: SampleSet) -> tuple[InputRange, ...]:
    """The range of each input in the scored samples alone."""
    rows = []
    for spec in scored.inputs:
        values = _values(scored, spec.name)
        if values.size and values.dtype.kind in "iuf":
            sums = sum((InputSums.of(values[part]) for part in blocks(values)), InputSums())
            rows.append(InputRange(spec.name, SCORED, None, sums.minimum, sums.maximum, sums.mean, sums.n))
    return tuple(rows)


def _ranges(name: str, calibration: InputSums, scored: InputSums, values: Array) -> Iterator[InputRange]:
    """The rows of one input: of all values, then of each channel."""
    ends = (calibration.minimum, calibration.maximum)
    own = (scored.minimum, scored.maximum)
    yield InputRange(
        name,
        CALIBRATED,
        None,
        *ends,
        calibration.mean,
        calibration.n,
        covered=overlap(ends, own),
        outside=_outside(values, ends),
        moved=calibration.moved(),
    )
    yield InputRange(name, SCORED, None, *own, scored.mean, scored.n)
    channels = len(scored.channel_sum)
    if not 2 <= channels <= _MOST_CHANNELS or channels != len(calibration.channel_sum):
        return
    for channel in range(channels):
        pair = [
            (float(sums.channel_minimum[channel]), float(sums.channel_maximum[channel]))
            for sums in (calibration, scored)
        ]
        means = [float(sums.channel_mean[channel]) for sums in (calibration, scored)]
        yield InputRange(
            name, CALIBRATED, channel, *pair[0], means[0], calibration.n, covered=overlap(pair[0], pair[1])
        )
        yield InputRange(name, SCORED, channel, *pair[1], means[1], scored.n)


def _outside(values: Array, ends: _Ends) -> float:
    return sum((OutsideSums.of(values[rows], *ends) for rows in blocks(values)), OutsideSums()).share


def _outliers(name: str, sums: InputSums, calibration: SampleSet) -> CalibrationOutliers | None:
    if sums.n < _FEWEST:
        return None
    rows = extreme_samples(sums, max(1, int(_FEW * sums.n)))
    if not rows.size:
        return None
    others = np.delete(np.arange(sums.n), rows)
    return CalibrationOutliers(
        input=name,
        samples=tuple(named(calibration, int(row)) for row in rows),
        minimum=sums.minimum,
        maximum=sums.maximum,
        usual_minimum=float(sums.sample_minimum[others].min()),
        usual_maximum=float(sums.sample_maximum[others].max()),
    )


def _ends(row: InputRange) -> _Ends:
    return row.minimum, row.maximum


def _told(calibration: InputRange, scored: InputRange, *, stretched: bool) -> Iterator[str]:
    """What the ranges of one input tell; that few samples stretch one has a sentence of its own."""
    both = (
        f"the input '{calibration.input}' is {_range(calibration)} in the calibration samples and {_range(scored)} in "
        f"the scored samples"
    )
    covered, outside = calibration.covered or 0.0, calibration.outside or 0.0
    if _clips(calibration):
        yield (
            f"the calibration covers {_percent(covered)} of the range of the data: {both}, of which "
            f"{_percent(outside)} of the values lie outside and are clipped by static quantization; preprocess both "
            f"alike"
        )
    elif not stretched and (used := overlap(_ends(scored), _ends(calibration))) < _NARROW:
        yield (
            f"the data use {_percent(used)} of the range of the calibration: {both}, so static quantization leaves few "
            f"steps to them; preprocess both alike, or calibrate on samples like those that are scored"
        )


def _stretched(outliers: CalibrationOutliers) -> str:
    count = len(outliers.samples)
    one = count == 1
    return (
        f"{counted(count, 'calibration sample')} {'stretches' if one else 'stretch'} the range of the input "
        f"'{outliers.input}' from {outliers.usual_minimum:.4g}…{outliers.usual_maximum:.4g} to "
        f"{outliers.minimum:.4g}…{outliers.maximum:.4g}: {shortened(outliers.samples, most=_NAMED)}; remove "
        f"{'it' if one else 'them'} if such values are no real ones, because every step of static quantization becomes "
        f"as much larger"
    )


def _range(row: InputRange) -> str:
    return f"{row.minimum:.4g}…{row.maximum:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
