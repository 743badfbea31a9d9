"""Figures of an output against the model, with bounds over the samples: SQNR, cosine, RMS and largest error.

They need no labels. The figures are those of `TensorError`: sums over all elements, not means of the samples' figures.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.npy import room
from quantlab.statistics.blocks import BLOCK_BYTES, blocks
from quantlab.statistics.narrow import count_in_rows, row_max
from quantlab.statistics.paired.answers import zero_discordance_bound
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, Totals
from quantlab.statistics.paired.cluster_bootstrap import bounds_of
from quantlab.statistics.paired.clusters import effective_groups
from quantlab.statistics.paired.decision import needed_for_bound
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.tensors import check_numbers
from quantlab.types import ERROR_FIGURES, ErrorFigure, OutputFigure, OutputLimit

__all__ = ["ErrorRows", "missing_samples_of", "output_figure"]

_Floats = NDArray[np.float64]

_BLOCK_BYTES = BLOCK_BYTES
_BOOTSTRAP, _LARGEST = "BCa bootstrap", "largest of the samples"


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRows:
    """What each sample adds to the sums of an output's error, without elements that are not finite in the model."""

    sums: _Floats
    """(n, 5): Σ error², Σ reference², Σ candidate², Σ reference·candidate, and the number of elements."""
    largest: _Floats
    """(n,): largest |error|; 0 for a sample without elements."""
    spoiled: bool = False
    """Whether an element is not finite in the candidate and finite in the reference."""

    @classmethod
    def of(
        cls,
        reference: NDArray[Any],
        candidate: NDArray[Any],
        *,
        scored: NDArray[np.bool_] | None = None,
        channel: int | None = None,
    ) -> Self:
        """Read an output in blocks; arrays may be memory-mapped.

        Args:
            reference: Samples first, then any shape; floats, integers or booleans.
            candidate: The same shape; the dtype may differ.
            scored: (n,), whether a sample is compared; the others have no row. None compares all.
            channel: Index along the last axis; None compares all elements.

        Raises:
            ValueError: If the shapes differ, or a dtype is not one of real numbers.
        """
        check_same_shape(reference, candidate)
        check_numbers(reference=reference, candidate=candidate)
        at = ... if channel is None or reference.ndim < 2 else (..., channel)
        n = len(reference) if scored is None else int(np.count_nonzero(scored))
        whole, start = cls(room((n, 5), np.float64), room((n,), np.float64)), 0
        spoiled = False
        for rows in blocks(reference, block_bytes=_BLOCK_BYTES):
            part = cls._of_block(reference[rows][at], candidate[rows][at], None if scored is None else scored[rows])
            stop = start + len(part.largest)
            whole.sums[start:stop], whole.largest[start:stop] = part.sums, part.largest
            start, spoiled = stop, spoiled or part.spoiled
        return cls(whole.sums, whole.largest, spoiled)

    @classmethod
    def _of_block(cls, reference: NDArray[Any], candidate: NDArray[Any], scored: NDArray[np.bool_] | None) -> Self:
        # The order of a sum of products depends on the layout, so arrays of another layout are copied all the same.
        in_rows = reference.flags.c_contiguous and candidate.flags.c_contiguous
        kept = slice(None) if scored is None or (in_rows and scored.all()) else scored
        expected, actual = (_flat(array[kept]) for array in (reference, candidate))
        known, usable = np.isfinite(expected), np.isfinite(actual)
        both = known & usable
        if not (both.all() and expected.flags.c_contiguous and actual.flags.c_contiguous):
            expected, actual = np.where(both, expected, 0.0), np.where(both, actual, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            error = actual - expected
            pairs = ((error, error), (expected, expected), (actual, actual), (expected, actual))
            sums = [np.einsum("ij,ij->i", one, other) for one, other in pairs]
        return cls(
            np.stack([*sums, count_in_rows(known)], axis=1),
            row_max(np.abs(error), initial=0.0),
            bool((known & ~usable).any()),
        )


def output_figure(
    rows: ErrorRows, limit: OutputLimit, *, output: str, channel: int | None, resampling: Resampling
) -> OutputFigure:
    """A figure of one output or channel, with bounds from a bootstrap of samples.

    The bootstrap works on a scale on which 0 is no error (`ErrorFigure.to_error`), where resamples without any error
    are finite.

    The largest error has no such bound: other samples may exceed it. Its bounds say what is known: the true largest
    error is at least that of these samples.

    Args:
        rows: What each sample adds, at least one sample.
        limit: The limit, which names the figure.
        output: Name of the output, copied to the result.
        channel: Index of the channel, copied to the result.
        resampling: Confidence of each bound, and parameters of the bootstrap.
    """
    figure = ERROR_FIGURES[limit.figure]
    n = len(rows.sums)
    if rows.spoiled or not np.isfinite(rows.sums).all():
        worst = math.nan if figure.name == "cosine" else figure.from_error(math.inf)
        value, lower, upper, method = worst, -math.inf, math.inf, _BOOTSTRAP
    elif figure.name == "max_abs_error":
        value = lower = upper = float(rows.largest.max(initial=0.0))
        method = _LARGEST
    else:
        bounds = _bounds(rows.sums, figure, resampling)
        value, method = figure.from_error(bounds.candidate), bounds.method
        low, high = figure.from_error(bounds.lower), figure.from_error(bounds.upper)
        lower, upper = (high, low) if figure.higher_is_better else (low, high)
    return OutputFigure(
        figure=figure.name,
        output=output,
        channel=channel,
        limit=limit.value,
        n=n,
        value=value,
        lower=lower,
        upper=upper,
        confidence=resampling.confidence,
        method=method,
    )


def missing_samples_of(figure: OutputFigure) -> int | None:
    """Additional samples, at least 1, that would decide an inconclusive figure; None if no number would.

    They are computed from the width of the bounds, which shrinks with √n.
    """
    kind = ERROR_FIGURES[figure.figure]
    low, high = sorted(kind.to_error(end) for end in (figure.lower, figure.upper))
    error, allowed = kind.to_error(figure.value), kind.to_error(figure.limit)
    width = high - error if error < allowed else error - low
    needed = needed_for_bound(width, abs(allowed - error), n=figure.n, confidence=figure.confidence)
    return None if needed is None else max(1, needed - figure.n)


def _bounds(sums: _Floats, figure: ErrorFigure, resampling: Resampling) -> Bounds:
    """Bounds of the error, which allow for the share of samples that may differ although none of n does.

    Such samples may all be as bad as the worst one of these, or all be without error.
    """
    from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

    of_means = _ERRORS[figure.name]
    totals = Totals(
        rows=csr_matrix(sums),
        multiplicity=np.ones(len(sums), np.int64),
        value=lambda resampled: (np.zeros(len(resampled)), of_means(resampled)),
        unseen=lambda _: 0.0,
    )
    bounds = bounds_of(totals, -1, resampling)
    groups = resampling.groups
    independent = float(len(sums)) if groups is None else effective_groups(np.bincount(groups))
    share = zero_discordance_bound(independent, resampling.confidence)
    with np.errstate(invalid="ignore"):
        worse = float(np.nanmax(of_means(sums.mean(axis=0) + share * sums), initial=bounds.upper))
    better = max(0.0, min(bounds.lower, (1 - share) * bounds.candidate))
    return replace(bounds, lower=better, upper=worse)


def _noise(means: _Floats) -> _Floats:
    """Power of the error over that of the reference: 0 without error, ∞ for an error on an all-zero reference."""
    error, signal = np.maximum(means[:, 0], 0), np.maximum(means[:, 1], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise: _Floats = np.where(error == 0, 0.0, error / signal)
    return noise


def _distance(means: _Floats) -> _Floats:
    """1 − cosine; NaN if either side is all zeros and so has no direction."""
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = means[:, 3] / np.sqrt(np.maximum(means[:, 1], 0)) / np.sqrt(np.maximum(means[:, 2], 0))
    # A value below 0 is rounding error: |Σxy|² ≤ Σx²·Σy² (Cauchy–Schwarz).
    distance: _Floats = np.maximum(1 - cosine, 0.0)
    return distance


def _root(means: _Floats) -> _Floats:
    """Root mean square error; NaN without elements."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root: _Floats = np.sqrt(np.maximum(means[:, 0], 0) / means[:, 4])
    return root


_ERRORS = {"sqnr": _noise, "cosine": _distance, "rmse": _root}
"""Figure → its error from means (any, 5) of `ErrorRows.sums`."""


def _flat(block: NDArray[Any]) -> _Floats:
    # reshape(n, -1) cannot determine the second size if n is 0.
    return np.asarray(block, np.float64).reshape(len(block), math.prod(block.shape[1:]))
