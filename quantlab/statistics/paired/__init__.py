"""Loss of a candidate against the reference on the same samples, with its statistical uncertainty.

```text
evidence ─┬─ paired_loss      loss of a PairedMetric: ChangedAnswers (exact), Totals or WholeSets (bootstrap)
          ├─ class_losses     loss of each class and slice, with Holm's correction
          ├─ spread_of        distribution of the divergence and of the true class's probability decrease
          └─ worst_samples
sample_moves                  the metric of each single sample before and after
with_positions                accuracy and mean IoU of classes of positions, with samples as the unit
runtime_equivalence           whether a runtime answers as Python does (two one-sided tests)
LabelLikelihoods, p_of_likelier how likely labels are, and whether other scores make them likelier
output_figure                 SQNR, cosine, RMS or largest error of an output, without labels
decide, missing_samples       decision about a loss and a margin
```

It uses `ReferenceSamples` and `CandidateSamples` of `scores` and does not import `layers`.
"""

from quantlab.statistics.paired.answers import (
    ChangedAnswers,
    loss_bounds,
    mcnemar,
    mcnemar_of_loss,
    zero_discordance_bound,
)
from quantlab.statistics.paired.bootstrap import (
    Bounds,
    Resampling,
    Totals,
    WholeSets,
    bca_interval,
    percentile_interval,
)
from quantlab.statistics.paired.classes import class_losses, holm, losing_classes, simultaneous_lower
from quantlab.statistics.paired.cluster_bootstrap import compressed
from quantlab.statistics.paired.clusters import GroupChanges
from quantlab.statistics.paired.constant import position_chance
from quantlab.statistics.paired.decision import (
    Decision,
    decide,
    enough_samples,
    fewest_samples,
    missing_samples,
    samples_needed,
)
from quantlab.statistics.paired.equivalence import GroupedAnswers, grouped_equivalence, runtime_equivalence
from quantlab.statistics.paired.evidence import WORST_SAMPLES, evidence, worst_samples
from quantlab.statistics.paired.families import FAMILIES, MetricFamily, family_of
from quantlab.statistics.paired.likelihood import LabelLikelihoods, p_of_likelier
from quantlab.statistics.paired.listed import LISTED, most_changed, most_changed_element
from quantlab.statistics.paired.metric_scores import reference_metric_scores, with_metric
from quantlab.statistics.paired.metrics import (
    PAIRED_METRICS,
    PairedMetric,
    default_metrics,
    likeness,
    paired_loss,
    paired_metric,
    reference_value,
)
from quantlab.statistics.paired.moves import SampleMoves, percentile_with_bounds, sample_moves
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.output_figures import ErrorRows, missing_samples_of, output_figure
from quantlab.statistics.paired.planning import (
    MOST_SAMPLES,
    Chances,
    Expected,
    Pilot,
    PlanTerms,
    chances,
    samples_to_decide,
)
from quantlab.statistics.paired.position_scores import reference_position_scores, with_positions
from quantlab.statistics.paired.sequential import any_look_bounds, at_any_look, obrien_fleming
from quantlab.statistics.paired.spread import PERCENTILES_FROM, expected_calibration_error, spread_of
from quantlab.statistics.paired.stricter import at_confidence

__all__ = [
    "FAMILIES",
    "LISTED",
    "MOST_SAMPLES",
    "PAIRED_METRICS",
    "PERCENTILES_FROM",
    "WORST_SAMPLES",
    "Bounds",
    "Chances",
    "ChangedAnswers",
    "Decision",
    "ErrorRows",
    "Expected",
    "GroupChanges",
    "GroupedAnswers",
    "LabelLikelihoods",
    "MetricFamily",
    "OddSample",
    "PairedMetric",
    "Pilot",
    "PlanTerms",
    "Resampling",
    "SampleMoves",
    "Totals",
    "WholeSets",
    "any_look_bounds",
    "at_any_look",
    "at_confidence",
    "bca_interval",
    "chances",
    "class_losses",
    "compressed",
    "decide",
    "default_metrics",
    "enough_samples",
    "evidence",
    "expected_calibration_error",
    "family_of",
    "fewest_samples",
    "grouped_equivalence",
    "holm",
    "likeness",
    "losing_classes",
    "loss_bounds",
    "mcnemar",
    "mcnemar_of_loss",
    "missing_samples",
    "missing_samples_of",
    "most_changed",
    "most_changed_element",
    "obrien_fleming",
    "output_figure",
    "p_of_likelier",
    "paired_loss",
    "paired_metric",
    "percentile_interval",
    "percentile_with_bounds",
    "position_chance",
    "reference_metric_scores",
    "reference_position_scores",
    "reference_value",
    "runtime_equivalence",
    "sample_moves",
    "samples_needed",
    "samples_to_decide",
    "simultaneous_lower",
    "spread_of",
    "with_metric",
    "with_positions",
    "worst_samples",
    "zero_discordance_bound",
]
