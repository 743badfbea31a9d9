"""Results about the inside of a variant: its tensors, weights and ops, and where its loss comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy.typing as npt  # for annotations only: the command line imports this module without NumPy

__all__ = [
    "AGAINST_FLOAT32",
    "AGAINST_PYTHON",
    "AGAINST_REFERENCE",
    "Alignment",
    "Baseline",
    "Codes",
    "LayerRow",
    "OpRow",
    "Source",
    "SplitRow",
    "StoredWeight",
    "TapSpec",
    "TrialLayers",
    "WeightRow",
]

Baseline = Literal["reference", "float32", "python"]
"""What a tensor is compared with: the reference, the float32 baseline, or the python baseline."""

AGAINST_REFERENCE: Final = "reference"
AGAINST_FLOAT32: Final = "float32"
"""The float32 artifact of the same format, run in Python."""
AGAINST_PYTHON: Final = "python"
"""The same artifact, run in Python."""


@dataclass(frozen=True, slots=True)
class Codes:
    """Affine quantization of an integer tensor: value = scale · (code − zero point) + offset."""

    scale: float
    zero_point: int
    lowest: int
    """The smallest code that is used."""
    highest: int
    """The largest code that is used."""
    offset: float = 0.0
    """0 for all tensors of files; another if an input takes the pixels from which samples were computed."""

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that the codes can hold."""
        values = [(code - self.zero_point) * self.scale + self.offset for code in (self.lowest, self.highest)]
        return min(values), max(values)


