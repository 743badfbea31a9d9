"""The accepted figures: what `quantlab accept` records, so that a later gate can compare with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantlab.types.limits import FigureName

__all__ = ["AcceptedFigures", "AcceptedLoss", "AcceptedOutput", "AcceptedSetting", "AcceptedStudy"]


@dataclass(frozen=True, slots=True)
class AcceptedLoss:
    """The loss of one setting in one runtime at the time it was accepted; the fields are those of `Loss`."""

    metric: str
    unit: str
    n: int
    reference: float
    candidate: float
    loss: float
    lower: float
    upper: float
    confidence: float
    """One-sided confidence of each bound, for example 0.95."""


@dataclass(frozen=True, slots=True)
class AcceptedOutput:
    """A figure of one output or channel at the time it was accepted; the fields are those of `OutputFigure`."""

    figure: FigureName
    output: str
    channel: int | None
    n: int
    value: float
    lower: float
    upper: float
    confidence: float
    """One-sided confidence of each bound, for example 0.95."""


@dataclass(frozen=True, slots=True)
class AcceptedSetting:
    """The artifact and the losses of one setting at the time it was accepted."""

    sha256: str
    """SHA-256 of the artifact."""
    size_bytes: int
    """Size of all files that must be served, in bytes, uncompressed."""
    losses: Mapping[str, AcceptedLoss] = field(default_factory=dict)
    """Runtime name → loss in that runtime; empty if the samples had no labels."""
    outputs: Mapping[str, tuple[AcceptedOutput, ...]] = field(default_factory=dict)
    """Runtime name → figures of the outputs that the budget limited; empty if it limited none."""


@dataclass(frozen=True, slots=True)
class AcceptedStudy:
    """The accepted settings of one study."""

    model_sha256: str
    samples_sha256: str
    settings: Mapping[str, AcceptedSetting]
    """Setting name → its accepted figures."""


@dataclass(frozen=True, slots=True)
class AcceptedFigures:
    """The whole content of a `quantlab.lock` file."""

    studies: Mapping[str, AcceptedStudy]
    """Study name → its accepted figures."""
    budget: Mapping[str, str]
    """The budget at the time of acceptance: the keys of `[budget]` that were set, with their values as text."""
    schema: int = 1
    """Version of the file's layout."""
