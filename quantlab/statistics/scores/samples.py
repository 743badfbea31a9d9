"""Per-sample values of an output, computed in one pass over a memory-mapped file.

The statistics of `evidence` are functions of these vectors. A file of gigabytes is therefore read once per trial, and
the reference's vectors are computed once for all trials.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.blocks import BLOCK_BYTES, blocks
from quantlab.statistics.narrow import count_in_rows, finite_rows, negative_rows, row_max, row_min
from quantlab.statistics.scores.classification import TOP5_FROM_CLASSES, as_classes, check_classes, in_top5, top1
from quantlab.statistics.scores.divergence import Divergences, divergences_per_sample
from quantlab.statistics.scores.joining import joined
from quantlab.statistics.scores.positions import PositionCounts, Positions
from quantlab.statistics.scores.regression import labels_shaped
from quantlab.statistics.shapes import check_same_shape
from quantlab.types import Task

__all__ = ["CandidateSamples", "ClassSamples", "ErrorSamples", "ReferenceSamples", "SampleAttribute"]

_BLOCK_BYTES = BLOCK_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class ClassSamples:
    """Class-related values of one output, for each sample; every array is (n,).

    For a row that is not a distribution (see `kl_per_sample`), every probability is NaN.
    """

    top1: NDArray[np.int32]
    """Index of the largest value, the lowest among equals; −1 for a row that contains NaN."""
    confidence: NDArray[np.float64]
    """Probability of the most likely class."""
    normalizer: NDArray[np.float64]
    """Constant that turns a row into probabilities: ln Σ exp(logits), to subtract; or the row's sum, to divide by."""
    right: NDArray[np.bool_] | None = None
    """Whether the top-1 equals the label; None without labels, like the next two fields."""
    true_probability: NDArray[np.float64] | None = None
    """Probability of the true class."""
    in_top5: NDArray[np.bool_] | None = None
    """Whether fewer than five other classes score at least as high as the true class; None below ten classes."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorSamples:
    """Errors of one output against numeric labels, averaged over each sample's elements; arrays are (n,).

    Infinite if an element or a label is not finite.
    """

    absolute: NDArray[np.float64]
    squared: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SampleAttribute:
    """An attribute of the samples, whose values divide them into slices."""

    name: str
    values: tuple[str, ...]
    places: NDArray[Any]
    """(n,) integers: the place of each sample's value in `values`."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSamples:
    """The reference's output and its per-sample values."""

    shape: tuple[int, ...]
    """That of the output, samples first."""
    labels: NDArray[Any] | None
    task: Task
    probabilities: bool
    classes: ClassSamples | None
    """None if the columns are not classes."""
    errors: ErrorSamples | None
    """None if the task is not regression."""
    positions: Positions | None = None
    """Where the classes of each sample are; None if the sample has scores of classes itself, or no classes."""
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of the labels; empty where they have none."""
    attributes: tuple[SampleAttribute, ...] = ()
    """Attributes by which the samples are judged in slices."""
    whole: NDArray[Any] | None = None
    """The output itself, samples first; None if only the values of samples are kept."""

    @classmethod
    def of(
        cls,
        outputs: NDArray[Any],
        labels: NDArray[Any] | None,
        *,
        task: Task,
        probabilities: bool,
        classes: bool,
        positions: bool = False,
    ) -> Self:
        """Compute the per-sample values of the reference.

        Args:
            outputs: Samples first; may be memory-mapped.
            labels: Classes: (n,) integers from 0. Regression: the output's shape, ignoring axes of size 1.
                Positions: (n, …) integers, see `Positions.of`. Metric: what the metric reads. Similarity: None.
            task: What the output is compared with.
            probabilities: Whether rows hold probabilities; otherwise they hold logits.
            classes: Whether the columns of (n, classes), (n, 1) or (n,) are classes; False for classes of positions.
            positions: Whether an output without labels has classes of positions; with labels, these decide.

        Raises:
            ValueError: If the labels do not match the outputs, or a label is out of range.
        """
        outputs = np.asarray(outputs)
        if labels is not None and len(labels) != len(outputs):
            raise ValueError(f"there are {len(labels)} labels for {len(outputs)} samples; every sample needs one label")
        if classes and labels is not None:
            _check_labels(labels, max(2, outputs.shape[1] if outputs.ndim > 1 else 0))
        regression = task == "regression" and labels is not None
        of_positions = positions if labels is None or task == "metric" else not classes and not regression
        where = Positions.of(outputs, labels, probabilities=probabilities) if of_positions else None
        if where is not None and labels is not None:
            for rows in _small_blocks(labels):
                where.check(labels[rows])
        return cls(
            shape=outputs.shape,
            whole=outputs,
            labels=labels,
            task=task,
            probabilities=probabilities,
            classes=_read_classes(outputs, labels, probabilities) if classes else None,
            errors=_read_errors(outputs, labels) if regression else None,
            positions=where,
        )

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.shape[0]

    @property
    def outputs(self) -> NDArray[Any]:
        """The output itself; a UsageError if only the values of samples are kept."""
        return _whole(self.whole)

    @property
    def class_count(self) -> int:
        """Number of classes: two for a binary classifier of any shape; 0 if the columns are not classes."""
        if self.classes is None:
            return 0
        return max(2, self.shape[1] if len(self.shape) > 1 else 0)

    def itself(self) -> "CandidateSamples":
        """The reference compared with itself, which needs no outputs where samples have classes or numbers."""
        if self.whole is not None:
            return CandidateSamples.of(self, self.whole)
        equal = np.zeros(self.n)
        # A row that is no distribution has no divergence, not even from itself.
        apart = None if self.classes is None else np.where(np.isnan(self.classes.normalizer), np.nan, 0.0)
        return CandidateSamples(
            max_abs=equal,
            non_finite=0,
            classes=self.classes,
            divergence=apart,
            errors=self.errors,
            bounded=None if apart is None or not self.probabilities else Divergences(apart, apart, apart),
        )


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSamples:
    """A candidate's output and its per-sample comparison with the reference."""

    max_abs: NDArray[np.float64]
    """(n,): largest absolute difference of an element; infinite if a difference is not finite."""
    non_finite: int
    """Number of NaN and infinite elements in the candidate."""
    classes: ClassSamples | None
    divergence: NDArray[np.float64] | None
    """(n,): KL(reference‖candidate) in nats, see `kl_per_sample`; None if the columns are not classes."""
    errors: ErrorSamples | None
    positions: PositionCounts | None = None
    """Positions that are right and the same; None if the reference has no `positions`."""
    bounded: Divergences | None = None
    """All divergences of probabilities, of which two stay bounded where KL is infinite; None for logits, whose KL is
    always finite."""
    whole: NDArray[Any] | None = None
    """The output itself, samples first; None if only the values of samples are kept."""

    @property
    def outputs(self) -> NDArray[Any]:
        """The output itself; a UsageError if only the values of samples are kept."""
        return _whole(self.whole)

    @classmethod
    def of(cls, reference: ReferenceSamples, outputs: NDArray[Any]) -> Self:
        """Compare a candidate with the reference; both may be memory-mapped.

        Raises:
            ValueError: If the shapes differ.
        """
        outputs = np.asarray(outputs)
        check_same_shape(reference.outputs, outputs)
        compared = joined((_compare(reference, outputs, rows) for rows in _small_blocks(outputs)), len(outputs))
        return cls(
            whole=outputs,
            max_abs=compared.max_abs,
            non_finite=int(compared.non_finite.sum()),
            classes=compared.classes,
            divergence=compared.divergence,
            errors=None if reference.errors is None else _read_errors(outputs, reference.labels),
            positions=compared.positions,
            bounded=compared.bounded,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    max_abs: NDArray[np.float64]
    non_finite: NDArray[np.int64]
    divergence: NDArray[np.float64] | None = None
    classes: ClassSamples | None = None
    positions: PositionCounts | None = None
    bounded: Divergences | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """One block as distributions: `weights` / `sums`; `sums` is NaN for a row that is not a distribution."""

    values: NDArray[np.float64]
    highest: NDArray[np.float64]
    weights: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def of(cls, block: NDArray[Any], *, probabilities: bool) -> Self:
        values = block.astype(np.float64)
        highest = row_max(values)
        weights = values if probabilities else np.exp(values - highest[:, None])
        sums = weights.sum(axis=1)
        none = ~finite_rows(values)
        if probabilities:
            none |= negative_rows(values) | (sums == 0) | ~np.isfinite(sums)
        sums[none] = np.nan
        return cls(values, highest, weights, sums)

    def samples(self, block: NDArray[Any], labels: NDArray[Any] | None, *, probabilities: bool) -> ClassSamples:
        spoiled = np.isnan(self.highest)
        likeliest = self.highest if probabilities else 1.0  # exp(0)
        of_row = ClassSamples(
            top1=top1(block, spoiled=spoiled).astype(np.int32),
            confidence=likeliest / self.sums,
            normalizer=self.sums if probabilities else self.highest + np.log(self.sums),
        )
        if labels is None:
            return of_row
        place = labels.astype(np.intp)[:, None]
        return ClassSamples(
            of_row.top1,
            of_row.confidence,
            of_row.normalizer,
            right=of_row.top1 == labels,
            true_probability=np.take_along_axis(self.weights, place, axis=1)[:, 0] / self.sums,
            in_top5=None if block.shape[1] < TOP5_FROM_CLASSES else in_top5(block, labels, spoiled=spoiled),
        )


def _whole(outputs: NDArray[Any] | None) -> NDArray[Any]:
    if outputs is None:
        raise UsageError(
            "this figure is computed from whole outputs, and the study keeps scores only; run 'quantlab analyze' again "
            "with --store outputs, or choose a metric of single samples: top1, top5, macro-f1, mae or rmse"
        )
    return outputs


def _compare(reference: ReferenceSamples, outputs: NDArray[Any], rows: slice) -> _Compared:
    expected, actual = reference.outputs[rows], outputs[rows]
    non_finite = count_in_rows(~_flat(np.isfinite(actual)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if reference.classes is None:
            difference = expected.astype(np.float64) - actual.astype(np.float64)
            labels = None if reference.labels is None else reference.labels[rows]
            where = reference.positions
            counts = None if where is None else PositionCounts.of(where, expected, actual, labels)
            return _Compared(_greatest(_flat(difference)), non_finite, positions=counts)
        of_reference = as_classes(expected, probabilities=reference.probabilities)
        of_candidate = as_classes(actual, probabilities=reference.probabilities)
        q = _Rows.of(of_candidate, probabilities=reference.probabilities)
        difference = of_reference.astype(np.float64) - q.values
        max_abs = _greatest(difference)
        labels = None if reference.labels is None else reference.labels[rows]
        if reference.probabilities:
            bounded = divergences_per_sample(of_reference, of_candidate, probabilities=True)
            divergence = bounded.kl
        else:
            # The two bounded ones would make reading a candidate 1.7 times slower.
            bounded = None
            divergence = _divergence_of_logits(_Rows.of(of_reference, probabilities=False), q, difference)
        return _Compared(
            max_abs=max_abs,
            non_finite=non_finite,
            divergence=divergence,
            bounded=bounded,
            classes=q.samples(of_candidate, labels, probabilities=reference.probabilities),
        )


def _divergence_of_logits(p: _Rows, q: _Rows, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ p·(ln p − ln q) from values that are already computed; overwrites `difference`, the logits x − y.

    This is a second, faster implementation of `kl_per_sample` for logits, which would compute all exponentials and
    logarithms again and make reading a candidate 1.5 to 2 times slower. The two round differently (a test compares
    them). `Scores` use `kl_per_sample`, so that its digits do not change.

    ln p − ln q = (x − max x) − (y − max y) + ln (Σq / Σp): a constant shift of all logits is removed before summing.
    """
    difference -= (p.highest - q.highest)[:, None]
    divergence: NDArray[np.float64] = np.einsum("ij,ij->i", p.weights, difference) / p.sums + np.log(q.sums / p.sums)
    # A negative value is rounding error (Gibbs' inequality); NaN is kept.
    return np.maximum(divergence, 0.0, out=divergence)


def _greatest(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest absolute value of each row; infinite if one is not finite, 0 for a row without elements."""
    greatest = np.maximum(row_max(difference, initial=0.0), -row_min(difference, initial=0.0))
    greatest += 0.0  # which of 0 and −0 is the maximum depends on where arrays lie in memory
    return np.where(np.isnan(greatest), np.inf, greatest)


def _read_classes(outputs: NDArray[Any], labels: NDArray[Any] | None, probabilities: bool) -> ClassSamples:
    def read(rows: slice) -> ClassSamples:
        block = as_classes(outputs[rows], probabilities=probabilities)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distributions = _Rows.of(block, probabilities=probabilities)
            of_rows = None if labels is None else labels[rows]
            return distributions.samples(block, of_rows, probabilities=probabilities)

    return joined((read(rows) for rows in _small_blocks(outputs)), len(outputs))


def _read_errors(outputs: NDArray[Any], labels: NDArray[Any] | None) -> ErrorSamples:
    truth = labels_shaped(np.asarray(labels), outputs.shape)

    def read(rows: slice) -> ErrorSamples:
        with np.errstate(invalid="ignore", over="ignore"):
            error = _flat(np.abs(outputs[rows].astype(np.float64) - truth[rows]))
        error[np.isnan(error)] = np.inf
        return ErrorSamples(error.mean(axis=1), np.square(error).mean(axis=1))

    return joined((read(rows) for rows in _small_blocks(outputs)), len(outputs))


def _flat(block: NDArray[Any]) -> NDArray[Any]:
    # reshape(n, -1) cannot determine the second size if n is 0.
    return block.reshape(len(block), math.prod(block.shape[1:]))


def _small_blocks(outputs: NDArray[Any]) -> list[slice]:
    # Without samples, one empty block still yields results with all fields and dtypes.
    return list(blocks(outputs, block_bytes=_BLOCK_BYTES)) or [slice(0, 0)]


def _check_labels(labels: NDArray[Any], classes: int) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        raise ValueError(
            f"the labels have dtype {labels.dtype} and shape {labels.shape}; classes need integer labels of shape (n,)"
        )
    check_classes(labels, classes)
