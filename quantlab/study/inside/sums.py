"""Sums the errors of one trial's tensors, batch by batch, against the reference and the float32 baseline."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.runtimes.taps import Reading, TensorReader
from quantlab.statistics import LayerError
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.rows import (
    channel_rows,
    measured_row,
    unaligned_row,
    with_growth,
    with_isolated,
    without_own_error,
)
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

_FUSED = "merged into another layer by the converter: only the float32 variant has a tensor of this layer"

_IN_FLOAT32 = (
    "computes half floats in float32, so an op without weights has no isolated error (∞); hardware that computes in "
    "half floats rounds the result of every op"
)


@dataclass(frozen=True, slots=True)
class KnownTensors:
    """The alignment of a variant's tensors, and which of them were requested."""

    taps: tuple[TapSpec, ...]
    """In order of execution."""
    names: Mapping[str, str]
    """Tensor of the variant → tensor of the float32 baseline."""
    alignments: Mapping[str, Alignment]
    """Tensor of the float32 baseline → its alignment."""
    choice: TapChoice

    def alignment(self, tap: TapSpec) -> Alignment | None:
        """The alignment of a tensor with the reference, or None."""
        return self.alignments.get(self.names.get(tap.name, ""))

    @property
    def wanted(self) -> tuple[TapSpec, ...]:
        """The requested tensors."""
        return tuple(tap for tap in self.taps if self.choice.wants(*self._names_of(tap)))

    def missing_layers(self) -> tuple[Alignment, ...]:
        """Layers with a tensor in the float32 baseline but without a corresponding tensor in this variant."""
        here = {alignment.layer for tap in self.taps if (alignment := self.alignment(tap)) is not None}
        there = dict.fromkeys(alignment.layer for alignment in self.alignments.values() if alignment.aligned)
        return tuple(Alignment("", None, layer, _FUSED) for layer in there if layer not in here)

    def by_channel(self, tap: TapSpec) -> bool:
        """Whether each channel of the tensor gets a row, too."""
        return self.choice.by_channel(*self._names_of(tap))

    def _names_of(self, tap: TapSpec) -> tuple[str, ...]:
        alignment = self.alignment(tap)
        return (tap.name, alignment.layer, alignment.reference or "") if alignment else (tap.name,)


@dataclass(frozen=True, slots=True)
class Baselines:
    """The readings that a trial's tensors are compared with, for one batch."""

    reference: Reading
    float32: Reading
    """The float32 baseline of the same format, in Python."""
    python: Reading | None
    """The same artifact in Python; None if the trial itself runs in Python, or if it could not be read."""


