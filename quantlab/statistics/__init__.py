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

Intervals (`wilson`, `tango`, `newcombe_paired`) are in shares from −1 to 1; `Scores` are in percent and points.
"""

from quantlab.statistics.alignment import ALIGNMENT_TOLERANCE, NamedTensor, align, layers_without_tensor
from quantlab.statistics.blocks import blocks
from quantlab.statistics.classification import TOP5_FROM_CLASSES, ClassificationSums, as_classes
from quantlab.statistics.divergence import DivergenceSums, kl_per_sample
from quantlab.statistics.intervals import newcombe_paired, tango, wilson
from quantlab.statistics.layer_names import layer_of, layers_of
from quantlab.statistics.layers import ChannelSums, LayerError
from quantlab.statistics.outputs import ScoreSums, reference_scores, score, sum_outputs
from quantlab.statistics.probabilities import ProbabilitySums, looks_like_probabilities
from quantlab.statistics.regression import RegressionSums
from quantlab.statistics.sketch import SKETCH_ACCURACY, ErrorSketch, Range
from quantlab.statistics.split import SplitSums, StepSums, split_points
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError
from quantlab.statistics.weights import compare_weights

__all__ = [
    "ALIGNMENT_TOLERANCE",
    "SKETCH_ACCURACY",
    "TOP5_FROM_CLASSES",
    "ChannelSums",
    "ClassificationSums",
    "DivergenceSums",
    "ErrorSketch",
    "LayerError",
    "NamedTensor",
    "ProbabilitySums",
    "Range",
    "RegressionSums",
    "ScoreSums",
    "SplitSums",
    "StepSums",
    "Sums",
    "TensorError",
    "align",
    "as_classes",
    "blocks",
    "compare_weights",
    "kl_per_sample",
    "layer_of",
    "layers_of",
    "layers_without_tensor",
    "looks_like_probabilities",
    "newcombe_paired",
    "reference_scores",
    "score",
    "split_points",
    "sum_outputs",
    "tango",
    "wilson",
]
