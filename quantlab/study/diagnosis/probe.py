"""Tries each convention on the labelled samples, and says which ones gain beyond chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantlab.conventions import INPUT_FAMILIES, LABEL_FAMILIES, Answers, InputConvention, InputFacts, LabelConvention
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
    """A convention, and the tests of it; the outputs themselves are not kept."""

    result: TriedConvention
    """With p-values that are not corrected, and named by nothing."""
    p: dict[Ground, float]
    explained: tuple[Ground, ...]
    rank: float


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
    return _ranked(len(before.losses), tried)


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
        of, n = (one.input, one.convention), len(self.before.losses)
        outputs = self.feeding.outputs(of, slice(0, min(SCREENED, n)))
        before, reading = self.first, self.truth.reading(outputs, _FIRST)
        if n > SCREENED and _may_gain(self.truth, before, reading):
            outputs = np.concatenate([outputs, self.feeding.outputs(of, slice(SCREENED, n))])
            before, reading = self.before, self.truth.reading(outputs, slice(None))
        return _tried(self.truth, one, before, reading)


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
            yield _tried(truth, one, before, truth.read_as(one.labels, as_is))


def _tried(truth: Truth, of: FedConvention | LabelConvention, before: Reading, reading: Reading) -> _Tried:
    convention, fed = (of.convention, of.input) if isinstance(of, FedConvention) else (of, None)
    score, interval = truth.score(reading)
    better, worse = changes(before, reading)
    p = truth.p_values(before, reading)
    result = TriedConvention(
        family=convention.family,
        name=convention.name,
        input=fed,
        cause=convention.cause,
        change=convention.change,
        n=len(reading.losses),
        score=score,
        interval=interval,
        became_right=better,
        became_wrong=worse,
        p=1.0,
        log_loss=reading.log_loss,
    )
    return _Tried(result, p, truth.explained(before, reading), truth.rank(reading))


def _ranked(n: int, tried: Sequence[_Tried]) -> tuple[TriedConvention, ...]:
    # A convention that went no further has lost already; its tests are still among those that were made.
    p = [value if one.result.n == n else 1.0 for one in tried for value in one.p.values()]
    corrected = iter(holm(np.array(p, np.float64)).tolist())
    results = [_named(one, {ground: next(corrected) for ground in one.p}) for one in tried]
    # Sorting is stable: of equal ranks, that of the earlier family comes first.
    order = sorted(range(len(tried)), key=lambda place: (results[place].n == n, tried[place].rank), reverse=True)
    return tuple(results[place] for place in order)


def _named(one: _Tried, p: dict[Ground, float]) -> TriedConvention:
    grounds = tuple(ground for ground in one.explained if p[ground] <= LARGEST_P)
    of_score = next(value for ground, value in p.items() if ground != "log-loss")
    return replace(one.result, p=of_score, p_log_loss=p.get("log-loss"), grounds=grounds, named=bool(grounds))
