"""What `quantlab tune` decides: the content of `tune.json`, from which an artifact can be made again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Candidate",
    "KernelChoice",
    "Miss",
    "PackedArray",
    "Rounding",
    "Sharing",
    "TunedFormat",
    "TunedKernel",
    "TunedWeights",
    "Tuning",
]

Rounding = Literal["nearest", "gptq"]
"""How weights become codes: the nearest code, or by the second-order error of the layer's output (GPTQ)."""
Sharing = Literal["channel", "tensor"]
"""Whether each output channel of a kernel has its scale, or all have one."""


@dataclass(frozen=True, slots=True)
class PackedArray:
    """An array as text: its bytes in C order, little-endian, compressed with zlib and encoded in base64."""

    dtype: str
    shape: tuple[int, ...]
    data: str


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """How a kernel is stored as codes."""

    bits: int
    """From 2 to 8; a code takes a byte, which compression makes smaller."""
    sharing: Sharing
    rounding: Rounding = "gptq"
    corrected: bool = True
    """Whether the bias takes over the mean of the error, so that only its variance counts."""
    clipped: bool = True
    """Whether the ends of the range may cut off large weights, where that lowers the error of the layer's output."""


@dataclass(frozen=True, slots=True)
class TunedKernel:
    """A kernel that is stored as codes."""

    name: str
    """Name of the weight in the float32 artifact."""
    choice: KernelChoice
    scales: PackedArray
    """One per channel, in a shape that broadcasts against the kernel; of the shape () for one in all."""
    zeros: PackedArray
    """The code of 0, in the shape of the scales, or of the shape () for one in all."""
    moved: PackedArray
    """In the shape of the kernel: the code less the nearest code, which is 0 without GPTQ."""


@dataclass(frozen=True, slots=True)
class TunedWeights:
    """Every decision about the weights of one graph-model."""

    float32_sha256: str
    """Hash of the weights of the float32 artifact that it was made for."""
    kernels: tuple[TunedKernel, ...] = ()
    halves: tuple[str, ...] = ()
    """Weights that are stored as half floats."""
    biases: Mapping[str, PackedArray] = field(default_factory=dict)
    """Weight → its float32 values after the correction by the mean error."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit of the budget that a candidate is not expected to keep."""

    limit: str
    """Name of the limit, for example `max_accuracy_loss`."""
    expected: float
    """What is expected on the samples of the verdict, or the size."""
    allowed: float
    """What the budget allows or asks for."""
    unit: str
    """Unit of both: `pt`, `%`, `dB`, `bytes`, or that of the metric, which may be empty."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One artifact that the search measured."""

    name: str
    """The setting it is, or what it stores in how many bits, or what it keeps in float."""
    size_bytes: int
    """Size of all files as the target transfers them."""
    n: int
    """Number of search samples."""
    error: float
    """Mean divergence of the class probabilities from the model's in nats; mean squared error if the output has no
    classes, or if a candidate of the format gives a class the probability 0, which makes a divergence infinite.
    Infinite if an output is not finite."""
    changed: int | None
    """Samples whose top-1 is another one than the model's; None without classes."""
    loss: float | None
    """Loss of the metric on the search samples, in its unit; None without labels."""
    expected_upper: float
    """The upper bound of the loss that is expected on the samples of the verdict; without labels, that of the share of
    changed samples, in points; without classes, the negative SQNR in decibels. Infinite if an output is not finite."""
    keeps: bool
    """Whether the bound is within the budget, whatever the size; if the samples of the verdict are too few for any
    bound to be, whether the share of changed samples is."""
    fits: bool
    """Whether the size is, too."""
    official: bool = False
    """Whether a setting makes it without a search."""
    unit: str = ""
    """Unit of the bound: `pt`, `dB`, or that of the metric, which may be empty."""
    misses: tuple[Miss, ...] = ()
    """The limits that it is not expected to keep; none also if an output is not finite."""
    summed_error: float | None = None
    """The sum of the errors that its kernels were expected to make alone; None if it was not chosen by that."""


@dataclass(frozen=True, slots=True)
class TunedFormat:
    """The decisions about one format."""

    candidates: tuple[Candidate, ...]
    """All that were measured, the largest first."""
    chosen: str
    """Name of the candidate that was chosen."""
    weights: TunedWeights | None = None
    """How each weight is stored; None if a setting makes the artifact."""
    setting: str | None = None
    """The setting that makes it, with `float_layers` kept in float; None if weights are tuned."""
    float_layers: tuple[str, ...] = ()
    """Entries for `--float-layers`."""
    finished: bool = True
    """Whether the search came to its end; otherwise time was over."""
    note: str = ""
    """What was found, in a sentence."""
    single_decisions: int = 0
    """Number of artifacts that were measured besides the candidates, to choose a single decision: weights as half
    floats, or an improvement of a kernel taken back."""

    @property
    def own(self) -> bool:
        """Whether the artifact is another one than those of the settings."""
        return self.weights is not None or bool(self.float_layers)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The content of `tune.json`."""

    data: str
    """The samples, as the user named them; a part of them was set aside for the search."""
    seed: int
    formats: Mapping[str, TunedFormat]
    """Format → its decisions."""
    search_sha256: str = ""
    """Hash of the search samples."""
    calibration_sha256: str = ""
    """Hash of the calibration samples; empty if none were used."""
    seen: PackedArray | None = None
    """The first 8 bytes of the hash of each search and calibration sample, (n, 8), sorted; none of them may be
    scored."""
    schema: int = 1
    """Version of the file's layout."""

    @property
    def own(self) -> tuple[str, ...]:
        """Formats for which another artifact was found than those of the settings."""
        return tuple(name for name, decided in self.formats.items() if decided.own)
