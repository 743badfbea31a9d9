"""A user's own metric: `module:function:higher`, called as `function(outputs, labels)` in a process of its own.

It may return one number for the set, one for each sample, whose mean is the metric, or two for each sample: then the
metric is the sum of the first over the sum of the second. Numbers of samples are resampled without another call.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, Totals, WholeSets
from quantlab.statistics.paired.cluster_bootstrap import bounds_of
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.ratios import mean_of_values, ratio_of_sums
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Direction
from quantlab.user_functions import CalledMetric

__all__ = ["CalledSets", "OwnMetric", "read_metric"]

_Values = NDArray[np.float64]

_ROUNDING = 1e-5
"""See `_nearly_same`."""


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """The name of a user's function, taken apart."""

    function: str
    """`module:function`."""
    direction: Direction
    each: bool
    """Whether the function takes one sample instead of the set."""


def read_metric(text: str) -> OwnMetric:
    """Parse `module:function:higher` or `…:lower`, with `:sample` after it if the function takes one sample.

    Raises:
        UsageError: If the text has another form, or the module or the function cannot be loaded.
    """
    module_name, _, rest = text.partition(":")
    name, _, ending = rest.partition(":")
    direction, _, each = ending.partition(":")
    if direction not in ("higher", "lower") or each not in ("", "sample") or not module_name or not name:
        raise UsageError(
            f"the metric '{text}' does not state which direction is better; "
            f"write '{module_name or 'module'}:{name or 'function'}:higher' or "
            f"'{module_name or 'module'}:{name or 'function'}:lower'"
        )
    function = f"{module_name}:{name}"
    CalledMetric(function, UsageError).close()
    return OwnMetric(function, "higher" if direction == "higher" else "lower", each == "sample")


