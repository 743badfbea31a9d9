"""The metrics whose loss can be judged, by name: a new one is a function and a line of the table.

A metric reads what is known of each sample and says how its loss can be bounded: as answers that changed, as sums
over samples, or by calling it with whole sets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.paired.areas import area_under_curve
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, Totals
from quantlab.statistics.paired.confusion import macro_f1, mean_iou
from quantlab.statistics.paired.custom_metrics import CalledSets, read_metric
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Direction, Loss

__all__ = ["PAIRED_METRICS", "PairedMetric", "default_metrics", "paired_loss", "paired_metric"]

Needs = Literal["classes", "numbers", "labels"]


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """How well an output does against the labels, and how its loss is bounded."""

    name: str
    direction: Direction
    unit: str
    """`pt` for shares, which are told in percent; empty for the metric's own unit."""
    needs: Needs
    """Labelled classes, labelled numbers, or labels of any kind."""
    compare: Callable[[ReferenceSamples, CandidateSamples], ChangedAnswers | Totals | CalledSets]
    """Shares from 0 to 1 here, whatever the unit."""

    @property
    def sign(self) -> int:
        """What reference − candidate is multiplied with to be positive where the candidate is worse."""
        return 1 if self.direction == "higher" else -1

    @property
    def scale(self) -> float:
        """From shares to percent."""
        return 100.0 if self.unit == "pt" else 1.0


def paired_metric(name: str, metrics: Mapping[str, PairedMetric] | None = None) -> PairedMetric:
    """The metric of that name, or the user's function `module:function:higher` or `module:function:lower`.

    Args:
        name: As the user wrote it.
        metrics: Those that have a name; None is `PAIRED_METRICS`.

    Raises:
        UsageError: If there is none of that name, or the function cannot be loaded or does not say which way is better.
    """
    known = PAIRED_METRICS if metrics is None else metrics
    if name in known:
        return known[name]
    if ":" in name:
        function, direction = read_metric(name)
        return PairedMetric(function, direction, "", "labels", lambda *samples: CalledSets(function, *samples))
    hint = nearest(name, known)
    remedy = f"{hint} One" if hint.endswith("?") else f"{hint}; one"
    raise UsageError(f"there is no metric '{name}'; {remedy} of your own is 'module:function:higher' or '…:lower'")


def default_metrics(reference: ReferenceSamples) -> tuple[PairedMetric, ...]:
    """What is judged where nothing is asked for, the metric that decides first; nothing without labels."""
    if reference.labels is None:
        return ()
    if reference.classes is not None:
        top5 = reference.classes.in_top5 is not None
        return (PAIRED_METRICS["top1"], PAIRED_METRICS["top5"]) if top5 else (PAIRED_METRICS["top1"],)
    if reference.errors is not None:
        return PAIRED_METRICS["mae"], PAIRED_METRICS["rmse"]
    return (PAIRED_METRICS["mean-iou"],)


def paired_loss(
    metric: PairedMetric, reference: ReferenceSamples, candidate: CandidateSamples, resampling: Resampling
) -> Loss:
    """What the candidate loses, with one-sided bounds either way.

    Raises:
        UsageError: If the metric does not fit what is compared, or a user's function fails.
    """
    _check_needs(metric, reference)
    compared = metric.compare(reference, candidate)
    answers = compared if isinstance(compared, ChangedAnswers) else None
    bounds = (
        _answer_bounds(compared, resampling)
        if isinstance(compared, ChangedAnswers)
        else compared.bounds(metric.sign, resampling)
    )
    finite = np.isfinite(bounds.reference) and np.isfinite(bounds.candidate)
    return Loss(
        metric=metric.name,
        direction=metric.direction,
        unit=metric.unit,
        n=reference.n,
        reference=metric.scale * bounds.reference,
        candidate=metric.scale * bounds.candidate,
        loss=metric.scale * metric.sign * (bounds.reference - bounds.candidate) if finite else float("nan"),
        lower=metric.scale * bounds.lower,
        upper=metric.scale * bounds.upper,
        confidence=resampling.confidence,
        method=bounds.method,
        discordant=None if answers is None else answers.discordant,
        p_mcnemar=None if answers is None else answers.p_mcnemar,
    )


