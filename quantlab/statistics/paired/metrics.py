"""Table of the metrics whose loss can be judged; a new metric is a function and a line of the table.

A metric is computed from per-sample values. It returns its result in a form that defines how the loss is bounded:
changed answers, sums over samples, or a function of whole sets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.paired.areas import area_under_curve
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, Totals
from quantlab.statistics.paired.cluster_bootstrap import answer_bounds, bounds_of
from quantlab.statistics.paired.confusion import macro_f1, mean_iou
from quantlab.statistics.paired.custom_metrics import CalledSets, read_metric
from quantlab.statistics.paired.families import FAMILIES, Accepts, Needs, accepts_all, family_of
from quantlab.statistics.paired.keypoints import accepts_directions, angular_error
from quantlab.statistics.paired.multilabel import (
    accepts_multilabel,
    mean_average_precision,
    micro_f1,
    multilabel_macro_f1,
)
from quantlab.statistics.paired.positions import agreement_of_positions, changed_of_single, position_accuracy
from quantlab.statistics.paired.ratios import mean_of_values
from quantlab.statistics.paired.weighted import Weighted
from quantlab.statistics.paired.whole_samples import sequence_accuracy
from quantlab.statistics.scores.classification import same_class
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Direction, Loss

__all__ = [
    "PAIRED_METRICS",
    "PairedMetric",
    "agreement_loss",
    "default_metrics",
    "likeness",
    "paired_loss",
    "paired_metric",
    "reference_value",
]


Compared = ChangedAnswers | Totals | Weighted | CalledSets


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """A metric of outputs against labels, and how its loss is bounded."""

    name: str
    direction: Direction
    unit: str
    """`pt` for shares, which are shown in percent; empty for the metric's own unit."""
    needs: Needs
    compare: Callable[[ReferenceSamples, CandidateSamples], Compared]
    """Compares the two sides; shares are in 0…1 here, whatever the unit."""
    accepts: Accepts = accepts_all
    reads: str = ""
    """How outputs are read, as a clause for the footer; empty if there is nothing to say. `{threshold}` stands for the
    value above which an output is a yes: 0.5 of probabilities, 0 of logits."""
    of_answers: bool = False
    """Whether only the classes that are answered count, so that probabilities and logits may be compared."""
    of_samples: bool = False
    """Whether the values that are kept of single samples suffice: classes that are answered, and errors of numbers.
    Other metrics read whole outputs, so a study that keeps scores only has none of them."""

    @property
    def sign(self) -> int:
        """Factor that makes reference − candidate positive if the candidate is worse."""
        return 1 if self.direction == "higher" else -1

    @property
    def scale(self) -> float:
        """Factor from shares to percent."""
        return 100.0 if self.unit == "pt" else 1.0


def paired_metric(name: str, metrics: Mapping[str, PairedMetric] | None = None) -> PairedMetric:
    """The metric with this name, of a family, or the user's function `module:function:higher` or `…:lower`.

    Args:
        name: As the user wrote it.
        metrics: Known metrics by name; None uses `PAIRED_METRICS`.

    Raises:
        UsageError: If the name is unknown, the function cannot be loaded, or the direction is missing.
    """
    known = PAIRED_METRICS if metrics is None else metrics
    if name in known:
        return known[name]
    family = family_of(name)
    if family is not None:
        return PairedMetric(
            name,
            family.direction,
            family.unit,
            family.needs,
            family.compare(name),
            accepts=family.accepts(name),
            reads=family.reads(name),
        )
    if ":" in name:
        own = read_metric(name)
        return PairedMetric(own.function, own.direction, "", "labels", lambda *samples: CalledSets(own, *samples))
    hint = nearest(name, [*known, *(family.spelled for family in FAMILIES)])
    remedy = f"{hint} One" if hint.endswith("?") else f"{hint}; one"
    raise UsageError(f"there is no metric '{name}'; {remedy} of your own is 'module:function:higher' or '…:lower'")


