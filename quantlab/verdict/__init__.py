"""Decides what may be shipped, and says why; pure functions of trials, their evidence and a budget.

```text
judge ─┬─ targets      the formats, runtimes and size that count
       ├─ criteria     one function a limit of the budget: measured, finite, loss, classes, agreement, size
       └─ recommended  the smallest setting that fits in every runtime that counts
recommend              that, with a reason for each other setting, and the front of size and loss
```
"""

from quantlab.verdict._figures import decimals_of, rounded_down, rounded_up, size
from quantlab.verdict._judge import judge
from quantlab.verdict._recommend import recommend
from quantlab.verdict._targets import TARGETS, Target

__all__ = ["TARGETS", "Target", "decimals_of", "judge", "recommend", "rounded_down", "rounded_up", "size"]
