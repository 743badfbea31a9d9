"""How the calibration samples compare with the samples that are scored, before anything is quantized."""

from dataclasses import dataclass

__all__ = ["CalibrationCheck", "CalibrationOutliers", "InputRange"]


@dataclass(frozen=True, slots=True)
class InputRange:
    """The range of one input of the model in some samples, or the range that an artifact's codes can hold."""

    input: str
    """Name of the input."""
    of: str
    """`calibration`, `scored`, or the name of the variant whose input holds codes."""
    channel: int | None
    """Index along the last axis; None for all values of the input."""
    minimum: float
    maximum: float
    mean: float | None
    """Mean of the values; None for a variant."""
    n: int | None
    """Number of samples that were looked at; None for a variant."""
    covered: float | None = None
    """Share of the range of the scored samples that this range covers; None for the scored samples."""
    outside: float | None = None
    """Share of the values of the scored samples that lie outside this range; None for the scored samples, and for
    channels."""
    moved: float | None = None
    """How far the ends lie apart in two halves of the calibration samples, as a share of the range; only for all values
    of an input in the calibration samples."""


@dataclass(frozen=True, slots=True)
class CalibrationOutliers:
    """Few calibration samples that stretch the range of an input to twice that of all others, or more."""

    input: str
    """Name of the input."""
    samples: tuple[str, ...]
    """The samples in words, by file or by position in their source; the most extreme first."""
    minimum: float
    maximum: float
    """The range of all calibration samples."""
    usual_minimum: float
    usual_maximum: float
    """The range of the others."""


@dataclass(frozen=True, slots=True)
class CalibrationCheck:
    """The ranges of all inputs; the content of `calibration.json`."""

    ranges: tuple[InputRange, ...]
    outliers: tuple[CalibrationOutliers, ...] = ()
