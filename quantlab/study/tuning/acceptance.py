"""Which candidates of a search may be expected to keep the budget on other samples.

The search samples are few, and the best of many candidates looks better on them than it is. So the figures of classes
are not taken from one candidate alone. They follow from its error by two factors that all candidates tell together:

    share of changed samples = rate · √error        loss = harm · share of changed samples

On MobileNetV1 0.25 the rates of candidates from 1 to 15 % of changed samples differ by less than half. The expected
bound is this loss, and the quantile of the normal distribution times √(share / n), for n samples of the verdict: the
variance of a paired loss is at most share / n. With ten changed samples or more, about half of the artifacts keep this
bound. With fewer, the intervals of the verdict (exact ones) are wider: with two changed samples, 10 to 20 % keep it.

If n samples are so few that the verdict could not be `fits` even if none of them changed, the share itself is compared
with the budget, as if every change were a loss. That verdict is inconclusive.

Other metrics, such as the mean absolute error, have their own interval on the search samples, made narrower or wider
for n samples. It does not take into account that the best of many candidates was chosen on these samples.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from quantlab.errors import UsageError
from quantlab.names import joined
from quantlab.statistics import zero_discordance_bound
from quantlab.types import ERROR_FIGURES, Budget, Candidate, Loss, Miss, TunedFormat, limit_of

__all__ = [
    "UNGUIDED",
    "Goal",
    "Measured",
    "closest",
    "figure_of",
    "has_errors",
    "preferred",
    "refuse_unguided",
    "smallest",
]

_LEAST_HARM = 0.3
"""Share of changed samples that counts as loss at least: few samples may show a gain by chance. Of candidates of the
MobileNet above that lose more than a point, it is between 0.24 and 0.43."""


UNGUIDED = (
    "the budget sets no limit of the loss that a search looks at, so the smallest artifact would be chosen whatever it "
    "loses; give max_accuracy_loss (0.5pt), min_agreement (99%) or min_sqnr (40dB), which counts for the scored output"
)
"""What is said about such a budget."""


_LITTLE = 1.01
"""Ratio of sizes up to which a lower error is worth more."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one candidate on the search samples."""

    name: str
    size_bytes: int
    """As the target transfers it."""
    n: int
    error: float
    """Mean divergence of the class probabilities from the model's in nats, which is infinite if one of them is 0; mean
    squared error without classes; infinite if an output is not finite."""
    changed: int | None = None
    """Samples whose top-1 changed; None without classes."""
    loss: Loss | None = None
    """Loss of the metric; None without labels."""
    sqnr_db: float | None = None
    """Of the scored output."""
    official: bool = False
    squared_error: float = math.inf
    """Mean squared error of the scored output; infinite if an output is not finite."""


def figure_of(measured: Iterable[Measured]) -> Callable[[Measured], float]:
    """The figure that compares candidates: the error, or the squared error if one of the errors is infinite.

    A softmax that gives codes gives some classes a probability of 0, so that the divergence is infinite, however small
    its error is. Candidates with outputs that are not finite do not count: both figures of theirs are infinite.
    """
    if has_errors(measured):
        return lambda one: one.error
    return lambda one: one.squared_error


def has_errors(measured: Iterable[Measured]) -> bool:
    """Whether the error compares candidates, see `figure_of`."""
    finite = [one for one in measured if math.isfinite(one.squared_error)]
    return all(math.isfinite(one.error) for one in finite)


def refuse_unguided(budget: Budget, output: str | None = None) -> str | None:
    """Return a warning about limits that only the verdict looks at; None without any.

    Args:
        budget: The budget.
        output: Name of the scored output, of which alone the search knows the SQNR; None as long as it is unknown.

    Raises:
        UsageError: If the search looks at no limit of the loss. It would choose the smallest candidate, whatever it
            loses.
    """
    limits = budget.limits_of("sqnr")
    elsewhere = [] if output is None else [limit for limit in limits if limit.place not in (None, output)]
    if budget.margin is None and budget.agreement is None and len(limits) == len(elsewhere):
        raise UsageError(UNGUIDED if output is None else f"{UNGUIDED} '{output}'")
    beside = ["max_class_loss"] if budget.class_margin is not None else []
    beside += ["max_slice_loss"] if budget.slice_margin is not None else []
    beside += [f"min_sqnr of {limit.place}" for limit in elsewhere]
    beside += [figure.limit for name, figure in ERROR_FIGURES.items() if name != "sqnr" and budget.limits_of(name)]
    return f"the search does not look at {joined(beside)}; the verdict does" if beside else None


