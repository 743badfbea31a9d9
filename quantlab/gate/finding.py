"""The result of one limit for one trial, and the words for a limit that is not decided."""

from dataclasses import dataclass

from quantlab.types import Outcome

__all__ = ["WITHOUT_LABELS", "Finding", "undecided"]

WITHOUT_LABELS = "limit the error of the outputs against the model instead, for example with min_sqnr (40dB)"
"""What can be done where there are neither labels nor classes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one limit for one trial."""

    outcome: Outcome
    clause: str
    missing: int | None = None


def undecided(clause: str, n: int, missing: int | None, *, of: str = "") -> str:
    """Say why a limit is undecided: too few samples, or a limit that no number of samples can decide."""
    if missing is None:
        return "; ".join(filter(None, [clause, _UNDECIDABLE]))
    return "; ".join(filter(None, [f"too few samples{of}: {n:,} of at least {n + missing:,}", clause]))


_UNDECIDABLE = "more samples cannot decide this, so relax the limit"
