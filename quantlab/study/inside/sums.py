"""One trial while its tensors are summed, batch by batch, against the reference's and the float32 baseline's."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.runtimes.taps import Reading, Session
from quantlab.statistics import LayerError
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.rows import channel_rows, measured_row, unaligned_row, with_growth, with_isolated
from quantlab.types import (
    AGAINST_FLOAT32,
    AGAINST_PYTHON,
    AGAINST_REFERENCE,
    PYTHON,
    Alignment,
    Baseline,
    LayerRow,
    TapSpec,
    Trial,
)

__all__ = ["Baselines", "KnownTensors", "TrialSums"]

Array = npt.NDArray[Any]

_FUSED = "has a tensor in the float32 variant and none here that is known to be its own: it is fused into another"


@dataclass(frozen=True, slots=True)
class KnownTensors:
    """What the tensors of a variant are, and which of them were asked for."""

    taps: tuple[TapSpec, ...]
    """In order of execution."""
    names: Mapping[str, str]
    """Its tensor → the float32 baseline's."""
    alignments: Mapping[str, Alignment]
    """Of the float32 baseline's tensors."""
    choice: TapChoice

    def alignment(self, tap: TapSpec) -> Alignment | None:
        """What stands for the tensor in the reference."""
        return self.alignments.get(self.names.get(tap.name, ""))

    @property
    def wanted(self) -> tuple[TapSpec, ...]:
        """Those that were asked for."""
        return tuple(tap for tap in self.taps if self.choice.wants(*self._names_of(tap)))

    def missing_layers(self) -> tuple[Alignment, ...]:
        """The layers that have a tensor in the float32 baseline, and none here that is known to be theirs."""
        here = {alignment.layer for tap in self.taps if (alignment := self.alignment(tap)) is not None}
        there = dict.fromkeys(alignment.layer for alignment in self.alignments.values() if alignment.aligned)
        return tuple(Alignment("", None, layer, _FUSED) for layer in there if layer not in here)

    def by_channel(self, tap: TapSpec) -> bool:
        """Whether each of its channels gets a row too."""
        return self.choice.by_channel(*self._names_of(tap))

    def _names_of(self, tap: TapSpec) -> tuple[str, ...]:
        alignment = self.alignment(tap)
        return (tap.name, alignment.layer, alignment.reference or "") if alignment else (tap.name,)


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a trial's tensors are compared with, for some samples."""

    reference: Reading
    float32: Reading
    """Of the same format, in Python."""
    python: Reading | None
    """The same artifact there; None where that is the trial itself, or could not be read."""


