"""Compares ranges inside the model: of the calibration samples, of the scored samples, and those of artifacts.

The calibration samples are read where tensors that are not finite are sought (`non_finite.py`), the scored samples in
the comparison of layers. Nothing is run here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from quantlab.names import counted, shortened
from quantlab.samples import named
from quantlab.statistics import bits_lost, overlap
from quantlab.study.calibration_check import (
    CALIBRATED,
    SCORED,
    clips,
    in_percent,
    leaves_few_steps,
    range_of,
    times_as_large,
)
from quantlab.types import AGAINST_REFERENCE, CalibrationCheck, InnerRange, Inside, LayerRow, SampleSet, TensorRange

__all__ = ["told_inside", "told_inside_alone", "told_of_files", "with_inner", "with_layers"]

_NAMED = 3

_TOLD_BITS = 2.0
"""Bits that few calibration samples must cost, compared with the others and with the scored samples."""

_TOLD_BITS_ALONE = 3.0
"""The same if there are no scored samples to compare with."""


def with_inner(check: CalibrationCheck, inner: Sequence[InnerRange], calibration: SampleSet) -> CalibrationCheck:
    """Add the ranges of tensors inside the model in the calibration samples."""
    return replace(check, ranges=(*check.ranges, *(_of_inner(one, calibration) for one in inner)))


def _of_inner(one: InnerRange, calibration: SampleSet) -> TensorRange:
    return TensorRange(
        one.tensor,
        CALIBRATED,
        None,
        one.minimum,
        one.maximum,
        None,
        one.n,
        moved=one.moved,
        kind="inside",
        layer=one.layer,
        stretched_by=tuple(named(calibration, row) for row in one.stretched_by),
        usual_minimum=one.usual_minimum,
        usual_maximum=one.usual_maximum,
    )


def with_layers(check: CalibrationCheck | None, inside: Inside) -> CalibrationCheck | None:
    """Add what the scored samples reach inside the model, and what each variant recorded there.

    Args:
        check: The ranges so far; None if no setting was calibrated, and no variant takes codes.
        inside: The comparison of layers; of a variant that was read in several runtimes, the first counts.

    Returns:
        None if `check` is, and no variant recorded a range.
    """
    rows = [row for row in inside.layers if _is_compared(row)]
    recorded = [row for row in rows if row.recorded_step is not None]
    if check is None and not recorded:
        return None
    check = CalibrationCheck(()) if check is None else check
    inputs = tuple(row for row in check.ranges if row.kind == "input")
    calibrated = {row.tensor: row for row in check.ranges if row.kind == "inside"}
    reached = {row.reference: row for row in reversed(rows)}
    held: dict[str, list[TensorRange]] = {}
    for row in recorded:
        held.setdefault(row.reference, []).append(_held(row))
    # Tensors that the calibration samples were not read at come last, in order of execution.
    added: list[TensorRange] = []
    for name in dict.fromkeys([*calibrated, *(row.reference for row in recorded)]):
        added += _of_tensor(calibrated.get(name), reached.get(name), inside.samples)
        added += dict.fromkeys(held.get(name, ()))
    return replace(check, ranges=(*inputs, *added))


def _is_compared(row: LayerRow) -> bool:
    known = row.aligned and row.channel is None and row.baseline == AGAINST_REFERENCE and row.reference != ""
    return known and row.baseline_minimum is not None and row.baseline_maximum is not None


def _of_tensor(known: TensorRange | None, reached: LayerRow | None, samples: int) -> Iterator[TensorRange]:
    """The rows of the calibration samples and of the scored samples, as far as they are known."""
    used = None if reached is None else _used(reached)
    if reached is None or used is None:
        yield from () if known is None else (known,)
        return
    if known is not None:
        ends = (known.minimum, known.maximum)
        yield replace(known, layer=reached.layer, covered=overlap(ends, used), bits_lost=bits_lost(ends, used))
    yield TensorRange(reached.reference, SCORED, None, *used, None, samples, kind="inside", layer=reached.layer)


def _used(row: LayerRow) -> tuple[float, float]:
    return row.baseline_minimum or 0.0, row.baseline_maximum or 0.0


def _held(row: LayerRow) -> TensorRange:
    ends, used = (row.recorded_minimum or 0.0, row.recorded_maximum or 0.0), _used(row)
    return TensorRange(
        row.reference,
        row.setting,
        None,
        *ends,
        None,
        None,
        covered=overlap(ends, used),
        outside=row.clipped,
        kind="inside",
        layer=row.layer,
        bits_lost=bits_lost(ends, used),
        step=row.recorded_step,
    )


def told_inside(check: CalibrationCheck) -> list[str]:
    """A sentence about few calibration samples that stretch ranges inside the model, beyond what scored samples reach.

    Values of some tensors, such as those of an exponential function, are far apart by nature. Then the scored samples
    reach what a few calibration samples reach, and nothing is told. Neither is it of samples that stretch the range of
    an input, too, which have a sentence of their own.
    """
    return _told(check, lambda row: min(_stretch(row), row.bits_lost or 0.0) >= _TOLD_BITS)


def told_inside_alone(check: CalibrationCheck) -> list[str]:
    """The same if nothing is scored: only of ranges that are stretched so far that few steps are left to the others."""
    return _told(check, lambda row: _stretch(row) >= _TOLD_BITS_ALONE)


def _told(check: CalibrationCheck, matters: Callable[[TensorRange], bool]) -> list[str]:
    named_before = {name for row in check.ranges if row.kind == "input" for name in row.stretched_by}
    inner = [row for row in check.ranges if row.kind == "inside" and row.of == CALIBRATED]
    told = [row for row in inner if row.stretched_by and not named_before.issuperset(row.stretched_by) and matters(row)]
    if not told:
        return []
    worst = max(told, key=_stretch)
    samples = list(dict.fromkeys(name for row in sorted(told, key=_stretch, reverse=True) for name in row.stretched_by))
    usual = (worst.usual_minimum or 0.0, worst.usual_maximum or 0.0)
    bits = bits_lost((worst.minimum, worst.maximum), usual)
    larger = "" if bits is None else f", so every step there becomes {times_as_large(bits)}"
    stretch, them = ("stretches", "it") if len(samples) == 1 else ("stretch", "them")
    sentence = (
        f"{counted(len(samples), 'calibration sample')} {stretch} the ranges of {len(told)} of "
        f"{counted(len(inner), 'tensor')} inside the model: {shortened(samples, most=_NAMED)}; most that of "
        f"{_where(worst)}, from {usual[0]:.4g}…{usual[1]:.4g} to {range_of(worst)}{larger}; remove {them} if such "
        f"inputs are no real ones"
    )
    return [sentence]


def _stretch(row: TensorRange) -> float:
    """By how many bits few samples stretch a range; infinite if all others are 0."""
    bits = bits_lost((row.minimum, row.maximum), (row.usual_minimum or 0.0, row.usual_maximum or 0.0))
    return math.inf if bits is None else bits


def told_of_files(check: CalibrationCheck, given: Iterable[str], told: Mapping[str, bool]) -> list[str]:
    """Sentences about variants whose recorded ranges inside the model do not suit what the scored samples reach there.

    Args:
        check: With the rows of `with_layers`.
        given: Names of variants whose calibration is not known, as that of a file of the user. Of others, too wide
            ranges are not told, because they have reasons beside the calibration, such as ops that share a scale.
        told: Name of a variant → whether the ranges of its inputs, or of the calibration samples, are told of.
    """
    sentences = []
    inside = [row for row in check.ranges if row.kind == "inside"]
    reached = {row.tensor: row for row in inside if row.of == SCORED}
    names = dict.fromkeys(row.of for row in inside if row.of not in {CALIBRATED, SCORED})
    unknown = set(given)
    for name in (name for name in names if not told.get(name)):
        own = [row for row in inside if row.of == name]
        narrow = [row for row in own if clips(row)]
        wide = [row for row in own if leaves_few_steps(row) and not _is_prescribed(row)] if name in unknown else []
        if narrow:
            sentences.append(_narrow(narrow, len(own), reached))
        elif wide:
            sentences.append(_wide(wide, len(own), reached))
    return sentences


_PRESCRIBED = (1.0, 2.0)
"""Widths of ranges that a format prescribes whatever the data are, for example for a softmax or a tanh."""


def _is_prescribed(row: TensorRange) -> bool:
    width = row.maximum - row.minimum + (row.step or 0.0)
    return any(math.isclose(width, prescribed, rel_tol=1e-6) for prescribed in _PRESCRIBED)


def _narrow(rows: Sequence[TensorRange], of: int, reached: Mapping[str, TensorRange]) -> str:
    worst = max(rows, key=lambda row: row.outside or 0.0)
    return (
        f"{worst.of} records {range_of(worst)} for {_where(worst)}, and the scored samples reach "
        f"{range_of(reached[worst.tensor])} there in the model: it covers {in_percent(worst.covered or 0.0)} of that "
        f"range, and {in_percent(worst.outside or 0.0)} of the values are clipped{_others(rows, of)}; calibrate on "
        f"samples like those that are scored"
    )


def _wide(rows: Sequence[TensorRange], of: int, reached: Mapping[str, TensorRange]) -> str:
    worst = max(rows, key=lambda row: row.bits_lost or 0.0)
    return (
        f"{worst.of} records {range_of(worst)} for {_where(worst)}, and the scored samples reach "
        f"{range_of(reached[worst.tensor])} there in the model: every step is {times_as_large(worst.bits_lost or 0.0)}"
        f"{_others(rows, of)}; calibrate on samples like those that are scored"
    )


def _others(rows: Sequence[TensorRange], of: int) -> str:
    return f", and the like of {len(rows) - 1} more of {of} recorded tensors" if len(rows) > 1 else ""


def _where(row: TensorRange) -> str:
    if row.kind == "input":
        return f"the input '{row.tensor}'"
    return f"layer '{row.layer}'" if row.layer else f"the tensor '{row.tensor}'"