def _answer_bounds(answers: ChangedAnswers, resampling: Resampling) -> Bounds:
    lower, upper = answers.bounds(resampling.confidence)
    method = "Tango" if answers.discordant else "exact without a flip"
    return Bounds(answers.right_reference / answers.n, answers.right_candidate / answers.n, lower, upper, method)


def _check_needs(metric: PairedMetric, reference: ReferenceSamples) -> None:
    if reference.labels is None:
        raise UsageError(
            f"the metric '{metric.name}' needs labels and the samples have none; give a labelled calibration set, "
            "or judge by agreement"
        )
    if not reference.n:
        raise UsageError(f"the metric '{metric.name}' needs samples, and there are none")
    if metric.needs == "classes" and reference.classes is None:
        raise UsageError(
            f"the metric '{metric.name}' is of labelled classes and the scored output is not; "
            f"{_names_for(reference)} would fit"
        )
    if metric.needs == "numbers" and reference.errors is None:
        raise UsageError(
            f"the metric '{metric.name}' is of labels that are numbers and these are classes; "
            f"{_names_for(reference)} would fit"
        )


def _names_for(reference: ReferenceSamples) -> str:
    return " or ".join(f"'{metric.name}'" for metric in default_metrics(reference))


def _top1(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    return _answers("right", reference, candidate)


def _top5(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    if reference.classes is None or reference.classes.in_top5 is None:
        raise UsageError(
            f"the metric 'top5' says something from ten classes on, and there are {reference.class_count}; "
            "judge by 'top1'"
        )
    return _answers("in_top5", reference, candidate)


def _answers(name: str, reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    return ChangedAnswers.of(getattr(reference.classes, name), getattr(candidate.classes, name))


def _mae(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    return _mean_error("absolute", reference, candidate, lambda means: means)


def _rmse(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    return _mean_error("squared", reference, candidate, np.sqrt)


def _mean_error(
    name: str,
    reference: ReferenceSamples,
    candidate: CandidateSamples,
    of_mean: Callable[[Any], Any],
) -> Totals:
    from scipy.sparse import csr_matrix  # Slow to import, and most commands need no bootstrap.

    sides = np.stack([getattr(reference.errors, name), getattr(candidate.errors, name)], axis=1)
    differences = np.abs(sides[:, 1] - sides[:, 0]) if np.isfinite(sides).all() else np.array([np.inf])
    # Samples not seen may differ as much as the one that differs most; where none does, be as wrong as the worst is.
    greatest = float(differences.max()) or float(sides.max())
    mean = sides[:, 1].mean()

    def unseen(share: float) -> float:
        more, less = mean + share * greatest, max(0.0, mean - share * greatest)
        return float(max(of_mean(more) - of_mean(mean), of_mean(mean) - of_mean(less)))

    return Totals(
        rows=csr_matrix(sides),
        multiplicity=np.ones(len(sides), np.int64),
        # Leaving a sample out of a sum may leave a rounding error below zero, whose root is NaN.
        value=lambda means: (of_mean(np.maximum(means[:, 0], 0)), of_mean(np.maximum(means[:, 1], 0))),
        unseen=unseen,
    )


PAIRED_METRICS = {
    metric.name: metric
    for metric in (
        PairedMetric("top1", "higher", "pt", "classes", _top1),
        PairedMetric("top5", "higher", "pt", "classes", _top5),
        PairedMetric("macro-f1", "higher", "pt", "classes", macro_f1),
        PairedMetric("auc", "higher", "pt", "classes", area_under_curve),
        PairedMetric("mae", "lower", "", "numbers", _mae),
        PairedMetric("rmse", "lower", "", "numbers", _rmse),
        PairedMetric("mean-iou", "higher", "pt", "labels", mean_iou),
    )
}
"""The metrics there are, by name."""