@dataclass(frozen=True, slots=True)
class TapSpec:
    """A tensor inside a variant that can be read while it runs."""

    name: str
    """Name in the artifact: a graph node for tfjs, a tensor of the file for TFLite and ONNX."""
    shape: tuple[int | None, ...]
    """Shape with the batch first; None for a dimension of any size; empty if the artifact does not record it."""
    dtype: str
    """Data type in which it is stored or computed: `float32`, `int8`, …"""
    op: str
    """The op that produces it, in the format's own naming."""
    codes: Codes | None = None
    """Quantization parameters of an integer tensor, which is read as floats; None for float tensors."""
    reason: str | None = None
    """Why the tensor cannot be read or compared, otherwise None."""
    scope: str = ""
    """A name that tells the layer if the tensor's own does not, such as that of a weight of its op; else empty."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The reference tensor that corresponds to a variant's tensor, or the reason why there is none."""

    tensor: str
    """Tensor name in the artifact; empty for a reference layer without a matching tensor in the variant."""
    reference: str | None
    """Node name in the reference's graph, or None."""
    layer: str
    """Path of the reference's layer, for example `conv2d_1`; the tensor's own name if no layer matches."""
    reason: str | None = None
    """Why it is not aligned (ambiguous, folded, no float tensor, …), otherwise None."""

    @property
    def aligned(self) -> bool:
        """Whether the variant and the reference both have the tensor."""
        return self.reference is not None and self.reason is None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """Error of one tensor of one trial against one baseline; figures are None if the tensor is not aligned."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    runtime: str
    """The runtime that was requested."""
    layer: str
    """Path of the reference's layer, for example `conv2d_1`; the tensor's own name if no layer matches."""
    tensor: str
    """Tensor name in the artifact; empty for a reference layer without a matching tensor in the variant."""
    baseline: Baseline
    """The other side of the comparison: `reference`; `float32`, the float32 artifact of the same format in Python; or,
    for runtimes other than Python, `python`, the same artifact in Python (for float32 artifacts it is `float32`)."""
    aligned: bool
    """Whether the variant and the baseline both have the tensor."""
    reason: str | None
    """Why it is not aligned or was not read, otherwise None."""
    place: int
    """Position of the tensor in execution order, from 0."""
    op: str
    """The op that produces it, in the format's own naming."""
    dtype: str
    """Data type in which the variant computes it: `float32`, `int8`, …"""
    count: int = 0
    """Number of elements compared, over all samples."""
    different: int | None = None
    """Number of elements whose values differ; NaN differs from everything."""
    mean_abs: float | None = None
    """Mean absolute error; infinite if an element of either side is not finite."""
    max_abs: float | None = None
    """Largest absolute error; infinite if an element of either side is not finite."""
    rms: float | None = None
    """Root mean square (RMS) error; infinite if an element of either side is not finite."""
    relative_rms: float | None = None
    """RMS of the error divided by RMS of the baseline."""
    relative_rms_growth: float | None = None
    """Increase of `relative_rms` since the previous aligned tensor in execution order, for the first tensor since 0;
    None for channels, and if one of the two values is not finite."""
    sqnr_db: float | None = None
    """10·log₁₀(Σ baseline² / Σ error²): ∞ without error, −∞ if the baseline is all 0 or a value is not finite."""
    cosine: float | None = None
    """Cosine similarity of the flattened tensors; NaN if either is all zeros or has a value that is not finite."""
    bias: float | None = None
    """Mean error, candidate − baseline; NaN if an element is not finite."""
    non_finite: int | None = None
    """Number of the candidate's elements that are NaN or infinite."""
    non_finite_baseline: int | None = None
    """Number of the baseline's elements that are NaN or infinite."""
    minimum: float | None = None
    """Smallest finite element of the candidate."""
    maximum: float | None = None
    """Largest finite element of the candidate."""
    baseline_minimum: float | None = None
    """Smallest finite element of the baseline."""
    baseline_maximum: float | None = None
    """Largest finite element of the baseline."""
    error_quantiles: dict[str, float] | None = None
    """Quantiles of the absolute error by percentile: `50`, `90`, `95`, `99`, `99.9`; accurate to 0.4 %."""
    saturated: float | None = None
    """Share of an integer activation's codes that are at an end of the code range; the lower end is not counted if it
    stands for 0, as after a ReLU; None for floats."""
    clipped: float | None = None
    """Share of the baseline's values that lie outside the range of the variant's codes, by more than half a step; None
    for floats."""
    isolated_sqnr_db: float | None = None
    """SQNR in decibels of the op alone, with inputs from the float32 graph, in Python; None in layers-models."""
    worst_channel: int | None = None
    """Index along the last axis with the lowest SQNR, isolated if measured, else accumulated; reference rows only.
    Channels that are 0 in the baseline count only if all are."""
    worst_channel_sqnr_db: float | None = None
    """SQNR of the worst channel, in decibels."""
    channel: int | None = None
    """Index along the last axis if the row is about one channel (on request); None for the whole tensor."""
    reference: str = ""
    """Name of the matching tensor in the model's graph; empty if there is none."""
    recorded_minimum: float | None = None
    """The smallest value that the variant's codes can hold; None for floats."""
    recorded_maximum: float | None = None
    """The largest value that the variant's codes can hold; None for floats."""
    recorded_step: float | None = None
    """Difference of the values of two neighbouring codes; None for floats."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Name in `quantlab.statistics.LAYER_STATISTICS` → figure of that statistic; empty if none is registered."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeight:
    """A constant of an artifact, as stored and as decoded: weights, biases, and also shapes and axes."""

    name: str
    """Name in the artifact; it may be unrelated to any layer, for example `arith.constant9`."""
    keys: tuple[str, ...]
    """Identifiers that are the same in every variant of the format, one for each use of the constant.

    tfjs: its name. TFLite: the op, its position among ops of that type that read constants, and the input, for example
    `CONV_2D 3 of 6, input 1`. ONNX: the same, where a float op and its integer counterpart share the name of the float
    op; a bias counts as input 2 even if a separate Add applies it. Empty if nothing reads the constant.
    """
    shape: tuple[int, ...]
    dtype: str
    """Stored data type: `uint8`, `int4`, `float16`, `string`, …"""
    size_bytes: int
    """Stored size in bytes; 0 if the bytes are shared with a weight that was already counted."""
    stored: "npt.NDArray[Any]"
    """The codes, one per element (int4 unpacked to int8); strings are bytes objects; empty if `reason` is set."""
    values: "npt.NDArray[Any]"
    """Decoded values: float32 for codes and floats, otherwise as stored."""
    scales: tuple[float, ...] = ()
    """Scales of affine codes: one, or one per index of `channel_axis`; empty for floats and plain integers."""
    zero_points: tuple[int, ...] = ()
    """TFLite: the code that stands for 0, one for each scale."""
    minimum: float | None = None
    """tfjs: the value that code 0 stands for."""
    code_range: tuple[int, int] | None = None
    """Lowest and highest code that the converter produces; None without scales."""
    channel_axis: int | None = None
    """The axis with one scale per index; None with one scale or none."""
    channel_axes: tuple[int, ...] = ()
    """The axes that together index the output channel, the last varying fastest; empty if the channel is unknown."""
    reason: str | None = None
    """Why it could not be decoded, otherwise None."""
    feeds: str = ""
    """Name of the tap that the first op reading it writes, which tells its layer; empty if nothing reads it."""
    lasting_name: str | None = None
    """ONNX: its name without parts that a conversion or a quantizer adds; aligns weights whose keys do not match."""


@dataclass(frozen=True, slots=True)
class WeightRow:
    """Error of one stored weight of a variant against the float32 artifact of the same format."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    tensor: str
    """Name of the weight in the artifact."""
    counterpart: str | None
    """Name of the matching weight in the float32 artifact; None if there is none."""
    reason: str | None
    """Why it could not be compared, otherwise None."""
    shape: tuple[int, ...]
    """Shape as stored."""
    dtype: str
    """Data type as stored."""
    size_bytes: int
    """Stored size in bytes; 0 if the bytes are shared with a weight that was already counted."""
    scale: float | None = None
    """Scale of affine codes; the largest one if each channel has its own."""
    scales: int = 0
    """Number of scales: 0 for floats, 1 for per-tensor quantization, otherwise one per channel."""
    channel_axis: int | None = None
    """Axis of per-channel quantization; None for tfjs depthwise kernels (channel = input channel × multiplier)."""
    minimum_or_zero: float | None = None
    """tfjs: the value that code 0 stands for. TFLite: the zero point of the first channel."""
    different: int | None = None
    """Number of decoded values that differ from the float32 artifact."""
    mean_abs: float | None = None
    """Mean absolute error against the float32 artifact."""
    max_abs: float | None = None
    """Largest absolute error against the float32 artifact."""
    rms: float | None = None
    """Root mean square error against the float32 artifact."""
    sqnr_db: float | None = None
    """SQNR in decibels over all values: ∞ if there is no error, −∞ if a value is not finite."""
    channels: int = 0
    """Number of channels: the product of the sizes of the channel axes; 0 if they are unknown."""
    channel_spread: float | None = None
    """Largest |value| of the largest channel divided by that of the smallest channel that is not 0, in the float32
    artifact; None if the channels are unknown, all 0, or not finite."""
    worst_channel: int | None = None
    """Channel with the lowest SQNR: the joint index along the channel axes, the last varying fastest."""
    worst_channel_sqnr_db: float | None = None
    """SQNR of the worst channel, in decibels."""
    zeroed: float | None = None
    """Share of nonzero float32 values that became 0."""
    clipped: float | None = None
    """Share of values more than half a step outside the range of the codes, or of float16; None for other types."""
    outlier_stretch: float | None = None
    """Full value range divided by the range of the middle 99.8 %, a measure of outliers; None for floats."""
    non_finite: int = 0
    """Number of stored values that are NaN or infinite."""
    largest: float | None = None
    """Largest finite |value| as decoded; None for weights that are no numbers, cannot be read, or have no elements."""
    used_by: str = ""
    """The ops that read it, for example `CONV_2D 3 of 6, input 1`; empty for tfjs, whose names are descriptive."""
    layer: str = ""
    """Path of the reference's layer whose op reads it, for example `conv2d_1`; empty if no layer matches that op."""


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op of a TFLite or ONNX file, and the number type it computes in."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    place: int
    """Position in execution order, from 0."""
    op: str
    """Name of the op, for example `CONV_2D`."""
    version: int
    """Version of the op, which determines the oldest runtime that can execute it."""
    computes_in: Literal["float", "hybrid", "int8", "uint8", "int16", "other"]
    """Number type of the computation; `hybrid` means float activations with integer weights (dynamic range)."""
    weights: str
    """Stored data type of its constant inputs with more than one element; empty if there are none."""
    output: str
    """Name of its first output."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """Where the loss of a trial comes from, in one measure; the parts add up to the total."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    runtime: str
    """The runtime that was requested."""
    measure: Literal["points", "rms"]
    """`points`: loss of the metric; `rms`: each step's share of the output's RMS error, mean(eᵢ·e) / RMS(e)."""
    preprocessing: float | None
    """Part of the step from the declared samples to those of an app's pipeline, both through the reference; None if the
    variants were fed the declared samples."""
    conversion: float | None
    """Part of the step from the reference, on the same samples, to the float32 artifact of the format, in Python."""
    quantization: float | None
    """Part of the step from the float32 artifact to the quantized variant, both in Python."""
    runtime_part: float | None
    """Part of the step from the variant in Python to the same artifact in the trial's runtime."""
    total: float | None
    """Sum of the parts: the trial's loss, or the RMS of its output's error."""
    conversion_rms: float | None = None
    """RMS error of the conversion step by itself; only for the measure `rms`."""
    quantization_rms: float | None = None
    """RMS error of the quantization step by itself; only for the measure `rms`."""
    runtime_rms: float | None = None
    """RMS error of the runtime step by itself; only for the measure `rms`."""
    preprocessing_rms: float | None = None
    """RMS error of the preprocessing step by itself; only for the measure `rms`."""
    reason: str | None = None
    """Why parts are None, otherwise None."""