def default_metrics(reference: ReferenceSamples) -> tuple[PairedMetric, ...]:
    """Metrics used if none is selected; the first decides. Empty without labels."""
    if reference.labels is None:
        return ()
    if reference.classes is not None:
        top5 = reference.classes.in_top5 is not None
        return (PAIRED_METRICS["top1"], PAIRED_METRICS["top5"]) if top5 else (PAIRED_METRICS["top1"],)
    if reference.errors is not None:
        return PAIRED_METRICS["mae"], PAIRED_METRICS["rmse"]
    if reference.positions is None:
        return ()
    accuracy = PAIRED_METRICS["top1" if reference.positions.single else "position-accuracy"]
    of_images = len(reference.positions.shape) >= _IMAGE_AXES
    return (PAIRED_METRICS["mean-iou"], accuracy) if of_images else (accuracy,)


_IMAGE_AXES = 2
"""Axes of positions from which a sample is a label map instead of a sequence."""


def paired_loss(
    metric: PairedMetric, reference: ReferenceSamples, candidate: CandidateSamples, resampling: Resampling
) -> Loss:
    """The candidate's loss in one metric, with one-sided bounds.

    Raises:
        UsageError: If the metric does not apply to the outputs, or a user's function fails.
    """
    _check_needs(metric, reference)
    return _loss(metric, metric.compare(reference, candidate), reference.n, resampling)


def reference_value(metric: PairedMetric, reference: ReferenceSamples) -> float:
    """The reference's own metric, without bounds.

    Raises:
        UsageError: If the metric does not apply to the outputs, or a user's function fails.
    """
    _check_needs(metric, reference)
    own = reference.itself()
    return metric.scale * metric.compare(reference, own).of_reference()


def agreement_loss(reference: ReferenceSamples, candidate: CandidateSamples, resampling: Resampling) -> Loss | None:
    """The share of positions with another class than in the reference, in percentage points, with one-sided bounds.

    None if the outputs have no classes of positions, or one position for each sample: its agreement is a count. For
    samples in groups it is the share of samples, whose count would be too sure.
    """
    if not reference.n:
        return None
    if resampling.groups is not None and (same := _same_classes(reference, candidate)) is not None:
        everything = np.ones(reference.n, np.bool_)
        return _loss(_AGREEMENT, ChangedAnswers.of(everything, same), reference.n, resampling)
    if reference.positions is None or reference.positions.single:
        return None
    return _loss(_AGREEMENT, agreement_of_positions(reference, candidate), reference.n, resampling)


def likeness(
    reference: ReferenceSamples, candidate: CandidateSamples, resampling: Resampling
) -> tuple[Loss, Loss | None]:
    """How like the outputs of two models are, without labels.

    The first is the loss of agreement: samples, or positions, with another class. The second is the mean of
    KL(reference‖candidate) over the samples in nats, None if the outputs have no classes of samples. Outputs without
    classes have the mean over the samples of the largest absolute difference of an element instead of an agreement.
    """
    n = reference.n
    same = _same_classes(reference, candidate)
    if same is None and reference.positions is None:
        return _loss(_DIFFERENCE, _DIFFERENCE.compare(reference, candidate), n, resampling), None
    answers = agreement_of_positions(reference, candidate) if same is None else None
    compared = answers or ChangedAnswers.of(np.ones(n, np.bool_), np.asarray(same))
    known = candidate.divergence is not None
    apart = _loss(_KL, _KL.compare(reference, candidate), n, resampling) if known else None
    return _loss(_AGREEMENT, compared, n, resampling), apart


def _same_classes(reference: ReferenceSamples, candidate: CandidateSamples) -> NDArray[np.bool_] | None:
    """(n,): which samples have the same class; None if they have none, or one for each position."""
    if reference.positions is not None:
        single = reference.positions.single and candidate.positions is not None
        return np.asarray(candidate.positions.same > 0) if single and candidate.positions is not None else None
    if reference.classes is None or candidate.classes is None:
        return None
    return same_class(reference.classes.top1, candidate.classes.top1)


