"""Which release of a package moved the outputs of an artifact."""

from dataclasses import dataclass
from typing import Literal

from quantlab.types.notebooks import InNotebooks

__all__ = ["Bisection", "TriedRelease"]


@dataclass(frozen=True, slots=True)
class TriedRelease:
    """One release of a package, and how far its outputs are from those of the two ends."""

    version: str
    outcome: Literal["good", "bad", "skipped"]
    """`good` if its outputs are nearer to those of the good end, `bad` if nearer to the bad end, `skipped` if it cannot
    be installed, does not run the artifact, or gives NaN or infinity where both ends do not."""
    from_good: float | None = None
    """Largest difference of the scored output from that of the good end; None if skipped."""
    from_bad: float | None = None
    """Largest difference from that of the bad end; None if skipped."""
    changed: int | None = None
    """Samples whose answer differs from that of the good end; None if skipped, and without classes."""
    reason: str | None = None
    """Why it was skipped."""


@dataclass(frozen=True, slots=True)
class Bisection(InNotebooks):
    """The releases that were tried, and between which two the outputs moved."""

    package: str
    setting: str
    output: str
    """Name of the output that was compared."""
    n: int
    """Number of samples."""
    difference: float
    """Largest difference between the outputs of the two ends."""
    last_good: str
    """The newest release known to be good before `first_bad`."""
    first_bad: str
    """The oldest release known to be bad; with `between` skipped ones before it."""
    between: tuple[str, ...] = ()
    """Releases between the two that could not be tried."""
    tried: tuple[TriedRelease, ...] = ()
    """All releases that were tried, in the order of their versions."""
