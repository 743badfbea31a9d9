"""Tries each convention on the labelled samples, and says which ones gain beyond chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quantlab.conventions import INPUT_FAMILIES, LABEL_FAMILIES, Answers, InputConvention, InputFacts
from quantlab.statistics import answers_of, holm
from quantlab.study.diagnosis.feeding import Array, Feeding, fed_values
from quantlab.study.diagnosis.truth import ClassTruth, Reading, Truth, changes
from quantlab.types import Ground, TriedConvention

__all__ = ["LARGEST_P", "SCREENED", "FedConvention", "fed_conventions", "try_conventions"]

LARGEST_P = 0.01
"""Largest corrected p-value of a convention that is named: of a hundred diagnoses of right samples, at most one names a
convention by chance."""

SCREENED = 100
"""Samples on which each convention is tried first. One that is worse on them, or changes nothing, goes no further: that
saves most of the time, and can only hide a convention, not name one."""

_WORSE_P = 0.1
"""Largest p-value by which a convention counts as worse on the first samples, on all grounds."""


@dataclass(frozen=True, slots=True)
class FedConvention:
    """A convention of an input, and which input it is."""

    input: str
    convention: InputConvention


def fed_conventions(feeding: Feeding, facts: Sequence[InputFacts]) -> list[FedConvention]:
    """All conventions of all inputs that change the samples, each transformation once: in the order of the families."""
    kept: list[FedConvention] = []
    for one in facts:
        few = feeding.few(one.name)
        seen = [few]
        for convention in (convention for family in INPUT_FAMILIES for convention in family.conventions(one)):
            fed = fed_values(few, convention)
            if fed is not None and not any(_alike(fed, other) for other in seen):
                seen.append(fed)
                kept.append(FedConvention(one.name, convention))
    return kept


def _alike(ones: Array, others: Array) -> bool:
    """Whether two conventions feed the same but for rounding: two ways to the same scale differ in the last bits."""
    return bool(np.allclose(ones, others, rtol=1e-4, atol=1e-6 * float(np.abs(others).max(initial=0))))


@dataclass(frozen=True, slots=True)
class _Tried:
    family: str
    name: str
    input: str | None
    cause: str
    change: str
    reading: Reading
    before: Reading
    """The same samples as they are."""


def try_conventions(
    feeding: Feeding,
    truth: Truth,
    as_is: Array,
    fed: Sequence[FedConvention],
    advance: Callable[[int], None],
) -> tuple[TriedConvention, ...]:
    """Try conventions of inputs and of labels, and rank them.

    Args:
        feeding: The model and its samples.
        truth: What the output is compared with.
        as_is: The output for the samples as they are, in the order of `feeding.order`.
        fed: The conventions of inputs.
        advance: Called with 1 after each of them.

    Returns:
        All conventions, that with the smallest log loss (the largest R²) on all samples first, then those that went no
        further.
    """
    before = truth.reading(as_is, slice(None))
    trying = _Trying(feeding, truth, before, truth.reading(as_is[_FIRST], _FIRST))
    tried = list(_of_labels(truth, as_is, before))
    for one in fed:
        tried.append(trying.fed(one))
        advance(1)
    return _ranked(truth, len(before.losses), tried)


_FIRST = slice(0, SCREENED)


@dataclass(frozen=True, slots=True)
class _Trying:
    feeding: Feeding
    truth: Truth
    before: Reading
    """The samples as they are."""
    first: Reading
    """The first of them."""

    def fed(self, one: FedConvention) -> _Tried:
        """Try a convention on all samples, or on the first if it does not go on."""
        convention, of, n = one.convention, (one.input, one.convention), len(self.before.losses)
        outputs = self.feeding.outputs(of, slice(0, min(SCREENED, n)))
        before, reading = self.first, self.truth.reading(outputs, _FIRST)
        if n > SCREENED and _may_gain(self.truth, before, reading):
            outputs = np.concatenate([outputs, self.feeding.outputs(of, slice(SCREENED, n))])
            before, reading = self.before, self.truth.reading(outputs, slice(None))
        return _Tried(
            convention.family, convention.name, one.input, convention.cause, convention.change, reading, before
        )


def _may_gain(truth: Truth, before: Reading, after: Reading) -> bool:
    """Whether a convention changes anything on the first samples, and is not shown to be worse on all grounds."""
    better, worse = truth.p_values(before, after), truth.p_values(after, before)
    changed = any(p < 1 for p in (*better.values(), *worse.values()))
    return changed and max(worse.values()) > _WORSE_P


def _of_labels(truth: Truth, as_is: Array, before: Reading) -> Iterator[_Tried]:
    if not isinstance(truth, ClassTruth):
        return
    classes = max(2, as_is.shape[1] if as_is.ndim > 1 else 0)
    answers = Answers(answers_of(as_is, probabilities=truth.probabilities), truth.labels, classes)
    for family in LABEL_FAMILIES:
        for one in family.conventions(answers):
            reading = truth.read_as(one.labels, as_is)
            yield _Tried(one.family, one.name, None, one.cause, one.change, reading, before)


def _ranked(truth: Truth, n: int, tried: Sequence[_Tried]) -> tuple[TriedConvention, ...]:
    # A convention that went no further has lost already; its tests are still among those that were made.
    found = [
        {
            ground: p if len(one.reading.losses) == n else 1.0
            for ground, p in truth.p_values(one.before, one.reading).items()
        }
        for one in tried
    ]
    corrected = iter(holm(np.array([p for ps in found for p in ps.values()], np.float64)).tolist())
    results = [
        _result(one, truth, {ground: next(corrected) for ground in ps}) for one, ps in zip(tried, found, strict=True)
    ]
    ranks = [(len(one.reading.losses) == n, truth.rank(one.reading)) for one in tried]
    # Sorting is stable: of equal ranks, that of the earlier family comes first.
    order = sorted(range(len(tried)), key=ranks.__getitem__, reverse=True)
    return tuple(results[place] for place in order)


def _result(one: _Tried, truth: Truth, p: dict[Ground, float]) -> TriedConvention:
    score, interval = truth.score(one.reading)
    better, worse = changes(one.before, one.reading)
    grounds = tuple(ground for ground in truth.explained(one.before, one.reading) if p[ground] <= LARGEST_P)
    return TriedConvention(
        family=one.family,
        name=one.name,
        input=one.input,
        cause=one.cause,
        change=one.change,
        n=len(one.reading.losses),
        score=score,
        interval=interval,
        became_right=better,
        became_wrong=worse,
        p=next(value for ground, value in p.items() if ground != "log-loss"),
        log_loss=one.reading.log_loss,
        p_log_loss=p.get("log-loss"),
        grounds=grounds,
        named=bool(grounds),
    )
