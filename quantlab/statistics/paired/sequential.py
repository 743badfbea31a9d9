"""Bounds of a loss that stay true if a study is judged again and again with more samples.

**Any number of looks.** Who bets on each sample that its loss is below m cannot expect to win if the true loss is m or
more. By Ville's inequality, the probability that the capital ever reaches 1/α is at most α. So the losses m
against which the capital is below 1/α are a bound that holds at every number of samples at once (Waudby-Smith & Ramdas
2024, Journal of the Royal Statistical Society B 86:1–27). The capital is divided among fixed stakes (a mixture, Robbins
1970, Annals of Mathematical Statistics 41:1397–1409), so that it depends on the counts of changed answers alone, not on
the order of the samples.

**A planned number of samples.** At each look a part of α is spent (Lan & DeMets 1983, Biometrika 70:659–663), very
little of it early (O'Brien & Fleming 1979, Biometrics 35:549–556).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlab.statistics.paired.answers import check_one_sided
from quantlab.statistics.paired.stricter import Rebounding
from quantlab.types import ANY_LOOK, Evidence, Loss

__all__ = [
    "any_look_bounds",
    "any_look_quantile",
    "at_any_look",
    "log_capital",
    "obrien_fleming",
    "share_at_any_look",
]

_STAKES = np.geomspace(0.03, 0.98, 8)
"""Shares of the largest possible stake among which the capital is divided equally.

