"""Tries each convention on the labelled samples, and says which ones gain beyond chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantlab.conventions import INPUT_FAMILIES, LABEL_FAMILIES, Answers, InputConvention, InputFacts, LabelConvention
from quantlab.statistics import answers_of, holm, mcnemar_of_loss
from quantlab.study.diagnosis.feeding import Array, Feeding, fed_values
from quantlab.study.diagnosis.truth import ClassTruth, Losses, Truth
from quantlab.types import TriedConvention

__all__ = ["LARGEST_P", "SCREENED", "FedConvention", "fed_conventions", "try_conventions"]

LARGEST_P = 0.01
"""Largest corrected p-value of a convention that is named: of a hundred diagnoses of right samples, at most one names a
convention by chance."""

SCREENED = 100
"""Samples on which each convention is tried first. One that is worse on them, or changes nothing, goes no further: that
saves most of the time, and can only hide a convention, not name one."""

_WORSE_P = 0.1
"""Largest p-value of the sign test by which a convention counts as worse on the first samples."""


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
    losses: Losses


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
        All conventions, that with the highest score on all samples first, then those that went no further.
    """
    before = truth.losses(as_is, slice(None))
    tried = list(_of_labels(truth, as_is))
    for one in fed:
        convention = one.convention
        losses = _losses(feeding, truth, before, one)
        tried.append(_Tried(convention.family, convention.name, one.input, convention.cause, convention.change, losses))
        advance(1)
    return _ranked(truth, before, tried)


def _losses(feeding: Feeding, truth: Truth, before: Losses, one: FedConvention) -> Losses:
    """The losses of all samples by a convention, or of the first if it does not go on."""
    first, rest = slice(0, min(SCREENED, len(before))), slice(SCREENED, len(before))
    of = (one.input, one.convention)
    losses = truth.losses(feeding.outputs(of, first), first)
    if rest.start >= len(before) or not _may_gain(before[first], losses):
        return losses
    return np.concatenate([losses, truth.losses(feeding.outputs(of, rest), rest)])


def _may_gain(before: Losses, after: Losses) -> bool:
    """Whether a convention changes anything on the first samples, and is not shown to be worse."""
    better, worse = _changes(before, after)
    return better + worse > 0 and float(mcnemar_of_loss(np.asarray(worse), np.asarray(better))) > _WORSE_P


def _changes(before: Losses, after: Losses) -> tuple[int, int]:
    own = before[: len(after)]
    return int(np.count_nonzero(after < own)), int(np.count_nonzero(after > own))


def _of_labels(truth: Truth, as_is: Array) -> Iterator[_Tried]:
    if not isinstance(truth, ClassTruth):
        return
    classes = max(2, as_is.shape[1] if as_is.ndim > 1 else 0)
    answers = Answers(answers_of(as_is, probabilities=truth.probabilities), truth.labels, classes)
    for family in LABEL_FAMILIES:
        for one in family.conventions(answers):
            yield _read(one, truth)


def _read(one: LabelConvention, truth: ClassTruth) -> _Tried:
    return _Tried(one.family, one.name, None, one.cause, one.change, truth.losses_of(one.right))


def _ranked(truth: Truth, before: Losses, tried: Sequence[_Tried]) -> tuple[TriedConvention, ...]:
    changes = [_changes(before, one.losses) for one in tried]
    better, worse = (np.array(numbers, np.int64) for numbers in zip(*changes, strict=True)) if tried else ([], [])
    # A convention that went no further has lost already; it is still one of those that were tried.
    p = [
        value if len(one.losses) == len(before) else 1.0
        for one, value in zip(tried, mcnemar_of_loss(np.asarray(better), np.asarray(worse)), strict=True)
    ]
    results = [
        _result(one, truth, before, change=change, p=float(corrected))
        for one, change, corrected in zip(tried, changes, holm(np.array(p, np.float64)), strict=True)
    ]
    # Sorting is stable: of equal scores, that of the earlier family comes first.
    return tuple(sorted(results, key=lambda result: (result.n == len(before), result.score), reverse=True))


def _result(one: _Tried, truth: Truth, before: Losses, *, change: tuple[int, int], p: float) -> TriedConvention:
    score, interval = truth.score(one.losses)
    result = TriedConvention(
        family=one.family,
        name=one.name,
        input=one.input,
        cause=one.cause,
        change=one.change,
        n=len(one.losses),
        score=score,
        interval=interval,
        became_right=change[0],
        became_wrong=change[1],
        p=p,
    )
    whole = len(one.losses) == len(before)
    return replace(result, named=whole and p <= LARGEST_P and truth.explains(before, one.losses))