@dataclass(frozen=True, slots=True)
class Goal:
    """The budget, and the number of samples on which it will be judged."""

    budget: Budget
    n: int
    """Samples of the verdict."""
    output: str = ""
    """Name of the scored output."""

    def judged(self, measured: Sequence[Measured]) -> list[Candidate]:
        """Every candidate, with the bound that is expected of it, the largest first."""
        figure = figure_of(measured)
        errors = [figure(one) for one in measured]
        rate, harm = _rate(measured, errors), _harm(measured)
        judged = [self._judged(one, error, rate, harm) for one, error in zip(measured, errors, strict=True)]
        return sorted(judged, key=lambda one: (-one.size_bytes, one.name))

    def among(self, official: Sequence[Measured], note: str) -> TunedFormat:
        """The decision without a search."""
        candidates = self.judged(official)
        chosen = smallest(candidates) or closest(candidates)
        return TunedFormat(tuple(candidates), chosen.name, setting=chosen.name, note=note)

    def _judged(self, one: Measured, error: float, rate: float | None, harm: float) -> Candidate:
        upper, unit, misses = self._expected(one, _share(one, error, rate), harm)
        if not math.isfinite(error):  # whatever is told by the few samples whose outputs are finite
            upper, misses = math.inf, []
        keeps = math.isfinite(error) and not misses
        if self.budget.size_bytes is not None and one.size_bytes > self.budget.size_bytes:
            misses.append(Miss("max_size", one.size_bytes, self.budget.size_bytes, "bytes"))
        return Candidate(
            one.name,
            one.size_bytes,
            one.n,
            error,
            one.changed,
            None if one.loss is None else one.loss.loss,
            upper,
            keeps,
            keeps and not misses,
            one.official,
            unit,
            tuple(misses),
        )

    def _expected(self, one: Measured, share: float | None, harm: float) -> tuple[float, str, list[Miss]]:
        """The expected upper bound, its unit, and the limits of the loss that are not kept.

        See the top of the file for few samples.
        """
        budget, loss = self.budget, one.loss
        upper, unit, misses = self._of_numbers(one)
        points = spread = 0.0
        if share is not None:
            points, spread = 100 * share, 100 * self._z * math.sqrt(share / self.n)
            upper, unit = points + spread, "pt"
            if budget.agreement is not None:
                least = 100 - budget.agreement
                changed = upper if self._least_changed < least else points
                if changed > least:
                    misses.append(Miss("min_agreement", 100 - changed, budget.agreement, "%"))
        if loss is None:
            return upper, unit, misses
        margin = None if budget.margin is None else budget.margin.of(loss)
        expected = upper
        if share is not None and loss.discordant is not None:
            expected = upper = harm * points + spread
            if margin is not None and self._least_changed >= margin:
                expected = points
        elif margin is not None:
            expected = upper = loss.loss + (loss.upper - loss.loss) * math.sqrt(one.n / self.n)
            unit = loss.unit
        if margin is not None and not expected <= margin:
            misses.append(Miss("max_accuracy_loss", expected, margin, loss.unit))
        return upper, unit, misses

    def _of_numbers(self, one: Measured) -> tuple[float, str, list[Miss]]:
        """The same of an output without classes."""
        upper, unit = (one.error, "") if one.sqnr_db is None else (-one.sqnr_db, "dB")
        least = limit_of(self.output, None, self.budget.limits_of("sqnr"))
        reached = -math.inf if one.sqnr_db is None else one.sqnr_db
        if least is None or reached >= least.value:
            return upper, unit, []
        return upper, unit, [Miss("min_sqnr", reached, least.value, "dB")]

    @property
    def _z(self) -> float:
        """The quantile of the normal distribution at the budget's confidence."""
        return NormalDist().inv_cdf(self.budget.confidence)

    @property
    def _least_changed(self) -> float:
        """The upper bound of changed samples in percent, and of the loss in points, if no sample changes."""
        return 100 * zero_discordance_bound(self.n, self.budget.confidence)


def _rate(measured: Sequence[Measured], errors: Sequence[float]) -> float | None:
    """Share of changed samples in relation to the square root of the error, over all candidates."""
    known = [
        (one.changed / one.n, math.sqrt(error))
        for one, error in zip(measured, errors, strict=True)
        if one.changed is not None and 0 < error < math.inf and one.changed < one.n / 2
    ]
    shares, roots = (sum(column) for column in zip(*known, strict=True)) if known else (0.0, 0.0)
    return shares / roots if roots else None


def _share(one: Measured, error: float, rate: float | None) -> float | None:
    """The share of samples that change; None without classes."""
    if one.changed is None:
        return None
    own = one.changed / one.n
    if rate is None or own >= 0.5:
        return own
    return min(rate * math.sqrt(error), 1.0)


def _harm(measured: Iterable[Measured]) -> float:
    """The loss in points in relation to changed samples in percent, over all candidates."""
    known = [
        (one.loss.loss, 100 * one.changed / one.n)
        for one in measured
        # Not of a ruined one, as above: of its samples most were right.
        if one.loss is not None and one.changed is not None and one.changed < one.n / 2 and math.isfinite(one.loss.loss)
    ]
    losses, changes = (sum(column) for column in zip(*known, strict=True)) if known else (0.0, 0.0)
    return min(max(losses / changes, _LEAST_HARM), 1.0) if changes else _LEAST_HARM


def smallest(candidates: Sequence[Candidate]) -> Candidate | None:
    """The smallest candidate that fits; of equal sizes that with the lowest error, and official ones first."""
    fitting = [one for one in candidates if one.fits]
    return min(fitting, key=lambda one: (one.size_bytes, not one.official, one.error), default=None)


def closest(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that comes closest to the budget if none fits.

    It is the smallest of those that are only too large; otherwise that with the lowest expected bound. Where all bounds
    are infinite, it is a setting: nothing that was tuned for such outputs is worth being written.
    """
    keeping = [one for one in candidates if one.keeps]
    if keeping:
        return min(keeping, key=lambda one: (one.size_bytes, one.error))
    return min(candidates, key=lambda one: (one.expected_upper, not one.official, one.size_bytes))


def preferred(candidates: Sequence[Candidate]) -> Candidate | None:
    """The smallest candidate that fits, or one that is hardly larger and has a lower error.

    It is not larger than a setting that fits: then nothing would be gained over that.
    """
    best = smallest(candidates)
    if best is None or best.official:
        return best
    fitting = [one for one in candidates if one.fits]
    official = min((one.size_bytes for one in fitting if one.official), default=math.inf)
    alike = [
        one
        for one in fitting
        if one.size_bytes <= _LITTLE * best.size_bytes and (one.official or one.size_bytes < official)
    ]
    return min(alike, key=lambda one: (one.error, one.size_bytes))
