"""What one output scores, and what is known of each of its samples.

`sum_outputs` is the whole of it for one trial's output; below it stand the sums it is made of, each of use by itself:

```text
ScoreSums ─┬─ TensorError            how far a tensor of any shape strays
           ├─ ClassificationSums     top-1, top-5, agreement, and which answers changed
           ├─ DivergenceSums         KL(reference‖candidate)
           └─ RegressionSums         MAE and RMSE against labels
```

`ReferenceSamples` and `CandidateSamples` keep the same facts sample by sample, for `paired`, which imports from here.
Nothing here imports from `paired` or `layers`.
"""

from quantlab.statistics.scores.classification import TOP5_FROM_CLASSES, ClassificationSums, as_classes
from quantlab.statistics.scores.divergence import DivergenceSums, kl_per_sample
from quantlab.statistics.scores.intervals import tango, wilson
from quantlab.statistics.scores.outputs import ScoreSums, reference_scores, sum_outputs
from quantlab.statistics.scores.probabilities import ProbabilitySums, looks_like_probabilities
from quantlab.statistics.scores.regression import RegressionSums
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ErrorSamples, ReferenceSamples

__all__ = [
    "TOP5_FROM_CLASSES",
    "CandidateSamples",
    "ClassSamples",
    "ClassificationSums",
    "DivergenceSums",
    "ErrorSamples",
    "ProbabilitySums",
    "ReferenceSamples",
    "RegressionSums",
    "ScoreSums",
    "as_classes",
    "kl_per_sample",
    "looks_like_probabilities",
    "reference_scores",
    "sum_outputs",
    "tango",
    "wilson",
]