_AGREEMENT = PairedMetric("agreement", "higher", "pt", "labels", agreement_of_positions)
_KL = PairedMetric(
    "kl", "lower", "", "classes", lambda one, other: mean_of_values(np.zeros(one.n), np.asarray(other.divergence))
)
_DIFFERENCE = PairedMetric(
    "output", "lower", "", "labels", lambda one, other: mean_of_values(np.zeros(one.n), other.max_abs)
)


def _loss(metric: PairedMetric, compared: Compared, n: int, resampling: Resampling) -> Loss:
    answers, grouped = compared if isinstance(compared, ChangedAnswers) else None, resampling.groups is not None
    bounds = (
        _answer_bounds(compared, resampling)
        if isinstance(compared, ChangedAnswers)
        else bounds_of(compared, metric.sign, resampling)
        if isinstance(compared, Totals)
        else compared.bounds(metric.sign, resampling)
    )
    finite = np.isfinite(bounds.reference) and np.isfinite(bounds.candidate)
    return Loss(
        metric=metric.name,
        direction=metric.direction,
        unit=metric.unit,
        n=n,
        reference=metric.scale * bounds.reference,
        candidate=metric.scale * bounds.candidate,
        loss=metric.scale * metric.sign * (bounds.reference - bounds.candidate) if finite else float("nan"),
        lower=metric.scale * bounds.lower,
        upper=metric.scale * bounds.upper,
        confidence=resampling.confidence,
        method=bounds.method,
        discordant=None if answers is None or grouped else answers.discordant,
        p_mcnemar=None if answers is None or grouped else answers.p_mcnemar,
        groups=None if resampling.groups is None else int(resampling.groups.max()) + 1,
        tail=bounds.tail,
    )


def _answer_bounds(answers: ChangedAnswers, resampling: Resampling) -> Bounds:
    if resampling.groups is not None:
        return answer_bounds(answers, resampling.groups, resampling.confidence)
    lower, upper = answers.bounds(resampling.confidence)
    method = "exact" if answers.discordant else "exact without a flip"
    return Bounds(answers.right_reference / answers.n, answers.right_candidate / answers.n, lower, upper, method)


def _check_needs(metric: PairedMetric, reference: ReferenceSamples) -> None:
    if reference.labels is None:
        instead = (
            "the error of the outputs against the model instead, for example with min_sqnr (40dB)"
            if reference.classes is None
            else "the agreement with min_agreement instead"
        )
        raise UsageError(
            f"the metric '{metric.name}' needs labels, and the samples have none; give labelled samples, "
            f"or limit {instead}"
        )
    if not reference.n:
        raise UsageError(f"the metric '{metric.name}' needs at least one sample, and there are none")
    if metric.needs == "positions" and reference.positions is None:
        raise UsageError(
            f"the metric '{metric.name}' needs a class label for each position, such as a pixel or a step; "
            f"{_instead(metric, reference)}"
        )
    single = metric.name == "top1" and reference.positions is not None and reference.positions.single
    if metric.needs == "classes" and reference.classes is None and not single:
        raise UsageError(
            f"the metric '{metric.name}' needs labelled classes, and the scored output has none; "
            f"{_instead(metric, reference)}"
        )
    if metric.needs == "numbers" and reference.errors is None:
        classes = reference.classes is not None or reference.positions is not None
        raise UsageError(
            f"the metric '{metric.name}' needs numeric labels, and these labels "
            f"{'are classes' if classes else 'were read for another metric'}; {_instead(metric, reference)}"
        )


def _instead(metric: PairedMetric, reference: ReferenceSamples) -> str:
    """What to do where a metric does not apply; no default metric reads ground truth of another form."""
    names = " or ".join(f"'{one.name}'" for one in default_metrics(reference))
    again = f"run 'quantlab analyze' with --metric {metric.name}, which says what labels it needs"
    return f"use {names}" if names else f"use the metric of the study, or {again}"


