"""Split of a trial's loss into preprocessing, conversion, quantization and runtime, which add up to the total.

The steps connect stages, each of which was run:

```text
reference ─ preprocessing ─> reference on the app's samples ─ conversion ─> float32 in python
    ─ quantization ─> variant in python ─ runtime ─> variant in its runtime
```

The first step is measured if the variants were fed by an app's pipeline (`analyze --pipeline`). Otherwise the reference
and the variants read the same samples: the second stage does not exist, and the conversion begins at the reference.

If a trial lacks a step, its two stages are the same: for the float32 setting the variant is the float32 variant, and in
`python` the runtime is Python. Pass the same value for both, and the part is 0.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.names import counted
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums, sum_products
from quantlab.statistics.tensors import check_numbers
from quantlab.types import SplitRow

__all__ = ["SplitSums", "StepSums", "split_points"]

_REFERENCE, _FED = "reference", "reference on the app's samples"
_STAGES = (_REFERENCE, "float32 variant in python", "variant in python", "variant in its runtime")
"""The stages in order; each step leads from one to the next. `_FED` is between the first two, if it exists."""
_CANCELLED = "the errors of the steps cancel each other, so the total error is 0"


@dataclass(frozen=True, slots=True)
class StepSums(Sums):
    """Sums of one step's error eᵢ = stage after − stage before, over all elements of an output."""

    sum_square: float = 0.0
    """Σ eᵢ²"""
    sum_product: float = 0.0
    """Σ eᵢ·e, where e is the error of all steps together; 0 if e is not available."""


@dataclass(frozen=True, slots=True)
class SplitSums(Sums):
    """Sums from which the split of the output's RMS error is computed."""

    count: int = 0
    """Number of elements of the output."""
    non_finite: int = 0
    """Elements that are NaN or infinite at any stage, including the reference; they are excluded from the sums."""
    missing: frozenset[str] = field(default=frozenset(), metadata={"add": operator.or_})
    """Names of the stages without outputs."""
    sum_square: float = 0.0
    """Σ e², where e = variant in its runtime − reference."""
    conversion: StepSums = field(default_factory=StepSums)
    quantization: StepSums = field(default_factory=StepSums)
    runtime: StepSums = field(default_factory=StepSums)
    preprocessing: StepSums = field(default_factory=StepSums)
    fed: bool = field(default=False, metadata={"add": operator.or_})
    """Whether variants were fed by an app's pipeline, so that there is a step of preprocessing."""

    @classmethod
    def of(
        cls,
        reference: NDArray[Any],
        float32_python: NDArray[Any] | None,
        candidate_python: NDArray[Any] | None,
        candidate_runtime: NDArray[Any] | None,
        *,
        fed_reference: NDArray[Any] | None = None,
    ) -> Self:
        """Sum one batch of an output, in float64.

        Args:
            reference: Any shape, real numbers.
            fed_reference: The reference on the samples that the variants were fed, same shape; None if those are the
                reference's own.
            float32_python: Output of the float32 variant in Python, same shape; None if it failed.
            candidate_python: Output of the variant in Python, likewise.
            candidate_runtime: Output of the variant in the trial's runtime, likewise.

        Raises:
            ValueError: If shapes differ, or a dtype is not one of real numbers.
        """
        given = zip(_STAGES, (reference, float32_python, candidate_python, candidate_runtime), strict=True)
        stages = {name: stage for name, stage in given if stage is not None}
        missing = frozenset(_STAGES) - stages.keys()
        if fed_reference is not None:
            stages[_FED] = fed_reference
        check_numbers(**stages)
        for stage in stages.values():
            check_same_shape(reference, stage)
        values = _all_finite(stages)
        total = _difference(values, _STAGES[0], _STAGES[-1])
        fed = fed_reference is not None
        conversion, quantization, runtime = (_step_sums(_difference(values, *edge), total) for edge in _edges(fed=fed))
        first = _step_sums(_difference(values, _REFERENCE, _FED), total) if fed else StepSums()
        return cls(
            reference.size,
            reference.size - values[_STAGES[0]].size,
            missing,
            0.0 if total is None else sum_products(total, total),
            conversion,
            quantization,
            runtime,
            first,
            fed,
        )

    def row(self, setting: str, runtime: str) -> SplitRow:
        """Split the RMS of the output's error e = Σ eᵢ.

        Part i is the projection of its step's error onto the total error, mean(eᵢ·e) / RMS(e). It is negative for a
        step that reduces the error of another step. The row also has the RMS of each step; these do not add up.

        Parts are None, with a reason, if a stage they need is missing, or if e is 0 although a step's error is not.
        Everything is None, including the total, if any stage contains NaN or infinity.
        """
        if spoiled := self._spoiled():
            return _nothing(setting, runtime, "rms", spoiled)
        total = None if _STAGES[-1] in self.missing else self._rms(self.sum_square)
        plain = self._plain()
        first = self._rms(self.preprocessing.sum_square) if self.fed else None
        cancelled = total == 0 and any([*plain, first])
        conversion, quantization, last = (None,) * 3 if cancelled else self._parts(plain, total)
        known = first is not None and total is not None and not cancelled
        return SplitRow(
            setting=setting,
            runtime=runtime,
            measure="rms",
            preprocessing=self._projection(self.preprocessing, total or 0.0) if known else None,
            conversion=conversion,
            quantization=quantization,
            runtime_part=last,
            total=total,
            preprocessing_rms=first,
            conversion_rms=plain[0],
            quantization_rms=plain[1],
            runtime_rms=plain[2],
            reason=_CANCELLED if cancelled else _absent(self.missing),
        )

    @property
    def _steps(self) -> tuple[StepSums, StepSums, StepSums]:
        return self.conversion, self.quantization, self.runtime

    def _plain(self) -> list[float | None]:
        """RMS error of each step; None if one of its stages is missing."""
        return [
            None if self.missing.intersection(edge) else self._rms(step.sum_square)
            for step, edge in zip(self._steps, _edges(fed=self.fed), strict=True)
        ]

    def _parts(self, plain: Sequence[float | None], total: float | None) -> list[float | None]:
        return [
            None if rms is None or total is None else self._projection(step, total)
            for step, rms in zip(self._steps, plain, strict=True)
        ]

    def _spoiled(self) -> str | None:
        if not self.count:
            return "the output has no elements to compare"
        if self.non_finite:
            elements = counted(self.non_finite, "element of the output is", "elements of the output are")
            return f"{elements} NaN or infinite at one of the stages"
        # Possible only for float64 outputs.
        squares = self.sum_square + sum(step.sum_square for step in (*self._steps, self.preprocessing))
        return None if math.isfinite(squares) else "the squared errors exceed the range of float64"

    def _rms(self, sum_square: float) -> float:
        return math.sqrt(sum_square / self.count)

    def _projection(self, step: StepSums, total: float) -> float:
        return step.sum_product / self.count / total if total else 0.0


