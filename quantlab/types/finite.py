"""Where the model itself, or one of its tensors, is NaN or infinite: nothing can be compared with that."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMED_SAMPLES", "NonFinite", "SampleNames"]

NAMED_SAMPLES = 1000
"""Most samples that a record names; all are counted."""


@dataclass(frozen=True, slots=True)
class SampleNames:
    """Which samples of a source are meant."""

    source: str
    """The source as the user wrote it."""
    indices: tuple[int, ...]
    """Positions in the source, from 0, in the order in which the samples are stored; at most `NAMED_SAMPLES`."""
    files: tuple[str, ...] = ()
    """The samples' files below the source, in the same order; empty if samples are no files."""


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Samples on which a tensor of the reference is NaN or infinite."""

    among: Literal["scored", "calibration"]
    """Which samples were looked at."""
    output: str
    """The output that is not finite; empty if tensors inside the model are not, whatever its outputs are."""
    samples: int
    """Number of samples that are not finite."""
    of: int
    """Number of samples that were looked at."""
    names: SampleNames
    weights: tuple[str, ...] = ()
    """Weights of the model that explain it, as `<name>: <bad values> of <values> NaN`; or `infinite`, or
    `NaN or infinite`."""
    first_tensor: str | None = None
    """The first tensor inside the model that is not finite on one of these samples; None if it was not needed, because
    a weight explains it, or if the tensors could not be read."""
    first_layer: str = ""
    """The layer of `first_tensor`; empty if no layer is known."""
    ranges: tuple[tuple[int, int], ...] = ()
    """Scored samples: their positions among these, as ranges from a first to one past a last."""
