"""The limits of the loss of every class and of every slice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.gate.figures import allowed, rounded_down, rounded_up
from quantlab.gate.finding import Finding, is_at, undecided
from quantlab.gate.targets import Target
from quantlab.names import shortened
from quantlab.statistics import fewest_samples, samples_needed, simultaneous_lower
from quantlab.types import Budget, ClassLoss, Margin, TrialEvidence

__all__ = ["Part", "Parts", "judge_classes", "judge_parts", "judge_slices"]


@dataclass(frozen=True, slots=True)
class Part:
    """A class or a slice of the samples."""

    words: str
    """As in `class 3` or `slice site=A`."""
    loss: ClassLoss


@dataclass(frozen=True, slots=True)
class Parts:
    """All classes, or the slices of all attributes."""

    kind: str
    """`class` or `slice`."""
    several: str
    known: Sequence[Part]
    unscored: Sequence[str]
    """Those of which no sample was judged, as `3` or `site=A`."""


def judge_classes(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    """Judge `max_class_loss`, see `judge_parts`."""
    del target
    if budget.class_margin is None or given.evidence is None:
        return None
    classes = given.evidence.classes
    if not classes:
        raise UsageError(
            f"the budget limits the loss of each class to {budget.class_margin}, and there are no labelled classes; "
            f"give labels of classes, or leave max_class_loss out"
        )
    known = [Part(f"class {lost.number_and_name}", lost) for lost in classes]
    return judge_parts(Parts("class", "classes", known, given.evidence.unscored_classes), budget.class_margin)


def judge_slices(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    """Judge `max_slice_loss` over the slices of all attributes, see `judge_parts`."""
    del target
    if budget.slice_margin is None or given.evidence is None:
        return None
    slices = given.evidence.slices
    if not slices:
        what = (
            "the study has no slices; run 'quantlab analyze' again with --slice meta.csv:COLUMN"
            if given.evidence.classes
            else "there are no labelled classes; give labels of classes"
        )
        raise UsageError(
            f"the budget limits the loss of each slice to {budget.slice_margin}, and {what}, or leave max_slice_loss "
            f"out"
        )
    known = [Part(f"slice {one.attribute}={lost.name}", lost) for one in slices for lost in one.losses]
    unscored = [f"{one.attribute}={value}" for one in slices for value in one.unscored]
    return judge_parts(Parts("slice", "slices", known, unscored), budget.slice_margin)


def judge_parts(parts: Parts, limit: Margin) -> Finding:
    """Judge a limit of the loss of every part.

    It breaks if some part surely loses more than the limit, where all parts are tested at once (`simultaneous_lower`).
    It fits if the upper bound of every part is below the limit, and no part is without samples.
    """
    margin = limit.value
    broken = [(lower, part) for part in parts.known if (lower := _lower(part.loss, margin, len(parts.known))) > margin]
    if broken:
        lower, worst = max(broken, key=lambda found: found[0])
        return Finding(
            "breaks",
            f"{worst.words} loses at least {rounded_down(lower, margin)} pt, {allowed(margin)} "
            f"(measured {worst.loss.loss:.1f} pt: {_changed(worst.loss)})",
        )
    if parts.unscored:
        return _unscored(parts, margin, parts.known[0].loss.confidence)
    uncertain = [part for part in parts.known if not part.loss.upper < margin]
    if not uncertain:
        most = max(part.loss.upper for part in parts.known)
        return Finding("fits", f"no {parts.kind} loses more than {rounded_up(most, margin)} pt, {allowed(margin)}")
    worst = max(uncertain, key=lambda part: part.loss.upper)
    missing = _missing(worst.loss, margin)
    clause = f"{worst.words} loses at most {rounded_up(worst.loss.upper, margin)} pt, {allowed(margin)}"
    known, at_limit = f"{clause} ({_changed(worst.loss)})", is_at(worst.loss.loss, margin)
    told = undecided(known, worst.loss.n, missing, of=f" of {worst.words}", at_limit=at_limit)
    return Finding("inconclusive", told, missing)


def _lower(loss: ClassLoss, margin: float, tested: int) -> float:
    """The bound that holds for all tested parts; −∞ for one that measures no loss above the margin, to save time."""
    return simultaneous_lower(loss, tested) if loss.loss > margin else -math.inf


def _unscored(parts: Parts, margin: float, confidence: float) -> Finding:
    """Say which classes or slices have no samples, and how many would do if none of their answers changed."""
    several = len(parts.unscored) > 1
    named = f"{parts.several if several else parts.kind} {shortened(parts.unscored, most=_TOLD)}"
    least = fewest_samples(margin / 100, confidence)
    fewest = max(1, math.ceil(least)) if math.isfinite(least) else None
    remedy = "" if fewest is None else f"; score at least {fewest:,} samples of {'each' if several else 'it'}"
    clause = f"no sample of {named} was scored, so {'they' if several else 'it'} may lose everything, {allowed(margin)}"
    return Finding("inconclusive", f"{clause}{remedy}", None if fewest is None else fewest * len(parts.unscored))


_TOLD = 5


def _changed(loss: ClassLoss) -> str:
    return f"{loss.right_to_wrong:,} of {loss.n:,} samples became wrong, {loss.wrong_to_right:,} became right"


def _missing(loss: ClassLoss, margin: float) -> int | None:
    changes = loss.right_to_wrong + loss.wrong_to_right
    needed = samples_needed(changes / loss.n, loss.loss / 100, margin / 100, loss.confidence, changes=changes)
    return None if needed is None else max(1, needed - loss.n)
