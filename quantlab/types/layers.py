"""What is known of a variant's inside: its tensors, its weights, its ops, and where its loss comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy.typing as npt  # what only reads types, as the command line, does without NumPy

__all__ = [
    "AGAINST_FLOAT32",
    "AGAINST_PYTHON",
    "AGAINST_REFERENCE",
    "Alignment",
    "Baseline",
    "Codes",
    "Inside",
    "LayerRow",
    "OpRow",
    "SplitRow",
    "StoredWeight",
    "TapSpec",
    "TrialLayers",
    "WeightRow",
]

Baseline = Literal["reference", "float32", "python"]
"""What a tensor is compared with."""

AGAINST_REFERENCE: Final = "reference"
AGAINST_FLOAT32: Final = "float32"
"""The same format's float32 baseline, in Python."""
AGAINST_PYTHON: Final = "python"
"""The same artifact in Python."""


@dataclass(frozen=True, slots=True)
class Codes:
    """What the integers of a tensor stand for: scale · (code − zero point)."""

    scale: float
    zero_point: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class TapSpec:
    """A tensor inside a variant that can be read while it runs."""

    name: str
    """The artifact's name for it: a graph node for tfjs, a tensor of the file for TFLite."""
    shape: tuple[int | None, ...]
    """With the batch first; None where any size goes; empty where the artifact does not tell."""
    dtype: str
    """As stored or computed in: `float32`, `int8`, …"""
    op: str
    """The op that makes it, by the format's own name."""
    codes: Codes | None = None
    """Of an integer tensor, which is read as floats; None for floats."""
    reason: str | None = None
    """Why it cannot be read or compared; None where it can."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which of the reference's tensors a variant's tensor is, or why none."""

    tensor: str
    """The artifact's name; empty for a layer of the reference that has no tensor in the variant."""
    reference: str | None
    """The reference graph's node, or None."""
    layer: str
    """The path of the reference's layer, as `conv2d_1`; the tensor's own name where nothing was found."""
    reason: str | None = None
    """Why it is not aligned: ambiguous, folded, no float tensor, …; None where it is."""

    @property
    def aligned(self) -> bool:
        """Whether there is a tensor on both sides."""
        return self.reference is not None and self.reason is None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One tensor of one trial against one baseline; numbers are None where it is not aligned."""

    setting: str
    """The setting's name, or that of a given variant."""
    runtime: str
    """Where it was asked to run."""
    layer: str
    """The path of the reference's layer, as `conv2d_1`; the tensor's own name where nothing was found."""
    tensor: str
    """The artifact's name for it; empty for a layer of the reference that has no tensor in the variant."""
    baseline: Baseline
    """What it is compared with: `reference`; `float32`, the same format's float32 variant in Python; or, in another
    runtime, `python`, the same artifact there (that of float32 is `float32`)."""
    aligned: bool
    """Whether there is a tensor on both sides."""
    reason: str | None
    """Why it is not aligned or was not read, else None."""
    place: int
    """The tensor's place in the order of execution, from 0."""
    op: str
    """The op that makes it, by the format's own name."""
    dtype: str
    """As the variant computes it: `float32`, `int8`, …"""
    count: int = 0
    """Elements compared, over all samples."""
    different: int | None = None
    """Elements whose values are not equal; NaN equals nothing."""
    mean_abs: float | None = None
    """Mean |error|; infinite where an element of either side is not finite."""
    max_abs: float | None = None
    """Greatest |error|; infinite as above."""
    rms: float | None = None
    """Root of the mean squared error; infinite as above."""
    relative_rms: float | None = None
    """RMS of the error over RMS of the baseline."""
    relative_rms_growth: float | None = None
    """What `relative_rms` grew by from the aligned tensor before in order of execution; None for the first, where one
    of the two is not finite, and for channels."""
    sqnr_db: float | None = None
    """10·log₁₀(Σ baseline² / Σ error²): ∞ without noise, −∞ for noise on zeros or anything not finite."""
    cosine: float | None = None
    """Cosine of the angle between the two, flattened; NaN where either is all zeros or not finite."""
    bias: float | None = None
    """Mean error, candidate − baseline; NaN where an element is not finite."""
    non_finite: int | None = None
    """Elements of the candidate that are NaN or infinite."""
    non_finite_baseline: int | None = None
    """Elements of the baseline that are NaN or infinite."""
    minimum: float | None = None
    """Of the candidate's finite elements."""
    maximum: float | None = None
    """Of the candidate's finite elements."""
    baseline_minimum: float | None = None
    """Of the baseline's finite elements."""
    baseline_maximum: float | None = None
    """Of the baseline's finite elements."""
    error_quantiles: dict[str, float] | None = None
    """Of |error|, by percentile: `50`, `90`, `95`, `99`, `99.9`; within 0.4 % of the true value."""
    saturated: float | None = None
    """Share of an integer activation's codes at either end of its range, where the end stands for 0, as behind a ReLU,
    only at the other; None for floats."""
    isolated_sqnr_db: float | None = None
    """SQNR of the node fed with the inputs it has in the float32 graph; tfjs only."""
    worst_channel: int | None = None
    """The last axis' index with the least isolated (else accumulated) SQNR; against the reference only."""
    worst_channel_sqnr_db: float | None = None
    """The SQNR of that channel."""
    channel: int | None = None
    """The last axis' index that the row is of, where channels were asked for; None for the whole tensor."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Figures of the statistics in `quantlab.statistics.LAYER_STATISTICS`, by name; empty where there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeight:
    """A constant of an artifact, as its bytes say and as the runtime has it: weights, biases, shapes and axes alike."""

    name: str
    """The artifact's name for it, which need not be told by any layer: `arith.constant9`."""
    keys: tuple[str, ...]
    """What it is in any variant of the same format, once for each place that reads it; empty where none does.

    tfjs: its name. TFLite: op, place among the ops of that name that read constants, and input, as
    `CONV_2D 3 of 6, input 1`. ONNX: the same, where an op and those that do the same on codes have one name, that of
    the op on floats; a bias is input 2 also where an Add gives it.
    """
    shape: tuple[int, ...]
    dtype: str
    """As stored: `uint8`, `int4`, `float16`, `string`, …"""
    size_bytes: int
    """0 where the bytes were counted with another weight that shares them."""
    stored: "npt.NDArray[Any]"
    """The codes, one an element (int4 unpacked to int8); strings are bytes objects; empty where there is a reason."""
    values: "npt.NDArray[Any]"
    """Decoded: float32 for codes and floats, else as stored."""
    scales: tuple[float, ...] = ()
    """Of affine codes: one, or one for each index of `channel_axis`; empty for floats and plain integers."""
    zero_points: tuple[int, ...] = ()
    """TFLite: the code of the value 0, one for each scale."""
    minimum: float | None = None
    """tfjs: the value of code 0."""
    code_range: tuple[int, int] | None = None
    """Lowest and highest code that the converter gives out; None where there are no scales."""
    channel_axis: int | None = None
    """The axis that scales differ along; None where there is one scale or none."""
    channel_axes: tuple[int, ...] = ()
    """Axes whose joint index, the last running fastest, is the output channel; empty where no channel is known."""
    reason: str | None = None
    """Why it could not be decoded; None where it could."""
    lasting_name: str | None = None
    """ONNX: its name without what a conversion or a quantization makes up, by which it is aligned where no key is."""


