"""How the calibration samples compare with the samples that are scored, and with the ranges that artifacts recorded."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CalibrationCheck", "InnerRange", "TensorRange"]


@dataclass(frozen=True, slots=True)
class TensorRange:
    """The range of one tensor of the model in some samples, or the range that an artifact recorded for it."""

    tensor: str
    """Name of the model's input, or of the tensor inside the model."""
    of: str
    """`calibration`, `scored`, or the name of the variant that holds the tensor in codes."""
    channel: int | None
    """Index along the last axis; None for all values of the tensor, and for tensors inside the model."""
    minimum: float
    maximum: float
    mean: float | None
    """Mean of the values; None for a variant, and for tensors inside the model."""
    n: int | None
    """Number of samples that were looked at; None for a variant. Samples with NaN or infinity are not counted."""
    covered: float | None = None
    """Share of the range of the scored samples that this range covers; None for the scored samples, and if they were
    not read."""
    outside: float | None = None
    """Share of the values of the scored samples that lie outside this range; None for the scored samples, for channels,
    and for the calibration samples inside the model."""
    moved: float | None = None
    """How far the ends lie apart in two random halves of the calibration samples, as a share of the range; only for all
    values of a tensor in the calibration samples."""
    kind: Literal["input", "inside"] = "input"
    """Whether it is an input of the model or a tensor inside it."""
    layer: str = ""
    """Path of the layer to which a tensor inside the model belongs; empty for inputs, and outside every layer."""
    bits_lost: float | None = None
    """log2 of how many times as wide this range is as that of the scored samples, both extended to 0; 0 if it is not
    wider; None for channels, for the scored samples, and if they were not read or are 0."""
    step: float | None = None
    """Difference of the values of two neighbouring codes; None for samples."""
    stretched_by: tuple[str, ...] = ()
    """Few calibration samples, in words, without which the range is half as wide or less; the most extreme first."""
    usual_minimum: float | None = None
    """Smallest value of the other calibration samples; None if no few samples stretch the range."""
    usual_maximum: float | None = None
    """Largest value of the other calibration samples; None if no few samples stretch the range."""


@dataclass(frozen=True, slots=True)
class InnerRange:
    """The range of a tensor inside the reference in the calibration samples, which positions in their set refer to."""

    tensor: str
    layer: str
    """Path of its layer; empty for a tensor outside every layer."""
    minimum: float
    maximum: float
    n: int
    """Number of samples on which all of its elements are finite; others are left out."""
    moved: float | None = None
    """See `TensorRange`."""
    stretched_by: tuple[int, ...] = ()
    """Few samples that stretch the range, the most extreme first."""
    usual_minimum: float | None = None
    usual_maximum: float | None = None
    """The range of the other samples; None if no few samples stretch it."""


@dataclass(frozen=True, slots=True)
class CalibrationCheck:
    """The ranges of all inputs, then of tensors inside the model; the content of `calibration.json`."""

    ranges: tuple[TensorRange, ...]
    samples: int = 0
    """Number of calibration samples; 0 if no setting was calibrated."""
