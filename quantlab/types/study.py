"""The model, the samples, the settings, the trials and the study they make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

__all__ = [
    "NARROW_DTYPES",
    "PYTHON",
    "REFERENCE",
    "Failure",
    "Interval",
    "KeptOutputs",
    "ModelDescription",
    "OpenedModel",
    "Port",
    "Preprocessing",
    "SampleSet",
    "Scores",
    "Setting",
    "Study",
    "Task",
    "TensorSpec",
    "Timing",
    "Trial",
    "Variant",
    "float32_of",
]

Task = Literal["classification", "regression", "similarity"]
"""What the scored output is compared for: labelled classes, labelled numbers, or the reference alone."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model by its name."""

    name: str
    """The name users write: the signature's argument or result, for Keras the layer's."""
    shape: tuple[int | None, ...]
    """With the batch dimension first; None where any size goes."""
    dtype: str
    """NumPy's name: `float32`, `int64`, `bool`, `str` for strings."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What is known of a model once it was opened."""

    path: str
    """As the user wrote it."""
    kind: str
    """`Keras 3`, `Keras 2` (opened by tf_keras), `SavedModel` or `ONNX`."""
    sha256: str
    """Of every byte of the file, or of a folder's files and their relative names."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int | None
    """Number of weights, trained or not; None where the model does not tell."""
    signature: str | None = None
    """The signature of a SavedModel that is called; None for Keras files."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that was opened, and what converters start from."""

    description: ModelDescription
    source: Path
    """The SavedModel, or the model's own file where it is no TensorFlow one."""
    format: str | None = None
    """Of a model that is an artifact already, as `onnx`; None where the source is a SavedModel."""

    @property
    def signature(self) -> str:
        """The signature of that SavedModel."""
        return self.description.signature or "serving_default"


REFERENCE = "reference"
"""How the reference's row is called, which no variant may be."""

NARROW_DTYPES = frozenset({"float16", "int8", "uint8", "uint16", "int16", "int4"})
"""What weights are stored in where less than float32 is kept of them."""

PYTHON = "python"
"""The runtime of the reference, and of each variant's Python baseline."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantize."""

    name: str
    """`<format>-<scheme>`, as `tfjs-uint8`."""
    format: str
    """The key of the converter: `tfjs`, `tfjs-layers`, `tflite`, `onnx`."""
    scheme: str
    """As the format's official converter calls it."""
    description: str
    """One sentence for `quantlab settings`."""
    default: bool = True
    """Whether it is run when no settings are asked for."""
    calibrated: bool = False
    """Whether its converter needs samples (static quantization)."""

    @property
    def float32(self) -> str:
        """The name of the same format's float32 baseline."""
        return float32_of(self.format)

    @property
    def quantized(self) -> bool:
        """Whether anything is stored or computed in less than float32."""
        return self.name != self.float32


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image file becomes a sample; every field is printed in the table's footer."""

    size: tuple[int, int] | None = None
    """Height and width in pixels; None takes the model's own, and leaves files of that size alone."""
    resize: str = "bilinear"
    """`nearest`, `bilinear`, `bicubic`, `lanczos` or `area`, all of Pillow, with half-pixel centres."""
    colour: str = "auto"
    """`rgb`, `bgr`, `grey`, or `auto`: rgb for three channels, grey for one."""
    scale: float = 1.0
    """What 0–255 is multiplied with, in float64, before it becomes the model's dtype."""
    offset: float = 0.0
    """Added after the scale."""


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples as every runtime is fed them: one raw little-endian `.npy` file an input, the same order in each.

    The files are written once, when the set is opened, and only mapped from then on.
    """

    folder: Path
    """Holds `<input>.npy` of shape (n, *sample shape) and the model's dtype, and `labels.npy` if labelled."""
    inputs: tuple[TensorSpec, ...]
    """As the model names them, with the sample's own sizes; the batch dimension stays None."""
    n: int
    labelled: bool
    sha256: str
    """Of the inputs' bytes in order, their names, shapes and dtypes, and of the labels."""
    source: str
    """As the user wrote it."""
    available: int
    """How many samples the source holds."""
    drawn: str
    """How the subset was drawn, in words for the footer: `all`, `stratified, seed 0`, `random, seed 0`."""
    preprocessing: str = ""
    """What was done to files to make tensors of them, in words; empty where nothing was."""

    def input_file(self, name: str) -> Path:
        """The `.npy` file of the input called `name`, whose characters may be more than a file name can have."""
        return self.folder / f"input-{quote(name, safe='')}.npy"

    @property
    def labels_file(self) -> Path:
        """The `.npy` file of the labels; there only if `labelled`."""
        return self.folder / "labels.npy"