@dataclass(slots=True)
class TrialSums:
    """The sums of one trial so far."""

    trial: Trial
    tensors: KnownTensors
    session: TensorReader
    isolated: TensorReader | None
    """The same nodes run in isolation; None for graphs with loops."""
    scored_output: str
    is_float32: bool
    """Whether the trial is the float32 baseline of its format."""
    has_python_baseline: bool
    """Whether the trial is also compared with the same artifact in Python."""
    sums: dict[tuple[Baseline, str], LayerError] = field(default_factory=dict)
    channel_sums: dict[tuple[Baseline, str], list[LayerError]] = field(default_factory=dict)
    isolated_sums: dict[str, LayerError] = field(default_factory=dict)
    weightless: set[str] = field(default_factory=set)
    """Tensors whose node has no weights and therefore no isolated error."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tensor → why it could not be read."""
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None
    """Why reading stopped, else None."""
    largest_drift: float = 0.0
    """Largest difference between the scored outputs of the tapped run and of the measured run."""
    _reading: Reading | None = None
    _alone: Reading | None = None

    def take(self, reading: Reading | str, alone: Reading | str | None, measured: Array) -> None:
        """Store the reading of a batch, which `steps` will add; failures are recorded in the trial.

        Args:
            reading: The trial's tensors, or why they could not be read.
            alone: The tensors of its nodes run in isolation, or why they could not be read.
            measured: (samples, …), the scored output of the measured run.
        """
        if isinstance(reading, str):
            self.give_up(f"could not read inside {self.trial.setting} in {self.trial.runtime}: {reading}")
            return
        self._reading, self._alone = reading, None if isinstance(alone, str) else alone
        if isinstance(alone, str):
            self.lose_isolated(alone)
        self.failed.update(reading.failed)
        self._add_drift(reading, measured)

    def steps(self, baselines: Baselines) -> list[Callable[[], None]]:
        """The steps that add the last batch, one per tensor; threads may run them at the same time, in any order.

        Also records which tensors have no isolated error, by the names of the float32 baseline.
        """
        if self._reading is None:
            return []
        taps, float32 = self._reading.taps, baselines.float32
        # Keyed by name: if a user's file has two tensors of one name, there is only one reading.
        wanted = {tap.name: tap for tap in self.tensors.wanted if tap.name in taps}
        steps: list[Callable[[], None]] = [
            partial(self._add_tap, tap, taps[name], baselines) for name, tap in wanted.items()
        ]
        if self._alone is None:
            return steps
        alone, names = self._alone, self.tensors.names
        known = [name for name in wanted if names.get(name) in float32.taps]
        self.weightless |= {name for name in known if name not in alone.taps and name not in alone.failed}
        return steps + [
            partial(self._add_isolated, name, float32.taps[names[name]], alone.taps[name])
            for name in known
            if name in alone.taps
        ]

    def give_up(self, reason: str) -> None:
        """Stop reading and drop the sums, because sums over a part of the samples are no statistic of all samples."""
        self.unreadable, self._reading, self._alone = reason, None, None
        self.sums, self.channel_sums, self.isolated_sums, self.weightless = {}, {}, {}, set()

    def lose_isolated(self, reason: str) -> None:
        """Give no isolated errors, because sums over a part of the samples are no statistic of all."""
        self.notes.append(f"no isolated errors of {self.trial.setting} in {self.trial.runtime}: {reason}")
        self.isolated, self.isolated_sums, self.weightless = None, {}, set()

    def lose_python_baseline(self, reason: str) -> None:
        """Stop comparing with the same artifact in Python, and drop the sums of that comparison."""
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
        # Aligned by value, so the reference may have another shape, for example if a Reshape was folded away.
        expected = baselines.reference.taps[alignment.reference].reshape(value.shape)
        self._sum((AGAINST_REFERENCE, tap.name), expected, value, tap)
        if not self.is_float32:
            self._sum((AGAINST_FLOAT32, tap.name), float32, value, tap)
        in_python = baselines.python.taps.get(tap.name) if self.has_python_baseline and baselines.python else None
        # A tensor with another shape than in float32 has its reason in its own row.
        if in_python is not None and in_python.shape == value.shape:
            self._sum((AGAINST_PYTHON, tap.name), in_python, value, tap)

    @property
    def _float32(self) -> str:
        """Name of the float32 baseline of the trial's format."""
        return self.trial.variant.float32 if self.trial.variant else ""

    def _other_shape(self, value: Array, float32: Array) -> str | None:
        if value.shape == float32.shape:
            return None
        return (
            f"its shape is {value.shape[1:]} a sample in {self.trial.setting} in {self.trial.runtime} and "
            f"{float32.shape[1:]} in {self._float32} in {PYTHON}, so they cannot be compared"
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
        """Update `largest_drift`: kernels may compute differently when intermediate tensors are kept."""
        answered = reading.outputs[self.scored_output].astype(np.float64)
        same = (answered == measured) | (np.isnan(answered) & np.isnan(measured))
        with np.errstate(invalid="ignore"):
            drift = np.where(same, 0, np.abs(answered - measured))
        drift[np.isnan(drift)] = np.inf  # NaN on one side only is an infinite difference
        self.largest_drift = max(self.largest_drift, float(drift.max(initial=0.0)))

    def rows(self) -> tuple[LayerRow, ...]:
        """One row for each requested tensor and baseline, in order of execution; missing layers have none."""
        places = {tap.name: place for place, tap in enumerate(self.tensors.taps)}
        return with_growth([row for tap in self.tensors.wanted for row in self._rows(tap, places[tap.name])])

    def all_notes(self) -> tuple[str, ...]:
        """Notes about reading the tensors: failures and drift."""
        where = f"{self.trial.setting} in {self.trial.runtime}"
        drift = f"{where} answers differently while its tensors are read, by up to {self.largest_drift:.2g}"
        return (
            *self.notes,
            *([f"{where} {_IN_FLOAT32}"] if self._computes_halves_in_float32 else []),
            *([drift] if self.largest_drift else []),
            *([self.unreadable] if self.unreadable else []),
        )

    @property
    def _computes_halves_in_float32(self) -> bool:
        """Whether an op adds no error to a tensor of half floats, which would round nearly every value."""
        halves = {tap.name for tap in self.tensors.wanted if tap.dtype == np.dtype(np.float16).name}
        return any(self.isolated_sums[name].error.sqnr_db == math.inf for name in halves & self.isolated_sums.keys())

    def _rows(self, tap: TapSpec, place: int) -> list[LayerRow]:
        alignment = self.tensors.alignment(tap)
        reason = tap.reason or self.failed.get(tap.name)
        if alignment is None:
            reason = reason or "the float32 variant has no tensor of this name and no op at this position"
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
                weightless = tap.name in self.weightless
                alone = without_own_error(row) if weightless else with_isolated(row, self.isolated_sums)
                rows += [alone, *channel_rows(row, self.channel_sums.get(key, ()))]
        return rows