@dataclass(frozen=True, slots=True)
class Source:
    """The op of a quantized variant that causes most of its error, by the error it makes alone, in Python.

    It is the first op in execution order that destroys a channel, that is, leaves it an isolated SQNR under 3 dB. If no
    op does, it is the one whose worst channel has the lowest isolated SQNR. For a tensor without channels the SQNR of
    the whole tensor counts.
    """

    setting: str
    """Name of the setting."""
    layer: str
    """Path of the reference's layer."""
    op: str
    """The op, in the format's own naming."""
    tensor: str
    """Name of the tensor that it writes."""
    sqnr_db: float
    """Isolated SQNR of the worst channel, or of the whole tensor, in decibels."""
    channel: int | None
    """The worst channel, an index along the last axis; None for a tensor without channels."""
    weight: str = ""
    """Name of the layer's weight with the lowest SQNR of the worst channel; empty if none has an error."""
    weight_channels: int = 0
    """Number of channels of this weight; 0 if they are unknown."""
    weight_scales: int = 0
    """Number of scales of this weight: 1 for per-tensor quantization, 0 for floats."""
    weight_spread: float | None = None
    """Largest |value| of this weight's largest channel, divided by that of its smallest channel that is not 0."""
    weight_channel: int | None = None
    """The worst channel of this weight: the joint index along its channel axes."""
    weight_sqnr_db: float | None = None
    """SQNR of this weight's worst channel, in decibels."""


@dataclass(frozen=True, slots=True)
class TrialLayers:
    """Layer rows of one trial; cached separately, so that adding a setting recomputes only that setting."""

    rows: tuple[LayerRow, ...]
    notes: tuple[str, ...]