@dataclass(frozen=True, slots=True)
class Port:
    """How a variant names an input or output that the model calls `name`."""

    name: str
    """The model's name for it."""
    tensor: str
    """The artifact's: a graph node's tensor for tfjs (`image:0`), the tensor's name for TFLite."""
    position: int
    """Its place among the artifact's inputs or outputs, from 0."""
    shape: tuple[int | None, ...]
    dtype: str
    """What the artifact takes or gives, which for a TFLite file may be `int8` codes."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a converter made from a setting, or a file that the user already had."""

    name: str
    """The setting's name, or the one given with `--variant NAME=FILE`."""
    format: str
    path: Path
    """A folder that holds just what is served (tfjs), or the file (TFLite)."""
    sha256: str
    """Of every file that is served and its relative name."""
    size_bytes: int
    """Of every file that must be served."""
    gzip_bytes: int
    """Each of those files compressed by itself, level 9, no timestamp; summed."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, int]
    """Bytes of stored weights by their stored dtype, as `{"float32": 6808, "int8": 22144}`."""
    brotli_bytes: int | None = None
    """Each of the served files compressed by itself, summed; quality 11, or 9 where they are more than 16 MB together.

    None in records of an older quantlab."""
    minimum_runtime: str | None = None
    """The least TFLite version that runs the file, as its converter wrote it; None for tfjs, or where it did not."""
    convert_seconds: float | None = None
    """Time in the converter; None for a file that was already there."""
    given: bool = False
    """Whether the user brought it with `--variant`."""
    notes: tuple[str, ...] = ()
    """What the reader of the row must know, as `named float32, holds int8 weights`."""

    @property
    def float32(self) -> str:
        """The name of its format's float32 baseline."""
        return float32_of(self.format)

    @property
    def is_float32(self) -> bool:
        """Whether it is that baseline; a file that the user brought never is, whatever its name."""
        return not self.given and self.name == self.float32


def float32_of(format_name: str) -> str:
    """The name of a format's float32 baseline, by the grammar of settings.

    >>> float32_of("tfjs-layers")
    'tfjs-layers-float32'
    """
    return f"{format_name}-float32"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be measured."""

    reason: str
    """One sentence or two, with the remedy where there is one."""
    stage: Literal["conversion", "run", "scoring"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    lower: float
    upper: float
    confidence: float = 0.95
    """Two-sided: 0.95 leaves 2.5 % on either side."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time inside the model's calls, without loading, reading, writing or the first batch."""

    samples: int
    seconds: float

    @property
    def ms_per_sample(self) -> float | None:
        """Milliseconds; None if nothing beyond the first batch was timed."""
        return 1000 * self.seconds / self.samples if self.samples else None


@dataclass(frozen=True, slots=True)
class KeptOutputs:
    """The outputs of one run, whole and on disk; all that need not be run again."""

    files: Mapping[str, Path]
    """Output name → `.npy` of shape (n, …)."""
    ran_on: str
    environment: Mapping[str, str]
    timing: Timing


