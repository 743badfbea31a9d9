"""Every value that flows through a study: frozen dataclasses, each field explained.

Derived numbers are properties, so that they cannot disagree with their sources. A float may be
infinite or NaN here; JSON gets the strings of `quantlab.store` for those.
"""

from quantlab.types._layers import (
    Alignment,
    Baseline,
    Codes,
    Inside,
    LayerRow,
    OpRow,
    SplitRow,
    StoredWeight,
    TapSpec,
    TrialLayers,
    WeightRow,
)
from quantlab.types._study import (
    Failure,
    Interval,
    KeptOutputs,
    ModelDescription,
    OpenedModel,
    Port,
    Preprocessing,
    SampleSet,
    Scores,
    Setting,
    Study,
    Task,
    TensorSpec,
    Timing,
    Trial,
    Variant,
)

__all__ = [
    "Alignment",
    "Baseline",
    "Codes",
    "Failure",
    "Inside",
    "Interval",
    "KeptOutputs",
    "LayerRow",
    "ModelDescription",
    "OpRow",
    "OpenedModel",
    "Port",
    "Preprocessing",
    "SampleSet",
    "Scores",
    "Setting",
    "SplitRow",
    "StoredWeight",
    "Study",
    "TapSpec",
    "Task",
    "TensorSpec",
    "Timing",
    "Trial",
    "TrialLayers",
    "Variant",
    "WeightRow",
]
