"""How a number is spread over samples, and how well a confidence tells the share that is right."""

import math

import numpy as np
from numpy.typing import NDArray

from quantlab.types import Spread

__all__ = ["PERCENTILES_FROM", "expected_calibration_error", "spread_of"]

PERCENTILES_FROM = 100
"""With fewer samples the 99th percentile would be the maximum by another name."""

_PER_MILLE = {"50": 500, "90": 900, "95": 950, "99": 990, "99.9": 999}
_BINS = 15


def spread_of(values: NDArray[np.float64]) -> Spread:
    """Summarize (n,) numbers of which some may be infinite or NaN.

    Percentiles are values that occur: the least that at least so many percent do not exceed.
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
    # Ranks in whole numbers: 99.9 % of 1,000 is 999, and a hair more in floating point.
    ranks = [-(-len(values) * share // 1000) - 1 for share in _PER_MILLE.values()]
    return dict(zip(_PER_MILLE, np.partition(values, ranks)[ranks].tolist(), strict=True))


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """How far the confidence is from the share that is right, from 0 to 1: averaged over samples, in 15 equal bins.

    Naeini, Cooper & Hauskrecht 2015 (AAAI); bins of equal width, open to the left, as Guo et al. 2017 (ICML). NaN
    where a sample has no confidence, and for no samples.

    Args:
        confidence: (n,): the probability of the likeliest class.
        right: (n,): whether that class is the true one.
    """
    if not len(confidence) or np.isnan(confidence).any():
        return math.nan
    bins = np.clip(np.ceil(confidence * _BINS).astype(np.intp) - 1, 0, _BINS - 1)
    # Σ over bins of |Σ confidence − Σ right| / n: their numbers cancel.
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