@dataclass(slots=True)
class TrialSums:
    """What is known so far of one trial's tensors."""

    trial: Trial
    tensors: KnownTensors
    session: Session
    isolated: Session | None
    """The same nodes, each by itself; graphs with loops have no such nodes."""
    scored_output: str
    is_float32: bool
    """Whether it is the float32 baseline of its format itself."""
    has_python_baseline: bool
    """Whether it is also compared with the same artifact in Python."""
    sums: dict[tuple[Baseline, str], LayerError] = field(default_factory=dict)
    channel_sums: dict[tuple[Baseline, str], list[LayerError]] = field(default_factory=dict)
    isolated_sums: dict[str, LayerError] = field(default_factory=dict)
    weightless: set[str] = field(default_factory=set)
    """Tensors whose node makes no error by itself, for want of weights."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tensor → why it could not be read."""
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None
    """Why nothing more is read, else None."""
    largest_drift: float = 0.0
    """Of the tapped run's scored output from the measured run's."""
    _reading: Reading | None = None
    _alone: Reading | None = None

    def take(self, reading: Reading | str, alone: Reading | str | None, measured: Array) -> None:
        """Take what was read of some samples, for `steps` to add; what went wrong in it is the trial's own.

        Args:
            reading: What the trial held, or why it could not be read.
            alone: What its nodes by themselves made of the float32 graph's tensors, or why not.
            measured: (samples, …), the scored output as the trial gave it when it was measured.
        """
        if isinstance(reading, str):
            self.give_up(f"could not read inside {self.trial.setting} in {self.trial.runtime}: {reading}")
            return
        self._reading, self._alone = reading, None if isinstance(alone, str) else alone
        if isinstance(alone, str):
            self.notes.append(f"no isolated errors of {self.trial.setting} in {self.trial.runtime}: {alone}")
            self.isolated, self.isolated_sums, self.weightless = None, {}, set()
        self.failed.update(reading.failed)
        self._add_drift(reading, measured)

    def steps(self, baselines: Baselines) -> list[Callable[[], None]]:
        """What is left to do for the samples taken last, a step a tensor; threads may do them at once, in any order.

        Notes which tensors have no error of their own, which the float32 baseline's names tell.
        """
        if self._reading is None:
            return []
        taps, float32 = self._reading.taps, baselines.float32
        # By name: of two tensors of one name, as a file of the user's may have, there is one reading.
        wanted = {tap.name: tap for tap in self.tensors.wanted if tap.name in taps}
        steps: list[Callable[[], None]] = [
            partial(self._add_tap, tap, taps[name], baselines) for name, tap in wanted.items()
        ]
        if self._alone is None:
            return steps
        self.weightless |= float32.taps.keys() - self._alone.taps.keys() - self._alone.failed.keys()
        return steps + [
            partial(self._add_isolated, name, float32.taps[name], value)
            for name, value in self._alone.taps.items()
            if name in float32.taps
        ]

    def give_up(self, reason: str) -> None:
        """Read nothing more: sums over a part of the samples are no statistic of all."""
        self.unreadable, self._reading, self._alone = reason, None, None
        self.sums, self.channel_sums, self.isolated_sums, self.weightless = {}, {}, {}, set()

    def lose_python_baseline(self, reason: str) -> None:
        """Compare with the same artifact in Python no more, and with what was compared so far neither."""
        self.has_python_baseline = False
        self.notes.append(reason)
        self.sums = {key: sums for key, sums in self.sums.items() if key[0] != AGAINST_PYTHON}
        self.channel_sums = {key: sums for key, sums in self.channel_sums.items() if key[0] != AGAINST_PYTHON}

    def _add_tap(self, tap: TapSpec, value: Array, baselines: Baselines) -> None:
        alignment = self.tensors.alignment(tap)
        if alignment is None or not alignment.aligned or alignment.reference is None:
            return
        float32 = baselines.float32.taps[alignment.tensor]
        if reason := self._other_shape(value, float32):
            self.failed[tap.name] = reason
            return
        # The reference's layout may be another, as where a Reshape was folded away: it was aligned by its values.
        expected = baselines.reference.taps[alignment.reference].reshape(value.shape)
        self._sum((AGAINST_REFERENCE, tap.name), expected, value, tap)
        if not self.is_float32:
            self._sum((AGAINST_FLOAT32, tap.name), float32, value, tap)
        in_python = baselines.python.taps.get(tap.name) if self.has_python_baseline and baselines.python else None
        # One of another shape than float32's has its reason in its own row.
        if in_python is not None and in_python.shape == value.shape:
            self._sum((AGAINST_PYTHON, tap.name), in_python, value, tap)

    @property
    def _float32(self) -> str:
        """The name of its format's float32 baseline."""
        return self.trial.variant.float32 if self.trial.variant else ""

    def _other_shape(self, value: Array, float32: Array) -> str | None:
        if value.shape == float32.shape:
            return None
        return (
            f"its shape is {value.shape[1:]} a sample in {self.trial.setting} in {self.trial.runtime} and "
            f"{float32.shape[1:]} in {self._float32} in {PYTHON}, which do not compare"
        )

    def _sum(self, key: tuple[Baseline, str], baseline: Array, value: Array, tap: TapSpec) -> None:
        error = LayerError.of(baseline, value, channels=key[0] == AGAINST_REFERENCE, codes=tap.codes)
        self.sums[key] = self.sums[key] + error if key in self.sums else error
        if value.ndim > 1 and self.tensors.by_channel(tap):
            parts = [
                LayerError.of(baseline[..., channel], value[..., channel], codes=tap.codes)
                for channel in range(value.shape[-1])
            ]
            known = self.channel_sums.get(key)
            self.channel_sums[key] = [one + other for one, other in zip(known, parts, strict=True)] if known else parts

    def _add_isolated(self, name: str, float32: Array, value: Array) -> None:
        error = LayerError.of(float32, value, channels=True)
        self.isolated_sums[name] = self.isolated_sums[name] + error if name in self.isolated_sums else error

    def _add_drift(self, reading: Reading, measured: Array) -> None:
        """How far the tapped run's answer is from the measured run's: kernels can differ when tensors are kept."""
        answered = reading.outputs[self.scored_output].astype(np.float64)
        same = (answered == measured) | (np.isnan(answered) & np.isnan(measured))
        with np.errstate(invalid="ignore"):
            drift = np.where(same, 0, np.abs(answered - measured))
        drift[np.isnan(drift)] = np.inf  # a NaN on one side alone is as far as can be
        self.largest_drift = max(self.largest_drift, float(drift.max(initial=0.0)))

    def rows(self) -> tuple[LayerRow, ...]:
        """A row for each tensor and baseline that were asked for, in order of execution, without missing layers."""
        places = {tap.name: place for place, tap in enumerate(self.tensors.taps)}
        return with_growth([row for tap in self.tensors.wanted for row in self._rows(tap, places[tap.name])])

    def all_notes(self) -> tuple[str, ...]:
        """What the reader must know of the reading itself."""
        where = f"{self.trial.setting} in {self.trial.runtime}"
        drift = f"{where} answers differently while its tensors are read, by up to {self.largest_drift:.2g}"
        return (
            *self.notes,
            *([drift] if self.largest_drift else []),
            *([self.unreadable] if self.unreadable else []),
        )

    def _rows(self, tap: TapSpec, place: int) -> list[LayerRow]:
        alignment = self.tensors.alignment(tap)
        reason = tap.reason or self.failed.get(tap.name)
        if alignment is None:
            reason = reason or "the float32 variant has no tensor of this name, nor an op in this place"
        elif (AGAINST_REFERENCE, tap.name) not in self.sums:
            reason = reason or alignment.reason or self.unreadable or "it could not be read"
        if alignment is None or reason is not None:
            layer = alignment.layer if alignment else tap.name
            return [unaligned_row(self.trial, tap, Alignment(tap.name, None, layer, reason), place)]
        baselines: tuple[Baseline, ...] = (AGAINST_REFERENCE, AGAINST_FLOAT32, AGAINST_PYTHON)
        rows = []
        for key in ((baseline, tap.name) for baseline in baselines):
            if key in self.sums:
                row = measured_row(self.trial, tap, alignment, key[0], place=place, error=self.sums[key])
                alone = replace(row, isolated_sqnr_db=math.inf) if tap.name in self.weightless else row
                rows += [with_isolated(alone, self.isolated_sums), *channel_rows(row, self.channel_sums.get(key, ()))]
        return rows