@dataclass(frozen=True, slots=True)
class WeightRow:
    """One stored weight of a variant against the same format's float32 artifact."""

    setting: str
    """The setting's name, or that of a given variant."""
    tensor: str
    """The artifact's name for it."""
    counterpart: str | None
    """The float32 artifact's name for it; None where none was found."""
    reason: str | None
    """Why it could not be compared, else None."""
    shape: tuple[int, ...]
    """As stored."""
    dtype: str
    """As stored."""
    size_bytes: int
    """Of the stored values; 0 where they were counted with another weight that shares them."""
    scale: float | None = None
    """Of affine codes; the largest where there is one a channel."""
    scales: int = 0
    """How many scales there are: 0 for floats, 1 per tensor, else one a channel."""
    channel_axis: int | None = None
    """The quantized axis; for tfjs depthwise kernels None, as their channel is input channel × multiplier."""
    minimum_or_zero: float | None = None
    """tfjs: the value of code 0. TFLite: the zero point, of the first channel."""
    different: int | None = None
    """Decoded values that are not those of the float32 artifact."""
    mean_abs: float | None = None
    """Mean |error| against the float32 artifact's values."""
    max_abs: float | None = None
    """Greatest |error|."""
    rms: float | None = None
    """Root of the mean squared error."""
    sqnr_db: float | None = None
    """Over all values: ∞ without error, −∞ where one is not finite."""
    worst_channel: int | None = None
    """The channel with the least SQNR, as its index along the channel axes, the last running fastest."""
    worst_channel_sqnr_db: float | None = None
    """The SQNR of that channel."""
    zeroed: float | None = None
    """Share of the float32 values other than 0 that became 0."""
    clipped: float | None = None
    """Share of values beyond the range that the codes, or float16, span, by more than half a step; else None."""
    outlier_stretch: float | None = None
    """Range of the values over that of their middle 99.8 %: what outliers make of the scale; None for floats."""
    non_finite: int = 0
    """Stored values that are NaN or infinite."""
    used_by: str = ""
    """What reads it, as `CONV_2D 3 of 6, input 1`, since names in TFLite and ONNX files tell little; empty for tfjs."""


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op of a TFLite file, and what it computes in."""

    setting: str
    """The setting's name, or that of a given variant."""
    place: int
    """Its place in the order of execution, from 0."""
    op: str
    """The builtin's name, as `CONV_2D`, and its version."""
    version: int
    """Of the builtin, which decides how old a runtime may be."""
    computes_in: Literal["float", "hybrid", "int8", "uint8", "int16", "other"]
    """hybrid: float activations and integer weights (dynamic range)."""
    weights: str
    """Stored dtype of its constant inputs of more than one element; empty where it has none."""
    output: str
    """The name of its first output."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """Where the loss of a trial comes from, in one measure; the parts add up to the total."""

    setting: str
    """The setting's name, or that of a given variant."""
    runtime: str
    """Where it was asked to run."""
    measure: Literal["points", "rms"]
    """`points` of the metric, or `rms` of the output as projections on the whole error, mean(eᵢ·e) / RMS(e)."""
    preprocessing: float | None
    """Always None: no study measures it yet, and the key is kept for one that does."""
    conversion: float | None
    """reference → the format's float32 variant in Python."""
    quantization: float | None
    """That → the quantized variant in Python."""
    runtime_part: float | None
    """That → the same artifact in the other runtime."""
    total: float | None
    """What the parts add up to: the trial's loss, or the RMS of its output's error."""
    conversion_rms: float | None = None
    """Plain RMS of the step, only for the measure `rms`."""
    quantization_rms: float | None = None
    """Plain RMS of the step, only for the measure `rms`."""
    runtime_rms: float | None = None
    """Plain RMS of the step, only for the measure `rms`."""
    reason: str | None = None
    """Why parts are None, else None."""


@dataclass(frozen=True, slots=True)
class TrialLayers:
    """What was found inside one trial; kept by itself, so that an added setting costs only itself."""

    rows: tuple[LayerRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found inside the variants of a study, as `inside.json` keeps it."""

    layers: tuple[LayerRow, ...]
    weights: tuple[WeightRow, ...]
    ops: tuple[OpRow, ...]
    split: tuple[SplitRow, ...]
    samples: int
    """How many samples the layers were compared on; the split is of all that were scored."""
    drawn: str
    """How they were drawn, in words."""
    notes: tuple[str, ...] = ()
    """What the reader must know: tapped runs that answer differently, variants that could not be read inside."""
    schema: int = 1
