"""Where a trial's loss comes from: converting, quantizing, or the runtime; parts that add up to the whole.

A trial is reached in three steps, each of which ends at a stage that was run too:

```text
reference ─ conversion ─> float32 in python ─ quantization ─> variant in python ─ runtime ─> variant in its runtime
```

Where a step is none, its stages are the same: for the float32 setting the variant is the float32 variant, in `python`
the runtime is python. Give the same value twice, and the part is 0.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums, sum_products
from quantlab.statistics.tensors import check_numbers
from quantlab.types import SplitRow

__all__ = ["SplitSums", "StepSums", "split_points"]

_STAGES = ("reference", "float32 variant in python", "variant in python", "variant in its runtime")
"""In order; each step leads from one to the next."""
_CANCELLED = "the steps cancel each other: together they change nothing"


@dataclass(frozen=True, slots=True)
class StepSums(Sums):
    """One step's error eᵢ, the stage after it minus the stage before it, over all elements of an output."""

    sum_square: float = 0.0
    """Σ eᵢ²"""
    sum_product: float = 0.0
    """Σ eᵢ·e, with e the error of all steps together; 0 where that is missing."""


@dataclass(frozen=True, slots=True)
class SplitSums(Sums):
    """What the split of the output's RMS error is made of."""

    count: int = 0
    """Elements of the output."""
    non_finite: int = 0
    """Elements that are NaN or infinite at some stage, the reference too; the sums leave them out."""
    missing: frozenset[str] = field(default=frozenset(), metadata={"add": operator.or_})
    """The stages that have no outputs."""
    sum_square: float = 0.0
    """Σ e², e the variant in its runtime minus the reference."""
    conversion: StepSums = field(default_factory=StepSums)
    quantization: StepSums = field(default_factory=StepSums)
    runtime: StepSums = field(default_factory=StepSums)

    @classmethod
    def of(
        cls,
        reference: NDArray[Any],
        float32_python: NDArray[Any] | None,
        candidate_python: NDArray[Any] | None,
        candidate_runtime: NDArray[Any] | None,
    ) -> Self:
        """Sum a batch of an output, in float64.

        Args:
            reference: Any shape, real numbers.
            float32_python: The same shape, or None for a trial that failed; so the next two.
            candidate_python: See the module's drawing.
            candidate_runtime: Likewise.

        Raises:
            ValueError: If the shapes differ, or one holds something else than real numbers.
        """
        given = zip(_STAGES, (reference, float32_python, candidate_python, candidate_runtime), strict=True)
        stages = {name: stage for name, stage in given if stage is not None}
        check_numbers(**stages)
        for stage in stages.values():
            check_same_shape(reference, stage)
        values = _all_finite(stages)
        total = _difference(values, _STAGES[0], _STAGES[-1])
        steps = [_step_sums(_difference(values, *edge), total) for edge in pairwise(_STAGES)]
        return cls(
            reference.size,
            reference.size - values[_STAGES[0]].size,
            frozenset(_STAGES) - stages.keys(),
            0.0 if total is None else sum_products(total, total),
            *steps,
        )

    def row(self, setting: str, runtime: str) -> SplitRow:
        """Split the RMS of the output's error, e = Σ eᵢ.

        Part i is the projection of its step's error on the whole, mean(eᵢ·e) / RMS(e): signed, below zero for a step
        that takes away what another brought. The plain RMS of each step stands beside it; those do not add up.

        Parts are None, with the reason, where a stage that they need is missing, where e is 0 and a step is not (no
        part of nothing says what cancelled), and all of them, the total too, where a stage holds NaN or infinity.
        """
        if spoiled := self._spoiled():
            return _nothing(setting, runtime, "rms", spoiled)
        total = None if _STAGES[-1] in self.missing else self._rms(self.sum_square)
        plain = self._plain()
        cancelled = total == 0 and any(plain)
        conversion, quantization, last = (None,) * 3 if cancelled else self._parts(plain, total)
        return SplitRow(
            setting=setting,
            runtime=runtime,
            measure="rms",
            preprocessing=None,
            conversion=conversion,
            quantization=quantization,
            runtime_part=last,
            total=total,
            conversion_rms=plain[0],
            quantization_rms=plain[1],
            runtime_rms=plain[2],
            reason=_CANCELLED if cancelled else _absent(self.missing),
        )

    @property
    def _steps(self) -> tuple[StepSums, StepSums, StepSums]:
        return self.conversion, self.quantization, self.runtime

    def _plain(self) -> list[float | None]:
        """The RMS of each step; None where a stage at its ends is missing."""
        return [
            None if self.missing.intersection(edge) else self._rms(step.sum_square)
            for step, edge in zip(self._steps, pairwise(_STAGES), strict=True)
        ]

    def _parts(self, plain: Sequence[float | None], total: float | None) -> list[float | None]:
        return [
            None if rms is None or total is None else self._projection(step, total)
            for step, rms in zip(self._steps, plain, strict=True)
        ]

    def _spoiled(self) -> str | None:
        if not self.count:
            return "nothing was compared"
        if self.non_finite:
            return f"{self.non_finite} elements of the output are NaN or infinite at one of its stages"
        # Only float64 outputs can bring this about.
        squares = self.sum_square + sum(step.sum_square for step in self._steps)
        return None if math.isfinite(squares) else "the squares of the errors are greater than float64 holds"

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
) -> SplitRow:
    """Split a trial's loss, in the metric's own unit; the parts are differences from stage to stage.

    Args:
        setting: The row's.
        runtime: The row's.
        float32_python: Loss against the reference, above zero where it is worse; None where the trial failed. NaN and
            infinite ones leave all of the row None. So the next two.
        candidate_python: See the module's drawing.
        candidate_runtime: Likewise.
    """
    given = zip(_STAGES, (0.0, float32_python, candidate_python, candidate_runtime), strict=True)
    losses = {name: loss for name, loss in given if loss is not None}
    if spoiled := [name for name, loss in losses.items() if not math.isfinite(loss)]:
        listed = " and of the ".join(spoiled)
        return _nothing(setting, runtime, "points", f"the loss of the {listed} is NaN or infinite")
    conversion, quantization, last = (
        losses[after] - losses[before] if before in losses and after in losses else None
        for before, after in pairwise(_STAGES)
    )
    return SplitRow(
        setting=setting,
        runtime=runtime,
        measure="points",
        preprocessing=None,
        conversion=conversion,
        quantization=quantization,
        runtime_part=last,
        total=candidate_runtime,
        reason=_absent(frozenset(_STAGES) - losses.keys()),
    )


def _nothing(setting: str, runtime: str, measure: Literal["points", "rms"], reason: str) -> SplitRow:
    return SplitRow(setting, runtime, measure, None, None, None, None, None, reason=reason)


def _absent(missing: frozenset[str]) -> str | None:
    listed = " and ".join(f"the {stage}" for stage in _STAGES if stage in missing)
    return f"{listed} could not be measured" if missing else None


def _all_finite(stages: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Each stage as a vector of the elements that are finite at all of them."""
    values = {name: np.asarray(stage, np.float64).reshape(-1) for name, stage in stages.items()}
    finite = np.logical_and.reduce([np.isfinite(stage) for stage in values.values()])
    return values if finite.all() else {name: stage[finite] for name, stage in values.items()}


def _difference(values: Mapping[str, NDArray[np.float64]], before: str, after: str) -> NDArray[np.float64] | None:
    if before not in values or after not in values:
        return None
    with np.errstate(over="ignore"):  # float64 outputs alone can overflow, and `row` says so
        return values[after] - values[before]


def _step_sums(step: NDArray[np.float64] | None, total: NDArray[np.float64] | None) -> StepSums:
    if step is None:
        return StepSums()
    return StepSums(sum_products(step, step), 0.0 if total is None else sum_products(step, total))
