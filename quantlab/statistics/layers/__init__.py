"""What is inside a variant: which tensor is which, how far each strays, its weights, and where the loss comes from.

`align` tells which tensor of the reference a variant's tensor is, `LayerError` sums how far it strays, and `SplitSums`
splits the error of the output:

```text
LayerError ─┬─ TensorError           the same sums, in one pass with the rest
            ├─ ErrorSketch           quantiles of |error|
            ├─ Range                 of either side
            ├─ ChannelSums           by the last axis, on request
            └─ LAYER_STATISTICS      what is registered beside these
```

Nothing here imports from `scores` or `paired`, and they import nothing from here.
"""

from quantlab.statistics.layers.alignment import ALIGNMENT_TOLERANCE, NamedTensor, align, layers_without_tensor
from quantlab.statistics.layers.contract import LayerStatistic
from quantlab.statistics.layers.layer_error import ChannelSums, LayerError
from quantlab.statistics.layers.layer_names import layer_of, layers_of
from quantlab.statistics.layers.registry import LAYER_STATISTICS
from quantlab.statistics.layers.sketch import SKETCH_ACCURACY, ErrorSketch, Range
from quantlab.statistics.layers.split import SplitSums, StepSums, split_points
from quantlab.statistics.layers.weights import compare_weights

__all__ = [
    "ALIGNMENT_TOLERANCE",
    "LAYER_STATISTICS",
    "SKETCH_ACCURACY",
    "ChannelSums",
    "ErrorSketch",
    "LayerError",
    "LayerStatistic",
    "NamedTensor",
    "Range",
    "SplitSums",
    "StepSums",
    "align",
    "compare_weights",
    "layer_of",
    "layers_of",
    "layers_without_tensor",
    "split_points",
]
