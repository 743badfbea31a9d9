"""Frozen dataclasses for every value that a study produces or passes on.

Derived numbers are properties, so that they cannot disagree with the fields they are computed from. A float may be
infinite or NaN; `quantlab.store` defines how JSON represents these.
"""

from quantlab.types.accepted import AcceptedFigures, AcceptedLoss, AcceptedOutput, AcceptedSetting, AcceptedStudy
from quantlab.types.budget import Budget, Margin
from quantlab.types.cost import Cost, Costs, DownloadSize, Machine
from quantlab.types.finite import NAMED_SAMPLES, NonFinite, SampleNames
from quantlab.types.float_layers import FloatLayer
from quantlab.types.layers import (
    AGAINST_FLOAT32,
    AGAINST_PYTHON,
    AGAINST_REFERENCE,
    Alignment,
    Baseline,
    Codes,
    Inside,
    LayerRow,
    OpRow,
    Source,
    SplitRow,
    StoredWeight,
    TapSpec,
    TrialLayers,
    WeightRow,
)
from quantlab.types.limits import ERROR_FIGURES, EVERY_CHANNEL, ErrorFigure, FigureName, OutputLimit, limit_of
from quantlab.types.model import ModelDescription, OpenedModel, TensorSpec
from quantlab.types.outputs import ConstantOutput, OutputComparison, OutputFigure, OutputRow
from quantlab.types.paired import ClassLoss, Direction, Evidence, Loss, Spread, WorstSample
from quantlab.types.reference import (
    STRAY_LIMIT,
    ChanceCheck,
    ClassOrder,
    ReferenceCheck,
    TargetCheck,
    TrainingLayer,
)
from quantlab.types.samples import VOID_LABEL, FileState, Preprocessing, SampleSet
from quantlab.types.sensitivity import MeasuredError, PartSensitivity, Sensitivity, VerifiedPart
from quantlab.types.study import Study, Task
from quantlab.types.trial import PYTHON, REFERENCE, Failure, Interval, KeptOutputs, Scores, Timing, Trial
from quantlab.types.variant import KEEPS_FLOAT, NARROW_DTYPES, Port, Setting, Variant, float32_of
from quantlab.types.verdict import (
    SEVERITY,
    SIMILAR_SIZE,
    Judgement,
    Outcome,
    Recommendation,
    SettingVerdict,
    TrialEvidence,
    Verdict,
)

__all__ = [
    "AGAINST_FLOAT32",
    "AGAINST_PYTHON",
    "AGAINST_REFERENCE",
    "ERROR_FIGURES",
    "EVERY_CHANNEL",
    "KEEPS_FLOAT",
    "NAMED_SAMPLES",
    "NARROW_DTYPES",
    "PYTHON",
    "REFERENCE",
    "SEVERITY",
    "SIMILAR_SIZE",
    "STRAY_LIMIT",
    "VOID_LABEL",
    "AcceptedFigures",
    "AcceptedLoss",
    "AcceptedOutput",
    "AcceptedSetting",
    "AcceptedStudy",
    "Alignment",
    "Baseline",
    "Budget",
    "ChanceCheck",
    "ClassLoss",
    "ClassOrder",
    "Codes",
    "ConstantOutput",
    "Cost",
    "Costs",
    "Direction",
    "DownloadSize",
    "ErrorFigure",
    "Evidence",
    "Failure",
    "FigureName",
    "FileState",
    "FloatLayer",
    "Inside",
    "Interval",
    "Judgement",
    "KeptOutputs",
    "LayerRow",
    "Loss",
    "Machine",
    "Margin",
    "MeasuredError",
    "ModelDescription",
    "NonFinite",
    "OpRow",
    "OpenedModel",
    "Outcome",
    "OutputComparison",
    "OutputFigure",
    "OutputLimit",
    "OutputRow",
    "PartSensitivity",
    "Port",
    "Preprocessing",
    "Recommendation",
    "ReferenceCheck",
    "SampleNames",
    "SampleSet",
    "Scores",
    "Sensitivity",
    "Setting",
    "SettingVerdict",
    "Source",
    "SplitRow",
    "Spread",
    "StoredWeight",
    "Study",
    "TapSpec",
    "TargetCheck",
    "Task",
    "TensorSpec",
    "Timing",
    "TrainingLayer",
    "Trial",
    "TrialEvidence",
    "TrialLayers",
    "Variant",
    "Verdict",
    "VerifiedPart",
    "WeightRow",
    "WorstSample",
    "float32_of",
    "limit_of",
]