def _top1(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    if reference.classes is None:
        return changed_of_single(candidate)
    return _answers("right", reference, candidate)


def _top5(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    if reference.classes is None or reference.classes.in_top5 is None:
        raise UsageError(
            f"the metric 'top5' needs at least ten classes, and there are {reference.class_count}; use 'top1'"
        )
    return _answers("in_top5", reference, candidate)


def _answers(name: str, reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    return ChangedAnswers.of(getattr(reference.classes, name), getattr(candidate.classes, name))


def _mae(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    return _mean_error("absolute", reference, candidate, lambda means: means, np.ones_like)


def _rmse(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    return _mean_error("squared", reference, candidate, np.sqrt, _slope_of_root)


def _slope_of_root(means: Any) -> Any:
    # A mean of 0 has no error in any sample, so its slope has nothing to multiply.
    return np.where(means > 0, 0.5 / np.sqrt(np.where(means > 0, means, 1.0)), 0.0)


def _mean_error(
    name: str,
    reference: ReferenceSamples,
    candidate: CandidateSamples,
    of_mean: Callable[[Any], Any],
    slope: Callable[[Any], Any],
) -> Totals:
    from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

    sides = np.stack([getattr(reference.errors, name), getattr(candidate.errors, name)], axis=1)
    differences = np.abs(sides[:, 1] - sides[:, 0]) if np.isfinite(sides).all() else np.array([np.inf])
    # An unseen sample may differ as much as the most different one; if none differs, the largest error is the scale.
    greatest = float(differences.max()) or float(sides.max())
    mean = sides[:, 1].mean()

    def unseen(share: float) -> float:
        more, less = mean + share * greatest, max(0.0, mean - share * greatest)
        return float(max(of_mean(more) - of_mean(mean), of_mean(mean) - of_mean(less)))

    return Totals(
        rows=csr_matrix(sides),
        multiplicity=np.ones(len(sides), np.int64),
        # Subtracting a sample from a sum may leave a small negative rounding error, whose square root would be NaN.
        value=lambda means: (of_mean(np.maximum(means[:, 0], 0)), of_mean(np.maximum(means[:, 1], 0))),
        unseen=unseen,
        differing=int(np.count_nonzero(differences)),
        slopes=lambda means: slope(np.maximum(means, 0)) * np.array([1.0, -1.0]),
        of_samples=True,
    )


def _multilabel(
    name: str, compare: Callable[[ReferenceSamples, CandidateSamples], Compared], reads: str = ""
) -> PairedMetric:
    return PairedMetric(name, "higher", "pt", "truth", compare, accepts=accepts_multilabel, reads=reads)


_YES = "a class is answered above {threshold}"

PAIRED_METRICS = {
    metric.name: metric
    for metric in (
        PairedMetric("top1", "higher", "pt", "classes", _top1, of_answers=True, of_samples=True),
        PairedMetric("top5", "higher", "pt", "classes", _top5, of_answers=True, of_samples=True),
        PairedMetric("macro-f1", "higher", "pt", "classes", macro_f1, of_answers=True, of_samples=True),
        PairedMetric("auc", "higher", "pt", "classes", area_under_curve),
        PairedMetric("mae", "lower", "", "numbers", _mae, of_samples=True),
        PairedMetric("rmse", "lower", "", "numbers", _rmse, of_samples=True),
        PairedMetric("mean-iou", "higher", "pt", "positions", mean_iou),
        PairedMetric("position-accuracy", "higher", "pt", "positions", position_accuracy),
        PairedMetric("sequence-accuracy", "higher", "pt", "positions", sequence_accuracy),
        _multilabel("micro-f1", micro_f1, _YES),
        _multilabel("multilabel-macro-f1", multilabel_macro_f1, _YES),
        _multilabel("map", mean_average_precision),
        PairedMetric("angular-error", "lower", "", "truth", angular_error, accepts=accepts_directions),
    )
}
"""Metrics by name."""
