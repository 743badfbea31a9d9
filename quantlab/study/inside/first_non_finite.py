"""Finds the tensors inside the reference that are NaN or infinite, and the samples on which they are."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from quantlab.statistics import RangeSums, few_that_stretch, halves_of, layer_of, layers_of, sample_ends
from quantlab.study.inside.sessions import SessionInputs, TappedVariant, open_reference
from quantlab.types import InnerRange, OpenedModel

__all__ = ["Cause", "first_of_all", "first_of_some", "rows_with_nan"]

Spoiled = dict[int, npt.NDArray[np.bool_]]
"""Place of a tensor in order of execution → whether it is spoiled on a sample, (samples,)."""

_SELECTING = frozenset({"Select", "SelectV2", "Where", "IsNan", "IsNaN", "IsInf", "IsFinite", "MulNoNan"})
"""Ops that take one of two values, or tell which one to take, in the words of TensorFlow and ONNX."""

_FLOATS = ("float", "bfloat")
"""What the data types of tensors of floats begin with."""

_BATCH_BYTES = 64 << 20
"""Of the tensors that are read at once."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What makes the reference NaN or infinite."""

    rows: tuple[int, ...] = ()
    """Samples that were read on which a tensor inside is not finite, ascending."""
    tensor: str | None = None
    """The first tensor that is not finite on them; None if all are finite."""
    layer: str = ""
    """Its layer; empty if it belongs to none."""
    nan: str | None = None
    """The first tensor that is NaN on them; None where that may be meant.

    Infinity often is, as in a mask before a softmax. NaN is where a later op selects among values: then it may be in a
    branch that is not taken, such as `where(x > 0, log(x), 0)`.
    """


def first_of_some(inputs: SessionInputs, model: OpenedModel, rows: Sequence[int], other: int | None) -> Cause:
    """The first tensors that are not finite on some samples and are finite on another.

    Args:
        inputs: What the reference is fed.
        model: The reference.
        rows: Ascending positions of the samples.
        other: A sample on which nothing is known to be wrong: a tensor that is not finite there explains nothing. None
            if there is no such sample.
    """
    reader = _Reader(_open(inputs, model), len(rows))
    for place, row in enumerate(rows):
        reader.read(row, row + 1, place)
    usual = _Reader(reader.opened, 1)
    if other is not None:
        usual.read(other, other + 1, 0)
    return reader.cause(rows, {place for place in reader.non_finite if place not in usual.non_finite})


