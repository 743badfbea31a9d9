"""Comparison inside a variant: alignment of tensors, their errors, stored weights, and the split of the loss.

`align` finds the reference tensor that corresponds to a variant's tensor, `LayerError` sums its error, and `SplitSums`
splits the error of the output:

```text
LayerError ─┬─ TensorError           the basic sums
            ├─ ErrorSketch           quantiles of |error|
            ├─ Range                 value range of both sides
            ├─ ChannelSums           per channel (last axis), on request
            └─ LAYER_STATISTICS      registered additional statistics
```

This package is independent of `scores` and `paired`.
"""

from quantlab.layer_names import layer_of, layers_of
from quantlab.statistics.layers.alignment import (
    ALIGNMENT_TOLERANCE,
    NamedTensor,
    align,
    layers_by_tensor,
    layers_without_tensor,
)
from quantlab.statistics.layers.contract import LayerStatistic
from quantlab.statistics.layers.grid import share_on_grid
from quantlab.statistics.layers.layer_error import ChannelSums, LayerError
from quantlab.statistics.layers.registry import LAYER_STATISTICS
from quantlab.statistics.layers.sketch import SKETCH_ACCURACY, ErrorSketch, Range
from quantlab.statistics.layers.split import SplitSums, StepSums, split_points
from quantlab.statistics.layers.weights import compare_weights, list_weights

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
    "layers_by_tensor",
    "layers_of",
    "layers_without_tensor",
    "list_weights",
    "share_on_grid",
    "split_points",
]