def split_points(
    setting: str,
    runtime: str,
    *,
    float32_python: float | None,
    candidate_python: float | None,
    candidate_runtime: float | None,
    fed_reference: float | None = None,
) -> SplitRow:
    """Split a trial's loss, in the metric's own unit; each part is the difference between two stages.

    If a loss is NaN or infinite, all figures of the row are None.

    Args:
        setting: Setting of the row.
        runtime: Runtime of the row.
        float32_python: Loss of the float32 variant in Python against the reference (positive is worse); None if failed.
        candidate_python: Loss of the variant in Python, likewise.
        candidate_runtime: Loss of the variant in the trial's runtime, likewise.
        fed_reference: Loss of the reference on the samples that the variants were fed; None if those are the
            reference's own.
    """
    given = zip(_STAGES, (0.0, float32_python, candidate_python, candidate_runtime), strict=True)
    losses = {name: loss for name, loss in given if loss is not None}
    missing = frozenset(_STAGES) - losses.keys()
    if fed_reference is not None:
        losses[_FED] = fed_reference
    if spoiled := [name for name, loss in losses.items() if not math.isfinite(loss)]:
        listed = " and of the ".join(spoiled)
        return _nothing(setting, runtime, "points", f"the loss of the {listed} is NaN or infinite")
    conversion, quantization, last = (
        losses[after] - losses[before] if before in losses and after in losses else None
        for before, after in _edges(fed=fed_reference is not None)
    )
    return SplitRow(
        setting=setting,
        runtime=runtime,
        measure="points",
        preprocessing=fed_reference,
        conversion=conversion,
        quantization=quantization,
        runtime_part=last,
        total=candidate_runtime,
        reason=_absent(missing),
    )


def _edges(*, fed: bool) -> list[tuple[str, str]]:
    """The stages before and after conversion, quantization and runtime."""
    return list(pairwise((_FED, *_STAGES[1:]) if fed else _STAGES))


def _nothing(setting: str, runtime: str, measure: Literal["points", "rms"], reason: str) -> SplitRow:
    return SplitRow(setting, runtime, measure, None, None, None, None, None, reason=reason)


def _absent(missing: frozenset[str]) -> str | None:
    listed = " and ".join(f"the {stage}" for stage in _STAGES if stage in missing)
    return f"{listed} could not be measured" if missing else None


def _all_finite(stages: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Each stage as a vector of the elements that are finite at every stage."""
    values = {name: np.asarray(stage, np.float64).reshape(-1) for name, stage in stages.items()}
    finite = np.logical_and.reduce([np.isfinite(stage) for stage in values.values()])
    return values if finite.all() else {name: stage[finite] for name, stage in values.items()}


def _difference(values: Mapping[str, NDArray[np.float64]], before: str, after: str) -> NDArray[np.float64] | None:
    if before not in values or after not in values:
        return None
    with np.errstate(over="ignore"):  # only float64 outputs can overflow; `row` reports that
        return values[after] - values[before]


def _step_sums(step: NDArray[np.float64] | None, total: NDArray[np.float64] | None) -> StepSums:
    if step is None:
        return StepSums()
    return StepSums(sum_products(step, step), 0.0 if total is None else sum_products(step, total))
