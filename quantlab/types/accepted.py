"""What was accepted once, so that a later build is compared with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["AcceptedFigures", "AcceptedLoss", "AcceptedSetting", "AcceptedStudy"]


@dataclass(frozen=True, slots=True)
class AcceptedLoss:
    """What a setting lost in one runtime when it was accepted."""

    metric: str
    unit: str
    n: int
    reference: float
    candidate: float
    loss: float
    lower: float
    upper: float
    confidence: float
    """One-sided, of either bound."""


@dataclass(frozen=True, slots=True)
class AcceptedSetting:
    """A setting that was accepted."""

    sha256: str
    """Of the artifact."""
    size_bytes: int
    """Of every file that must be served."""
    losses: Mapping[str, AcceptedLoss] = field(default_factory=dict)
    """By runtime; those without labels have none."""


@dataclass(frozen=True, slots=True)
class AcceptedStudy:
    """A study whose settings were accepted."""

    model_sha256: str
    samples_sha256: str
    settings: Mapping[str, AcceptedSetting]


@dataclass(frozen=True, slots=True)
class AcceptedFigures:
    """All that a `quantlab.lock` holds."""

    studies: Mapping[str, AcceptedStudy]
    """By name."""
    budget: Mapping[str, str]
    """What it was accepted under: the keys of `[budget]` that were given, as text."""
    schema: int = 1
