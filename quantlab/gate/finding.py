"""The result of one limit for one trial, and the words for a limit that is not decided."""

import math
from dataclasses import dataclass

from quantlab.statistics import fewest_samples, zero_discordance_bound
from quantlab.types import Loss, Outcome

__all__ = ["WITHOUT_LABELS", "Finding", "is_at", "undecided", "undecided_groups"]

WITHOUT_LABELS = "limit the error of the outputs against the model instead, for example with min_sqnr (40dB)"
"""What can be done where there are neither labels nor classes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one limit for one trial."""

    outcome: Outcome
    clause: str
    missing: int | None = None
    missing_groups: int | None = None
    """Additional groups of samples that would decide, if groups are what is missing."""


def undecided(clause: str, n: int, missing: int | None, *, of: str = "", at_limit: bool = False) -> str:
    """Say why a limit is undecided: too few samples, or a limit that no number of samples can decide.

    Args:
        clause: What is known.
        n: Number of samples.
        missing: Additional samples that would decide; None if there is no such number.
        of: Of which part of the samples, as in ` of class 3`.
        at_limit: Whether there is no number because the measured figure is the limit itself; it may be another one with
            more samples.
    """
    if missing is None:
        why = _UNDECIDABLE
        if at_limit:
            why = f"the measured figure is the limit itself, so score more samples{of}, or relax the limit"
        return "; ".join(filter(None, [clause, why]))
    return "; ".join(filter(None, [f"too few samples{of}: {n:,} of at least {n + missing:,}", clause]))


def is_at(figure: float, limit: float) -> bool:
    """Whether a measured figure is its limit, which is not 0: no number of samples shows that a share loses nothing."""
    return limit > 0 and math.isclose(figure, limit, rel_tol=1e-9)


def undecided_groups(loss: Loss, clause: str, margin: float, missing: int | None) -> Finding:
    """Say that too few groups of samples were seen, whatever the number of samples.

    Args:
        loss: With the number of groups.
        clause: What is known.
        margin: Allowed loss, in the unit of the loss.
        missing: Samples that would decide, if groups stay as large as they are.
    """
    if missing is None or loss.groups is None:
        told = undecided(clause, loss.n, missing, at_limit=is_at(loss.loss, margin))
        return Finding("inconclusive", told, missing)
    least = fewest_samples(margin / 100, loss.confidence) if loss.unit == "pt" and loss.loss <= margin else 0.0
    if not math.isfinite(least):
        return Finding("inconclusive", undecided(clause, loss.n, None))
    # The bound of what no group shows shrinks with the number of groups, others with its root, as `missing` has it.
    unseen = 100 * zero_discordance_bound(loss.groups, loss.confidence) if loss.unit == "pt" else 0.0
    by_width = 0 if loss.upper <= unseen * (1 + 1e-9) else math.ceil(loss.groups * (1 + missing / loss.n))
    needed = max(loss.groups + 1, math.ceil(least), by_width)
    words = "; ".join(filter(None, [f"too few groups: {loss.groups:,} of at least {needed:,}", clause]))
    more = needed - loss.groups
    return Finding("inconclusive", words, math.ceil(more * loss.n / loss.groups), more)


_UNDECIDABLE = "more samples cannot decide this, so relax the limit"