@dataclass(frozen=True, slots=True)
class Scores:
    """What the comparison of a candidate's outputs with the reference's and the labels came to.

    Shares are in percent, losses in percentage points with positive meaning worse, errors in the output's own unit.
    None stands where a number does not apply (no labels, fewer than ten classes, the reference itself).
    """

    n: int
    top1: float | None = None
    top1_interval: Interval | None = None
    """Wilson's, in percent."""
    top5: float | None = None
    """From ten classes on."""
    top1_loss_points: float | None = None
    """reference − candidate."""
    top1_loss_interval: Interval | None = None
    """Tango's score interval for the paired difference, in points."""
    top5_loss_points: float | None = None
    agreement: float | None = None
    """Share of samples on which candidate and reference have the same top-1."""
    agreement_interval: Interval | None = None
    right_to_wrong: int | None = None
    wrong_to_right: int | None = None
    mae: float | None = None
    rmse: float | None = None
    mae_loss: float | None = None
    """candidate − reference: an error that grows is a loss."""
    rmse_loss: float | None = None
    max_abs_error: float | None = None
    """Against the reference's output, over every element."""
    rms_error: float | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    kl_mean: float | None = None
    """KL(reference‖candidate) in nats, mean over samples; None where one is infinite, see `kl_infinite`."""
    kl_standard_error: float | None = None
    kl_infinite: int | None = None
    """Samples where the candidate gives 0 to a class that the reference does not."""
    kl_undefined: int | None = None
    """Samples that are no distribution in candidate or reference: NaN, infinite, negative or all zero."""
    non_finite: int | None = None
    """NaN and infinite elements of the candidate's output."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant in one runtime: a row of the table."""

    setting: str
    """The setting's name, that of a user's variant, or `reference`."""
    runtime: str
    variant: Variant | None = None
    """None for the reference, and where conversion failed."""
    ran_on: str | None = None
    """The runtime it really ran on; differs from `runtime` only under `--fallback`."""
    requested: bool = True
    """False where it was brought along because parity needs it."""
    failure: Failure | None = None
    scores: Scores | None = None
    timing: Timing | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, backend and flags that the outputs depend on."""
    outputs: Mapping[str, Path] = field(default_factory=dict)
    """Output name → `.npy` file of every sample."""
    max_abs_from_python: float | None = None
    """Largest difference of the scored output from the same artifact's in `python`; None there, or where it failed."""
    mean_abs_from_python: float | None = None
    """Mean difference of the scored output's elements from the same artifact's in `python`; None as above."""
    different_from_python: float | None = None
    """Share of the scored output's elements that are not equal; None as above."""
    flips_from_python: int | None = None
    """Samples whose top-1 is another than in `python`; None also where no classes are compared."""
    notes: tuple[str, ...] = ()

    @property
    def is_float32(self) -> bool:
        """Whether its variant is the float32 baseline of its format."""
        return self.variant is not None and self.variant.is_float32

    @property
    def in_python(self) -> bool:
        """Whether it is a Python baseline that was measured."""
        return self.runtime == PYTHON and self.status == "measured"

    @property
    def status(self) -> Literal["reference", "measured", "failed"]:
        """What kind of row this is."""
        if self.failure is not None:
            return "failed"
        return "reference" if self.setting == REFERENCE else "measured"


@dataclass(frozen=True, slots=True)
class Study:
    """All of it, as `study.json` keeps it."""

    model: ModelDescription
    samples: SampleSet
    calibration: SampleSet | None
    """What static quantization was calibrated on, and nothing is scored on."""
    task: Task
    scored_output: str
    classes: bool
    """Whether the scored output's last dimension are classes, so that top-1, agreement and KL mean something."""
    probabilities: bool
    """Whether the reference's scored output is a distribution already; otherwise softmax is applied before KL."""
    batch_size: int
    seed: int
    reference: Trial
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...] = ()
    """What is said above the table, most severe first."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of each phase."""
    versions: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    """What a budget is judged by where it names no metric; None goes by the task."""
    created: str = ""
    """ISO 8601, UTC."""
    schema: int = 1

    parity: Mapping[str, str] = field(default_factory=dict)
    """Format, or a given variant's name → how its float32 artifact compares with the reference, in a clause."""

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that could not be measured."""
        return tuple(trial for trial in self.trials if trial.failure is not None)
