"""Pure functions of outputs, and sums that batches, shards and machines combine with `+`.

`score` is the whole of it for one trial's output; below it stand the sums it is made of, each of use by itself:

```text
ScoreSums ─┬─ TensorError            how far a tensor of any shape strays
           ├─ ClassificationSums     top-1, top-5, agreement, flips
           ├─ DivergenceSums         KL(reference‖candidate)
           └─ RegressionSums         MAE and RMSE against labels
```

Intervals (`wilson`, `tango`, `newcombe_paired`) are in shares from −1 to 1; `Scores` are in percent and points.
"""

from quantlab.statistics.blocks import blocks
from quantlab.statistics.classification import TOP5_FROM_CLASSES, ClassificationSums, as_classes
from quantlab.statistics.divergence import DivergenceSums, kl_per_sample
from quantlab.statistics.intervals import newcombe_paired, tango, wilson
from quantlab.statistics.outputs import ScoreSums, reference_scores, score, sum_outputs
from quantlab.statistics.probabilities import ProbabilitySums, looks_like_probabilities
from quantlab.statistics.regression import RegressionSums
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError

__all__ = [
    "TOP5_FROM_CLASSES",
    "ClassificationSums",
    "DivergenceSums",
    "ProbabilitySums",
    "RegressionSums",
    "ScoreSums",
    "Sums",
    "TensorError",
    "as_classes",
    "blocks",
    "kl_per_sample",
    "looks_like_probabilities",
    "newcombe_paired",
    "reference_scores",
    "score",
    "sum_outputs",
    "tango",
    "wilson",
]
