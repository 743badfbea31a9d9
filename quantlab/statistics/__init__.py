"""Pure functions of outputs, and sums that batches, shards and machines combine with `+`.

`score` is the whole of it for one trial's output; below it stand the sums it is made of, each of use by itself:

```text
ScoreSums ─┬─ TensorError            how far a tensor of any shape strays
           ├─ ClassificationSums     top-1, top-5, agreement, flips
           ├─ DivergenceSums         KL(reference‖candidate)
           └─ RegressionSums         MAE and RMSE against labels
```

Inside a variant, `align` tells which tensor is which, `LayerError` sums how far each strays, and `SplitSums` where the
loss comes from:

```text
LayerError ─┬─ TensorError           the same sums, in one pass with the rest
            ├─ ErrorSketch           quantiles of |error|
            ├─ Range                 of either side
            └─ ChannelSums           by the last axis, on request
```

What a candidate lost against the reference on the same samples, and how sure that is:

```text
evidence ─┬─ ReferenceSamples, CandidateSamples   one pass over each output
          ├─ paired_loss      of a PairedMetric: Flips (Tango), Totals (BCa bootstrap), WholeSets (a user's function)
          ├─ class_losses     each class, corrected by Holm
          ├─ spread_of        of the divergence, and of the fall of the true class's probability
          └─ worst_samples
decide, missing_samples       of a loss and a margin
```

Of times, `steady_times` keeps the quartiles, and `faster` says when one variant is faster by more than noise.

Intervals (`wilson`, `tango`) are in shares from −1 to 1; `Scores` are in percent and points.
"""

from quantlab.statistics.alignment import ALIGNMENT_TOLERANCE, NamedTensor, align, layers_without_tensor
from quantlab.statistics.blocks import blocks
from quantlab.statistics.bootstrap import Bounds, Resampling, Totals, WholeSets, bca_interval, percentile_interval
from quantlab.statistics.classes import class_losses, holm, losing_classes
from quantlab.statistics.classification import TOP5_FROM_CLASSES, ClassificationSums, as_classes
from quantlab.statistics.costs import (
    FASTER_BY,
    P95_FROM_RUNS,
    UNSTEADY_FROM,
    SteadyTimes,
    faster,
    speed_note,
    steady_note,
    steady_times,
)
from quantlab.statistics.decision import Decision, decide, fewest_samples, missing_samples, samples_needed
from quantlab.statistics.divergence import DivergenceSums, kl_per_sample
from quantlab.statistics.evidence import WORST_SAMPLES, evidence, worst_samples
from quantlab.statistics.intervals import tango, wilson
from quantlab.statistics.layer_names import layer_of, layers_of
from quantlab.statistics.layers import ChannelSums, LayerError
from quantlab.statistics.metrics import PAIRED_METRICS, PairedMetric, default_metrics, paired_loss, paired_metric
from quantlab.statistics.outputs import ScoreSums, reference_scores, score, sum_outputs
from quantlab.statistics.paired import Flips, flip_bounds, mcnemar, mcnemar_of_loss, zero_discordance_bound
from quantlab.statistics.probabilities import ProbabilitySums, looks_like_probabilities
from quantlab.statistics.regression import RegressionSums
from quantlab.statistics.samples import CandidateSamples, ClassSamples, ErrorSamples, ReferenceSamples
from quantlab.statistics.sketch import SKETCH_ACCURACY, ErrorSketch, Range
from quantlab.statistics.split import SplitSums, StepSums, split_points
from quantlab.statistics.spread import PERCENTILES_FROM, expected_calibration_error, spread_of
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError
from quantlab.statistics.weights import compare_weights

__all__ = [
    "ALIGNMENT_TOLERANCE",
    "FASTER_BY",
    "P95_FROM_RUNS",
    "PAIRED_METRICS",
    "PERCENTILES_FROM",
    "SKETCH_ACCURACY",
    "TOP5_FROM_CLASSES",
    "UNSTEADY_FROM",
    "WORST_SAMPLES",
    "Bounds",
    "CandidateSamples",
    "ChannelSums",
    "ClassSamples",
    "ClassificationSums",
    "Decision",
    "DivergenceSums",
    "ErrorSamples",
    "ErrorSketch",
    "Flips",
    "LayerError",
    "NamedTensor",
    "PairedMetric",
    "ProbabilitySums",
    "Range",
    "ReferenceSamples",
    "RegressionSums",
    "Resampling",
    "ScoreSums",
    "SplitSums",
    "SteadyTimes",
    "StepSums",
    "Sums",
    "TensorError",
    "Totals",
    "WholeSets",
    "align",
    "as_classes",
    "bca_interval",
    "blocks",
    "class_losses",
    "compare_weights",
    "decide",
    "default_metrics",
    "evidence",
    "expected_calibration_error",
    "faster",
    "fewest_samples",
    "flip_bounds",
    "holm",
    "kl_per_sample",
    "layer_of",
    "layers_of",
    "layers_without_tensor",
    "looks_like_probabilities",
    "losing_classes",
    "mcnemar",
    "mcnemar_of_loss",
    "missing_samples",
    "paired_loss",
    "paired_metric",
    "percentile_interval",
    "reference_scores",
    "samples_needed",
    "score",
    "speed_note",
    "split_points",
    "spread_of",
    "steady_note",
    "steady_times",
    "sum_outputs",
    "tango",
    "wilson",
    "worst_samples",
    "zero_discordance_bound",
]