The best one is near the distance of the loss from m divided by the share of changed answers, which is seldom less than
three hundredths of the largest. More of them would leave less for each."""


def log_capital(became_wrong: ArrayLike, became_right: ArrayLike, n: ArrayLike, loss: float) -> NDArray[np.float64]:
    """Logarithm of the capital of bets that the loss is below `loss`, from 1 at the begin; element by element.

    A stake s of the largest one multiplies the capital by 1 − s for a sample that became wrong, by 1 + s·m/(1 − m) for
    one that did not change, and by 1 + s·(1 + m)/(1 − m) for one that became right, where m is the loss.

    Args:
        became_wrong: Samples that became wrong.
        became_right: Samples that became right.
        n: All samples.
        loss: m, a share between −1 and 1, both excluded.
    """
    wrong, right, total = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (became_wrong, became_right, n)))
    factors = np.log1p([-_STAKES, _STAKES * (1 + loss) / (1 - loss), _STAKES * loss / (1 - loss)])
    # No matrix product: sums are the same on every machine.
    each = sum(counts[..., None] * factors[row] for row, counts in enumerate((wrong, right, total - wrong - right)))
    most = each.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(each - most).mean(axis=-1)) + most[..., 0])


def any_look_bounds(became_wrong: int, became_right: int, *, n: int, confidence: float) -> tuple[float, float]:
    """One-sided bounds of the loss of right answers that hold at every number of samples, as shares from −1 to 1.

    Raises:
        ValueError: If n is below 1, a count is negative, the counts exceed n together, or the confidence is not between
            0.5 and 1.
    """
    check_one_sided(confidence)
    if n < 1 or min(became_wrong, became_right) < 0 or became_wrong + became_right > n:
        raise ValueError(
            f"counts must not be negative or exceed n together: {became_wrong} and {became_right} of n = {n}"
        )
    return (
        -_upper(became_right, became_wrong, n, confidence),
        _upper(became_wrong, became_right, n, confidence),
    )


def _upper(wrong: int, right: int, n: int, confidence: float) -> float:
    """The loss at which the capital is 1/α; it increases with the loss. 1 if it is less even there."""
    from scipy.optimize import brentq  # imported here because SciPy is slow to import and few commands need it

    needed = -math.log1p(-confidence)

    def excess(loss: float) -> float:
        return float(log_capital(wrong, right, n, loss)) - needed

    low, high = (wrong - right) / n, 1 - 1e-12
    low = max(low, -1 + 1e-12)
    return 1.0 if excess(high) < 0 else float(brentq(excess, low, high, xtol=1e-12))


def share_at_any_look(events: int, n: int, confidence: float) -> tuple[float, float]:
    """One-sided bounds of a share events / n that hold at every number of samples.

    Raises:
        ValueError: See `any_look_bounds`.
    """
    _, upper = any_look_bounds(events, 0, n=n, confidence=confidence)
    _, of_others = any_look_bounds(n - events, 0, n=n, confidence=confidence)
    return 1 - of_others, upper


def any_look_quantile(n: int, confidence: float) -> float:
    """Distance in standard errors of a bound that holds at every number of samples, for means of many samples.

    The boundary of a normal mixture (Robbins 1970), √((1 + 1/(n·ρ²))·ln((n·ρ² + 1)/(2α)²)). It is asymptotic for means
    that are not normal (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52:2613–2640), and
    narrowest for `_USUAL` samples.

    Raises:
        ValueError: If the confidence is not between 0.5 and 1.
    """
    check_one_sided(confidence)
    two_sided = 2 * (1 - confidence)
    width = -2 * math.log(two_sided)
    ratio = (width + math.log(max(width, 1e-9)) + 1) / _USUAL if width > 1 else 1 / _USUAL
    return math.sqrt((1 + 1 / (n * ratio)) * math.log((n * ratio + 1) / two_sided**2))


_USUAL = 1000
"""Number of samples for which the bounds of means are narrowest."""


def at_any_look(evidence: Evidence, confidence: float) -> Evidence:
    """The same evidence with bounds that hold at every number of samples.

    Bounds of changed answers are computed from their counts. For others, the distance from the figure is multiplied by
    the ratio of `any_look_quantile` to the quantile of one look.

    Args:
        evidence: With bounds of one look, at any confidence.
        confidence: One-sided confidence of the new bounds.

    Raises:
        ValueError: If the confidence is not between 0.5 and 1.
    """
    bounding = Rebounding(
        confidence,
        lambda wrong, right, n: any_look_bounds(wrong, right, n=n, confidence=confidence),
        lambda n: any_look_quantile(n, confidence),
        any_look=True,
    )
    bounded = bounding.evidence(evidence)
    if evidence.agreement is None and evidence.same is not None:
        return replace(bounded, agreement=_agreement(evidence.same, evidence.n, confidence))
    return bounded


def _agreement(same: int, n: int, confidence: float) -> Loss:
    """The loss of agreement of samples with one class each, in points, which is a count otherwise."""
    lower, upper = (100 * bound for bound in share_at_any_look(n - same, n, confidence))
    loss = 100 * (n - same) / n
    return Loss(
        "agreement", "higher", "pt", n, 100.0, 100 - loss, loss, lower, upper, confidence, f"betting, {ANY_LOOK}"
    )


def obrien_fleming(numbers: Sequence[int], planned: int, confidence: float) -> float:
    """One-sided confidence of the bounds at the last of several looks, so that all looks together keep `confidence`.

    α·(t) = 2 − 2·Φ(z_{α/2} / √t) is spent up to the share t of the planned samples (Lan & DeMets 1983). The boundary of
    each look follows from those before by numerical integration (Armitage, McPherson & Rowe 1969, Journal of the Royal
    Statistical Society A 132:235–244).

    Args:
        numbers: Numbers of samples at the looks, increasing; the last may be more than planned.
        planned: The planned number of samples.
        confidence: One-sided confidence of the whole plan.

    Raises:
        ValueError: If there is no look, or the numbers do not increase.
    """
    from scipy.special import ndtr, ndtri  # imported here because SciPy is slow to import and few commands need it

    check_one_sided(confidence)
    if not numbers or any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise ValueError(f"looks need increasing numbers of samples, not {list(numbers)}")
    alpha = 1 - confidence

    def spent(share: float) -> float:
        return float(2 - 2 * ndtr(ndtri(1 - alpha / 2) / math.sqrt(min(1.0, share))))

    shares = [number / max(planned, numbers[-1]) for number in numbers]
    boundary = _Boundary()
    before = 0.0
    for share in shares:
        after = spent(share)
        boundary.next(share, after - before)
        before = after
    return float(ndtr(boundary.quantile))


class _Boundary:
    """The density of the sum of a random walk that has not crossed any boundary so far, on a grid."""

    def __init__(self) -> None:
        self.quantile = math.inf
        self._share = 0.0
        self._grid: NDArray[np.float64] | None = None
        self._mass: NDArray[np.float64] = np.ones(1)

    def next(self, share: float, alpha: float) -> None:
        """Go on to a share of the samples, and set the boundary that is crossed there with the probability `alpha`."""
        from scipy.optimize import brentq  # imported here because SciPy is slow to import and few commands need it
        from scipy.special import ndtr

        deviation = math.sqrt(share - self._share)
        places = np.zeros(1) if self._grid is None else self._grid

        def crossing(height: float) -> float:
            return float((self._mass * ndtr(-(height * math.sqrt(share) - places) / deviation)).sum())

        # Far beyond any boundary of use, the probability to cross it is 0.
        high = _HIGHEST
        self.quantile = (
            high
            if crossing(high) >= alpha
            else float(brentq(lambda height: crossing(height) - alpha, -_HIGHEST, high, xtol=1e-10))
        )
        grid = np.linspace(-_HIGHEST * math.sqrt(share), self.quantile * math.sqrt(share), _POINTS)
        step = grid[1] - grid[0]
        edges = np.concatenate([grid - step / 2, grid[-1:] + step / 2])
        edges[-1] = grid[-1]
        cumulative = ndtr((edges[:, None] - places[None, :]) / deviation)
        self._mass = np.diff((cumulative * self._mass).sum(axis=1))
        self._grid, self._share = grid, share


_HIGHEST = 8.0
_POINTS = 801