@dataclass(frozen=True, slots=True, eq=False)
class CalledSets:
    """Two sets of outputs, and the user's function that compares them with the labels."""

    own: OwnMetric
    reference: ReferenceSamples
    candidate: CandidateSamples

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """As those of `Totals` for numbers of samples, else of `WholeSets`, from a process that lives as long.

        Raises:
            UsageError: If the function does anything but return numbers of a form above, differs when it is called
                again, returns NaN for finite outputs, a denominator that is none, or another form for the candidate
                than for the reference.
        """
        with CalledMetric(self.own.function, UsageError, each=self.own.each) as metric:
            reference = self._repeated(metric)
            candidate = self._of_candidate(metric, reference)
            totals = self._totals(reference, candidate)
            if totals is not None:
                return bounds_of(totals, sign, resampling)
            labels = np.asarray(self.reference.labels)
            sets = WholeSets(
                n=self.reference.n,
                reference=lambda these: metric(self.reference.outputs, labels, these),
                candidate=lambda these: metric(self.candidate.outputs, labels, these),
            )
            return bounds_of(sets, sign, resampling)

    def of_reference(self) -> float:
        """The metric of the reference alone, from a process that lives as long.

        Raises:
            UsageError: See `bounds`.
        """
        with CalledMetric(self.own.function, UsageError, each=self.own.each) as metric:
            values = self._repeated(metric)
        totals = self._totals(values, values)
        return float(values) if totals is None else totals.of_reference()

    def totals(self) -> Totals | None:
        """The sums over the samples; None if the function returns one number for the set. Raises like `bounds`."""
        with CalledMetric(self.own.function, UsageError, each=self.own.each) as metric:
            reference = self._repeated(metric)
            return self._totals(reference, self._of_candidate(metric, reference)) if reference.ndim else None

    def _repeated(self, metric: CalledMetric) -> _Values:
        """What the function returns for the reference, twice the same, and for each sample the same among fewer."""
        outputs, labels = self.reference.outputs, np.asarray(self.reference.labels)
        first, again = (metric.measure(outputs, labels) for _ in range(2))
        if not _same(first, again):
            raise UsageError(
                f"the metric '{self.own.function}' gave {_told(first, again)} and then {_told(again, first)} for the "
                f"same outputs; remove what is random in it, or give it a seed"
            )
        if np.isnan(first).any():
            before = f"the metric '{self.own.function}' returned NaN"
            after = " for the outputs of the model; return a number for every finite output"
            if not first.ndim:
                raise UsageError(f"{before}{after}")
            raise OddSample(f"{before} for", int(np.argmax(np.isnan(first)) // _columns(first)), after)
        self._check_denominators(first, "the outputs of the model")
        half = np.arange(0, len(outputs), 2)
        if first.ndim and not self.own.each and not _nearly_same(metric.measure(outputs, labels, half), first[half]):
            raise UsageError(
                f"the metric '{self.own.function}' returned a number for each sample that depends on the other "
                f"samples, because for every second sample it returned others; return one number for the set instead"
            )
        return first

    def _of_candidate(self, metric: CalledMetric, reference: _Values) -> _Values:
        values = metric.measure(self.candidate.outputs, np.asarray(self.reference.labels))
        if values.shape != reference.shape:
            raise UsageError(
                f"the metric '{self.own.function}' returned {_form(reference)} for the outputs of the model, and "
                f"{_form(values)} for those of a variant; return the same form for both"
            )
        if not self._finite_candidate():
            # A denominator that is none spoils the metric, instead of dividing an error by infinity.
            return np.full_like(values, np.nan) if _odd_denominators(values).any() else values
        if np.isnan(values).any():
            raise UsageError(
                f"the metric '{self.own.function}' returned NaN for outputs of a variant that are finite; return a "
                f"number for every finite output"
            )
        self._check_denominators(values, "outputs of a variant")
        return values

    def _check_denominators(self, values: _Values, of: str) -> None:
        odd = _odd_denominators(values)
        if odd.any():
            place = int(np.argmax(odd))
            raise OddSample(
                f"the metric '{self.own.function}' returned the denominator {values[place, 1]:g} for",
                place,
                f", in {of}; return finite numbers from 0",
            )
        if values.ndim == 2 and not values[:, 1].any():
            raise UsageError(
                f"the metric '{self.own.function}' returned the denominator 0 for every sample of {of}; return one "
                f"above 0 for each sample that counts"
            )

    def _finite_candidate(self) -> bool:
        outputs = self.candidate.outputs
        return all(bool(np.isfinite(outputs[rows]).all()) for rows in blocks(outputs))

    def _totals(self, reference: _Values, candidate: _Values) -> Totals | None:
        if not reference.ndim:
            return None
        if reference.ndim == 1:
            return mean_of_values(reference, candidate)
        sides = [(side[:, 1], side[:, 0]) for side in (reference, candidate)]
        most = float(np.abs(np.concatenate([side[:, 0] for side in (reference, candidate)])).max())
        return ratio_of_sums(sides[0], sides[1], most=most)


def _same(first: _Values, again: _Values) -> bool:
    return first.shape == again.shape and bool(np.array_equal(first, again, equal_nan=True))


def _nearly_same(first: _Values, again: _Values) -> bool:
    """Whether numbers of samples are the same but for the rounding of sums in another order.

    Libraries sum in an order that depends on the number of rows. In float32, whose steps are 1.2e-7, a sum of some
    thousand terms then differs by up to 1e-5 of its largest terms, of which a difference may leave little: so the
    tolerance is 1e-5 of the largest number of its column, too. A number that depends on other samples, such as one less
    than the mean of all, changes much more if half of them are left out.
    """
    if first.shape != again.shape:
        return False
    largest = np.where(np.isfinite(again), np.abs(again), 0.0).max(axis=0, initial=0.0)
    return bool(np.allclose(first, again, rtol=_ROUNDING, atol=_ROUNDING * largest))


def _odd_denominators(values: _Values) -> NDArray[np.bool_]:
    """Which samples have a denominator that is not finite, or is below 0: (n,); empty where there is none."""
    if values.ndim < 2:
        return np.zeros(0, np.bool_)
    odd: NDArray[np.bool_] = ~(np.isfinite(values[:, 1]) & (values[:, 1] >= 0))
    return odd


def _columns(values: NDArray[Any]) -> int:
    return 1 if values.ndim < 2 else values.shape[1]


def _told(values: _Values, others: _Values) -> str:
    """A value that differs from the other one, for messages; the form where that differs."""
    if values.shape != others.shape:
        return _form(values)
    if not values.ndim:
        return f"{values:.6g}"
    place = int(np.argmax((values != others).reshape(len(values), -1).any(axis=1)))
    return f"{', '.join(f'{value:.6g}' for value in np.atleast_1d(values[place]))} for sample {place}"


def _form(values: NDArray[Any]) -> str:
    return f"an array of shape {values.shape}" if values.ndim else "one number"