def first_of_all(inputs: SessionInputs, model: OpenedModel, *, seed: int) -> tuple[Cause, tuple[InnerRange, ...]]:
    """The samples on which a tensor is not finite that is finite on others, and the first of these tensors.

    If there is no such tensor, those that are not finite on all samples count. Every tensor is read anyway, so its
    range is looked at, too.

    Args:
        inputs: What the reference is fed.
        model: The reference.
        seed: Of the halves of the samples that ranges are compared in.

    Returns:
        What was found, and the range of each tensor of floats, in order of execution.
    """
    opened, n = _open(inputs, model), inputs.samples.n
    if not n:
        return Cause(), ()
    sample_bytes = sum(values.nbytes for values in opened.session.read(0, 1).taps.values())
    size = max(1, min(inputs.batch_size, _BATCH_BYTES // max(1, sample_bytes)))
    reader = _Reader(opened, n, halves_of(n, seed=seed))
    for start in range(0, n, size):
        reader.read(start, min(start + size, n), start)
    some = {place for place, spoiled in reader.non_finite.items() if not spoiled.all()}
    return reader.cause(range(n), some or set(reader.non_finite)), reader.inner_ranges()


def rows_with_nan(inputs: SessionInputs, model: OpenedModel, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether one of some tensors is NaN on a sample, (n,)."""
    reader = _Reader(open_reference(inputs, model, names, name=_name("nan", inputs)), inputs.samples.n)
    for start in range(0, inputs.samples.n, inputs.batch_size):
        reader.read(start, min(start + inputs.batch_size, inputs.samples.n), start)
    rows = np.zeros(inputs.samples.n, np.bool_)
    for spoiled in reader.nan.values():
        rows |= spoiled
    return rows


class _Reader:
    """Reads all tensors of the open reference on some samples, and remembers which were not finite on which.

    With `second`, which samples are in the second half, it also sums the ranges of tensors of floats.
    """

    def __init__(self, opened: TappedVariant, samples: int, second: npt.NDArray[np.bool_] | None = None) -> None:
        self.opened = opened
        self.samples = samples
        self.non_finite: Spoiled = {}
        self.nan: Spoiled = {}
        self.ranges: dict[int, RangeSums] = {}
        self._second = second

    def read(self, start: int, stop: int, place: int) -> None:
        """Read samples; `place` is where the first of them stands among those that are read in all."""
        taps = self.opened.session.read(start, stop).taps
        among = slice(place, place + stop - start)
        for number, tap in enumerate(self.opened.taps):
            if tap.name not in taps or not taps[tap.name].size:
                continue
            lows, highs = sample_ends(taps[tap.name])
            finite = np.isfinite(lows) & np.isfinite(highs)
            if not finite.all():
                self._of(self.non_finite, number)[among] = ~finite
                self._of(self.nan, number)[among] = np.isnan(lows)
            if self._second is not None and tap.dtype.startswith(_FLOATS):
                sums = RangeSums.of(lows, highs, start=place, second=self._second[among])
                self.ranges[number] = self.ranges.get(number, RangeSums()) + sums

    def _of(self, spoiled: Spoiled, number: int) -> npt.NDArray[np.bool_]:
        return spoiled.setdefault(number, np.zeros(self.samples, np.bool_))

    def inner_ranges(self) -> tuple[InnerRange, ...]:
        """The range of each tensor of floats, without those that are finite on no sample."""
        told = {tap.name: tap.scope or tap.name for tap in self.opened.taps}
        layers = layers_of(told.values())
        named = ((self.opened.taps[number].name, sums) for number, sums in sorted(self.ranges.items()) if sums.n)
        return tuple(_inner_range(name, layers[told[name]], sums) for name, sums in named)

    def cause(self, rows: Sequence[int], numbers: Set[int]) -> Cause:
        """What some of the tensors tell, about samples that stand at `rows`."""
        if not numbers:
            return Cause()
        spoiled = np.any([self.non_finite[number] for number in numbers], axis=0)
        first, nan = min(numbers), min((number for number in numbers if self.nan[number].any()), default=None)
        names = [tap.name for tap in self.opened.taps]
        if nan is not None and any(tap.op in _SELECTING for tap in self.opened.taps[nan + 1 :]):
            nan = None
        return Cause(
            rows=tuple(row for row, whether in zip(rows, spoiled, strict=True) if whether),
            tensor=names[first],
            layer=_layer(names[first], names),
            nan=None if nan is None else names[nan],
        )


def _inner_range(name: str, layer: str, sums: RangeSums) -> InnerRange:
    inner = InnerRange(name, layer, sums.minimum, sums.maximum, sums.n, moved=sums.moved)
    stretch = few_that_stretch(sums)
    if stretch is None:
        return inner
    return replace(inner, stretched_by=stretch.rows, usual_minimum=stretch.minimum, usual_maximum=stretch.maximum)


def _layer(name: str, names: Sequence[str]) -> str:
    """The layer of a tensor; empty for an op of the model itself, which stands between its layers."""
    scope = layer_of(name)
    between = "/" not in scope and any(layer_of(other).startswith(f"{scope}/") for other in names)
    return "" if between else layers_of(names)[name]


def _open(inputs: SessionInputs, model: OpenedModel) -> TappedVariant:
    return open_reference(inputs, model, None, name=_name("finite", inputs))


def _name(what: str, inputs: SessionInputs) -> str:
    """The name of a session's file: a worker that has opened one keeps the samples that it was opened with."""
    return f"{what}-{inputs.samples.sha256[:12]}"
