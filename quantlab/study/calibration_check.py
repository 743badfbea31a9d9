"""Compares the calibration samples with the scored samples, before anything is converted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats import Format
from quantlab.names import counted, shortened
from quantlab.npy import mapped
from quantlab.samples import named
from quantlab.statistics import (
    InputSums,
    OutsideSums,
    RangeSums,
    bits_lost,
    blocks,
    few_that_stretch,
    halves_of,
    overlap,
    sample_ends,
)
from quantlab.types import CalibrationCheck, Port, SampleSet, TensorRange, Variant

__all__ = [
    "CALIBRATED",
    "SCORED",
    "check_calibration",
    "clips",
    "in_percent",
    "leaves_few_steps",
    "range_of",
    "stretching_samples",
    "suits_scored",
    "times_as_large",
    "told_of_calibration",
    "told_of_recorded",
    "with_input_codes",
    "with_recorded",
]

CALIBRATED, SCORED = "calibration", "scored"
"""Names of the two sets of samples in `TensorRange.of`."""

_MOST_CHANNELS = 16
"""Most channels that get a row each."""

_LEAST_COVERED = 0.5
"""Share of the range of the scored samples that another must cover, unless next to no value lies outside."""

_MOST_OUTSIDE = 0.01
"""Largest share of values outside a range of which nothing is said."""

_NARROW = 1 / 8
"""Share of the range of the calibration below which the scored samples use three of eight bits less."""

_FEW_STEPS = 32
"""Number of steps that are few: a range that uses fewer of 255 has lost three of eight bits."""

_NAMED = 3

Array = npt.NDArray[Any]
_Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Input:
    """One input in one set of samples."""

    values: Array
    sums: InputSums
    ranges: RangeSums


def check_calibration(calibration: SampleSet, scored: SampleSet, *, seed: int = 0) -> CalibrationCheck:
    """The ranges of every input in both sets of samples, and calibration samples that stretch a range.

    Args:
        calibration: The calibration samples.
        scored: The scored samples.
        seed: Of the random halves of the calibration samples.
    """
    ranges: list[TensorRange] = []
    for spec in scored.inputs:
        known, own = (_read(samples, spec.name, seed) for samples in (calibration, scored))
        if known is not None and own is not None:
            ranges += _ranges(spec.name, known, own, calibration)
    return CalibrationCheck(tuple(ranges), calibration.n)


def stretching_samples(calibration: SampleSet) -> list[str]:
    """Sentences about calibration samples that stretch a range, if nothing is scored."""
    return _told_of_stretched(check_calibration(calibration, calibration).ranges)


def with_input_codes(variant: Variant, formats: Mapping[str, Format]) -> Variant:
    """The variant whose inputs of floats have the codes that its first op makes of them."""
    try:
        recorded = formats[variant.format].recorded_inputs(variant.path)
    except ArtifactError:  # its row has the reason
        return variant
    return replace(variant, inputs=tuple(_with_codes(port, recorded) for port in variant.inputs))


def _with_codes(port: Port, recorded: Mapping[str, Any]) -> Port:
    return port if port.codes is not None else replace(port, codes=recorded.get(port.tensor))


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
    known = {row.tensor: row for row in check.ranges if row.of == SCORED and row.channel is None}
    ports = [(variant.name, port) for variant in variants for port in variant.inputs if port.name in known]
    added = (_recorded(name, port, known[port.name], scored) for name, port in ports if port.codes is not None)
    return replace(check, ranges=(*check.ranges, *added))


def _recorded(variant: str, port: Port, used: TensorRange, scored: SampleSet) -> TensorRange:
    if port.codes is None:
        raise ValueError(f"the input '{port.name}' of {variant} takes no codes")
    ends, step = port.codes.ends, abs(port.codes.scale)
    half = step / 2  # a value within half a step of the last code is rounded to it
    return TensorRange(
        port.name,
        variant,
        None,
        *ends,
        None,
        None,
        covered=overlap(ends, _ends(used)),
        outside=_outside(_values(scored, port.name), (ends[0] - half, ends[1] + half)),
        bits_lost=bits_lost(ends, _ends(used)),
        step=step,
    )


def told_of_recorded(check: CalibrationCheck | None) -> dict[str, list[str]]:
    """Sentences about variants whose inputs take codes for another range than that of the scored samples.

    Not about inputs whose calibration samples have another range, too, of which `told_of_calibration` tells.

    Returns:
        Name of a variant → its sentences; without variants that suit the samples.
    """
    if check is None:
        return {}
    whole = [row for row in check.ranges if row.channel is None and row.kind == "input"]
    known = {row.tensor: row for row in whole if row.of == SCORED}
    calibrated = [row for row in whole if row.of == CALIBRATED]
    told = {row.tensor for row in calibrated if clips(row) or row.stretched_by or _is_wide(row, known[row.tensor])}
    sentences: dict[str, list[str]] = {}
    for row in whole:
        if row.of not in {CALIBRATED, SCORED} and row.tensor not in told:
            sentences.setdefault(row.of, []).extend(_told_of_codes(row, known[row.tensor]))
    return {name: own for name, own in sentences.items() if own}


def _told_of_codes(row: TensorRange, used: TensorRange) -> Iterator[str]:
    both = (
        f"the input '{row.tensor}' of {row.of} takes codes for {range_of(row)}, and the scored samples are "
        f"{range_of(used)}"
    )
    if clips(row):
        yield (
            f"{both}: {in_percent(row.outside or 0.0)} of their values are clipped; feed samples that are preprocessed "
            f"as those that the file was calibrated on"
        )
    elif leaves_few_steps(row):
        yield (
            f"{both}: every step is {times_as_large(row.bits_lost or 0.0)}; feed samples that are preprocessed as "
            f"those that the file was calibrated on"
        )


def clips(row: TensorRange) -> bool:
    """Whether a range is much narrower than that of the scored samples, so that many values are clipped."""
    return (row.covered or 0.0) < _LEAST_COVERED and (row.outside or 0.0) >= _MOST_OUTSIDE


def leaves_few_steps(row: TensorRange) -> bool:
    """Whether the range of codes is so much wider than that of the scored samples that few steps are left to them."""
    if row.step is None or row.bits_lost is None or row.bits_lost < -np.log2(_NARROW):
        return False
    width = max(row.maximum, 0.0) - min(row.minimum, 0.0)
    return bool(width / row.step < _FEW_STEPS * 2**row.bits_lost)


def times_as_large(bits: float) -> str:
    """How much larger a step is, in words.

    >>> times_as_large(3.0)
    '8 times as large as it need be (3 bits are lost)'
    """
    return f"{2**bits:,.3g} times as large as it need be ({bits:.2g} bits are lost)"


def told_of_calibration(check: CalibrationCheck) -> list[str]:
    """Sentences about calibration samples that do not suit the scored ones; none if they do."""
    return [*_told_of_inputs(check), *_told_of_stretched(check.ranges)]


def suits_scored(check: CalibrationCheck) -> bool:
    """Whether every input has about the same range in the calibration samples as in the scored ones.

    Single calibration samples that stretch a range are left out: they may be right, and all others suit.
    """
    return not any(_told_of_inputs(check))


def _told_of_inputs(check: CalibrationCheck) -> Iterator[str]:
    whole = [row for row in check.ranges if row.channel is None and row.kind == "input"]
    scored = {row.tensor: row for row in whole if row.of == SCORED}
    for row in whole:
        if row.of == CALIBRATED and row.tensor in scored:
            yield from _told(row, scored[row.tensor])


def _values(samples: SampleSet, name: str) -> Array:
    values: Array = mapped(samples.input_file(name))
    return values


def _read(samples: SampleSet, name: str, seed: int) -> _Input | None:
    """One input in one set of samples; None if it holds no numbers."""
    values = _values(samples, name)
    if not values.size or values.dtype.kind not in "iuf":
        return None
    sums, ranges, second = InputSums(), RangeSums(), halves_of(len(values), seed=seed)
    for rows in blocks(values):
        sums += InputSums.of(values[rows])
        ranges += RangeSums.of(*sample_ends(values[rows]), start=rows.start, second=second[rows])
    return _Input(values, sums, ranges)


def _of_scored(scored: SampleSet) -> tuple[TensorRange, ...]:
    """The range of each input in the scored samples alone."""
    read = ((spec.name, _read(scored, spec.name, 0)) for spec in scored.inputs)
    return tuple(
        TensorRange(name, SCORED, None, one.sums.minimum, one.sums.maximum, one.sums.mean, one.sums.n)
        for name, one in read
        if one is not None
    )


def _ranges(name: str, known: _Input, scored: _Input, calibration: SampleSet) -> Iterator[TensorRange]:
    """The rows of one input: of all values, then of each channel."""
    ends, own = ((one.sums.minimum, one.sums.maximum) for one in (known, scored))
    row = TensorRange(
        name,
        CALIBRATED,
        None,
        *ends,
        known.sums.mean,
        known.sums.n,
        covered=overlap(ends, own),
        outside=_outside(scored.values, ends),
        moved=known.ranges.moved,
        bits_lost=bits_lost(ends, own),
    )
    yield _with_outliers(row, known.ranges, calibration)
    yield TensorRange(name, SCORED, None, *own, scored.sums.mean, scored.sums.n)
    yield from _channels(name, known.sums, scored.sums)


def _channels(name: str, calibration: InputSums, scored: InputSums) -> Iterator[TensorRange]:
    channels = len(scored.channel_sum)
    if not 2 <= channels <= _MOST_CHANNELS or channels != len(calibration.channel_sum):
        return
    for channel in range(channels):
        pair = [
            (float(sums.channel_minimum[channel]), float(sums.channel_maximum[channel]))
            for sums in (calibration, scored)
        ]
        means = [float(sums.channel_mean[channel]) for sums in (calibration, scored)]
        yield TensorRange(
            name, CALIBRATED, channel, *pair[0], means[0], calibration.n, covered=overlap(pair[0], pair[1])
        )
        yield TensorRange(name, SCORED, channel, *pair[1], means[1], scored.n)


def _outside(values: Array, ends: _Ends) -> float:
    return sum((OutsideSums.of(values[rows], *ends) for rows in blocks(values)), OutsideSums()).share


def _with_outliers(row: TensorRange, sums: RangeSums, calibration: SampleSet) -> TensorRange:
    stretch = few_that_stretch(sums)
    if stretch is None:
        return row
    samples = tuple(named(calibration, place) for place in stretch.rows)
    return replace(row, stretched_by=samples, usual_minimum=stretch.minimum, usual_maximum=stretch.maximum)


def _ends(row: TensorRange) -> _Ends:
    return row.minimum, row.maximum


def _is_wide(calibration: TensorRange, scored: TensorRange) -> bool:
    return overlap(_ends(scored), _ends(calibration)) < _NARROW


def _told(calibration: TensorRange, scored: TensorRange) -> Iterator[str]:
    """What the ranges of one input tell; that few samples stretch one has a sentence of its own."""
    both = (
        f"the input '{calibration.tensor}' is {range_of(calibration)} in the calibration samples and "
        f"{range_of(scored)} in the scored samples"
    )
    covered, outside = calibration.covered or 0.0, calibration.outside or 0.0
    if clips(calibration):
        yield (
            f"the calibration covers {in_percent(covered)} of the range of the data: {both}, of which "
            f"{in_percent(outside)} of the values lie outside and are clipped by static quantization; preprocess both "
            f"alike"
        )
    elif not calibration.stretched_by and _is_wide(calibration, scored):
        used = overlap(_ends(scored), _ends(calibration))
        yield (
            f"the data use {in_percent(used)} of the range of the calibration: {both}, so static quantization leaves "
            f"few steps to them; preprocess both alike, or calibrate on samples like those that are scored"
        )


def _told_of_stretched(ranges: Iterable[TensorRange]) -> list[str]:
    return [_stretched(row) for row in ranges if row.stretched_by and row.kind == "input"]


def _stretched(row: TensorRange) -> str:
    count = len(row.stretched_by)
    one = count == 1
    usual = (row.usual_minimum or 0.0, row.usual_maximum or 0.0)
    bits = bits_lost(_ends(row), usual)
    larger = "becomes as much larger" if bits is None else f"becomes {times_as_large(bits)}"
    return (
        f"{counted(count, 'calibration sample')} {'stretches' if one else 'stretch'} the range of the input "
        f"'{row.tensor}' from {usual[0]:.4g}…{usual[1]:.4g} to {range_of(row)}: "
        f"{shortened(row.stretched_by, most=_NAMED)}; remove {'it' if one else 'them'} if such values are no real "
        f"ones, because every step of static quantization {larger}"
    )


def range_of(row: TensorRange) -> str:
    """The ends of a range in words."""
    return f"{row.minimum:.4g}…{row.maximum:.4g}"


def in_percent(share: float) -> str:
    """A share in words.

    >>> in_percent(0.0039), in_percent(0.999)
    ('0.39 %', '100 %')
    """
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
