"""Searches the smallest artifact that keeps a budget.

```text
tune ─┬─ activations    sums over the inputs of each weight, on the calibration samples
      ├─ weights        how each weight is stored (formats whose converter has `tunable`)
      ├─ allocation     bytes divided among weights
      ├─ float_ops      which ops stay in float (formats whose converter has `parts` only)
      ├─ measuring      candidates on the search samples, each kept
      └─ acceptance     what may be expected of a candidate on the samples of the verdict
```
"""

from quantlab.study.tuning.acceptance import UNGUIDED
from quantlab.study.tuning.files import copy_artifacts, read_tuning
from quantlab.study.tuning.tune import Tuned, tune

__all__ = ["UNGUIDED", "Tuned", "copy_artifacts", "read_tuning", "tune"]
