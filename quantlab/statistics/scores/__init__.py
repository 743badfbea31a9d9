"""Scores of one output, and the per-sample values behind them.

`sum_outputs` computes everything for one trial's output. It is built from these sums, which can be used separately:

```text
ScoreSums ─┬─ TensorError            error of a tensor of any shape
           ├─ ClassificationSums     top-1, top-5, agreement, changed answers
           ├─ DivergenceSums         KL(reference‖candidate), total variation, Jensen–Shannon
           └─ RegressionSums         MAE and RMSE against labels

OutputSums                           error of each channel of an output, and which became constant
```

`ReferenceSamples` and `CandidateSamples` hold the same quantities for every sample, for `paired`. This package does
not import `paired` or `layers`.
"""

from quantlab.statistics.scores.channels import OutputSums, constant_parts, sum_channels
from quantlab.statistics.scores.classification import TOP5_FROM_CLASSES, ClassificationSums, as_classes, same_class
from quantlab.statistics.scores.divergence import Divergences, DivergenceSums, divergences_per_sample, kl_per_sample
from quantlab.statistics.scores.finite import count_equal_places, finite_samples, ranges_of, scored_samples
from quantlab.statistics.scores.intervals import clopper_pearson, tango, wilson
from quantlab.statistics.scores.known import count_answers, reference_sums, sum_samples
from quantlab.statistics.scores.outputs import ScoreSums, reference_scores, sum_outputs
from quantlab.statistics.scores.positions import Positions, find_positions, rows_of_classes
from quantlab.statistics.scores.probabilities import (
    ProbabilitySums,
    looks_like_probabilities,
    probability_rows,
    rows_of_shares,
)
from quantlab.statistics.scores.regression import RegressionSums
from quantlab.statistics.scores.samples import (
    CandidateSamples,
    ClassSamples,
    ErrorSamples,
    ReferenceSamples,
    SampleAttribute,
)
from quantlab.statistics.scores.vectors import (
    arrays_of_samples,
    arrays_of_sums,
    candidate_of_arrays,
    classes_of_arrays,
    reference_of_arrays,
    sums_of_arrays,
)

__all__ = [
    "TOP5_FROM_CLASSES",
    "CandidateSamples",
    "ClassSamples",
    "ClassificationSums",
    "DivergenceSums",
    "Divergences",
    "ErrorSamples",
    "OutputSums",
    "Positions",
    "ProbabilitySums",
    "ReferenceSamples",
    "RegressionSums",
    "SampleAttribute",
    "ScoreSums",
    "arrays_of_samples",
    "arrays_of_sums",
    "as_classes",
    "candidate_of_arrays",
    "classes_of_arrays",
    "clopper_pearson",
    "constant_parts",
    "count_answers",
    "count_equal_places",
    "divergences_per_sample",
    "find_positions",
    "finite_samples",
    "kl_per_sample",
    "looks_like_probabilities",
    "probability_rows",
    "ranges_of",
    "reference_of_arrays",
    "reference_scores",
    "reference_sums",
    "rows_of_classes",
    "rows_of_shares",
    "same_class",
    "scored_samples",
    "sum_channels",
    "sum_outputs",
    "sum_samples",
    "sums_of_arrays",
    "tango",
    "wilson",
]
