"""Distribution of a quantity over samples, and the expected calibration error."""

import math

import numpy as np
from numpy.typing import NDArray

from quantlab.types import Spread

__all__ = ["PERCENTILES_FROM", "expected_calibration_error", "spread_of"]

PERCENTILES_FROM = 100
"""Fewest samples for percentiles; with fewer, the 99th percentile would equal the maximum."""

_PER_MILLE = {"50": 500, "90": 900, "95": 950, "99": 990, "99.9": 999}
_BINS = 15


def spread_of(values: NDArray[np.float64]) -> Spread:
    """Summarize numbers of shape (n,), of which some may be infinite or NaN.

    A percentile is the smallest value in the data that at least that share of the values does not exceed.
    """
    n = len(values)
    infinite, undefined = int(np.isinf(values).sum()), int(np.isnan(values).sum())
    finite = n > 0 and not infinite and not undefined
    percentiles = _percentiles(values) if n >= PERCENTILES_FROM and not undefined else {}
    return Spread(
        n=n,
        infinite=infinite,
        undefined=undefined,
        mean=float(values.mean()) if finite else None,
        standard_error=float(values.std(ddof=1)) / math.sqrt(n) if finite and n > 1 else None,
        median=percentiles.pop("50", None),
        percentiles=percentiles,
        maximum=float(values.max()) if n and not undefined else None,
    )


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    # Integer ranks: 99.9 % of 1,000 is exactly 999, but slightly more in floating point.
    ranks = [-(-len(values) * share // 1000) - 1 for share in _PER_MILLE.values()]
    return dict(zip(_PER_MILLE, np.partition(values, ranks)[ranks].tolist(), strict=True))


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error, 0 to 1: mean gap between confidence and accuracy over 15 bins of equal width.

    Naeini, Cooper & Hauskrecht 2015 (AAAI); the bins are open to the left, as in Guo et al. 2017 (ICML). NaN if a
    sample has no confidence, or there are no samples.

    Args:
        confidence: (n,): probability of the most likely class.
        right: (n,): whether that class is the true one.
    """
    if not len(confidence) or np.isnan(confidence).any():
        return math.nan
    bins = np.clip(np.ceil(confidence * _BINS).astype(np.intp) - 1, 0, _BINS - 1)
    # Bin sizes cancel: the weighted mean of the gaps is Σ |Σ confidence − Σ right| / n over the bins.
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
