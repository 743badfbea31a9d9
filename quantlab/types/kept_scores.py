"""What a study keeps of a row if it keeps scores only: figures, and hashes of the values of single samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.types.finite import NonFinite
from quantlab.types.layers import SplitRow
from quantlab.types.reference import ReferenceCheck
from quantlab.types.trial import Scores

__all__ = ["FromPython", "KeptOutput", "KeptReference", "KeptScores", "StoreKind"]

StoreKind = Literal["outputs", "scores"]
"""What a study keeps of each row: its outputs, or scores only."""


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """An output that was compared and removed."""

    shape: tuple[int, ...]
    """For one sample."""
    dtype: str


@dataclass(frozen=True, slots=True)
class FromPython:
    """The difference of a row's scored output from that of the same artifact in Python."""

    python_sha256: str
    """Hash of the output file in Python."""
    max_abs: float
    mean_abs: float
    different: float | None
    """Share of the elements that differ; None without elements."""


@dataclass(frozen=True, slots=True)
class KeptReference:
    """What the reference's outputs told before they were removed."""

    classes: bool
    """See `Study.classes`."""
    probabilities: bool
    """See `Study.probabilities`."""
    distributions: tuple[int, int] | None
    """Rows of the scored output, and how many of them look like probabilities; None if that decides nothing."""
    non_finite: tuple[NonFinite, ...]
    """See `Study.non_finite`."""
    check: ReferenceCheck


@dataclass(frozen=True, slots=True)
class KeptScores:
    """What a study keeps of a row's outputs: the record beside the file with the values of single samples."""

    sha256: str
    """Hash of the file with the values of single samples."""
    reading: str
    """Hash of what the values depend on besides the row's own outputs: those of the reference, the labels, the task."""
    samples: int
    """Number of samples that ran."""
    judged: int
    """Number of samples that are scored: those on which the reference is finite."""
    outputs: Mapping[str, KeptOutput]
    """Output name → what it was."""
    scores: Scores
    from_python: FromPython | None = None
    """None in Python, and if the artifact was not measured there."""
    split: SplitRow | None = None
    """The RMS error, split by conversion step; None for the reference."""
    split_of: tuple[str, ...] = ()
    """Hashes of the other output files that the split depends on: the float32 artifact's and this one's, in Python."""
    reference: KeptReference | None = None
    """None for variants."""
