"""The samples that a report names, and the element of each that changed most."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types import SampleKind

__all__ = ["LISTED", "most_changed", "most_changed_element"]

LISTED = 100
"""Samples of each kind that are named for a trial, at most."""


def most_changed(losses: NDArray[np.float64], *, signed: bool) -> dict[SampleKind, tuple[NDArray[np.intp], int]]:
    """Kind → positions of the samples that changed most, most first, and how many there are of the kind.

    Args:
        losses: (n,): what each sample loses; without a metric, how far its output moved.
        signed: Whether the losses are those of a metric, so that samples may become better.
    """
    ends: dict[SampleKind, NDArray[np.float64]] = (
        {"became worse": losses, "became better": -losses} if signed else {"moved": losses}
    )
    chosen: dict[SampleKind, tuple[NDArray[np.intp], int]] = {}
    for kind, values in ends.items():
        above = np.flatnonzero(values > 0)
        chosen[kind] = above[np.argsort(-values[above], kind="stable")][:LISTED], len(above)
    return chosen


def most_changed_element(
    before: NDArray[Any], after: NDArray[Any], targets: NDArray[Any] | None, *, improved: bool
) -> int:
    """The place of the element of a sample that changed most, or came nearest to its target.

    Args:
        before: (elements,) in float64, of the reference.
        after: The same of the candidate.
        targets: The same of the labels; None compares the outputs alone.
        improved: Whether the largest improvement is meant.
    """
    with np.errstate(invalid="ignore"):
        change = np.abs(after - before) if targets is None else np.abs(after - targets) - np.abs(before - targets)
    return int(np.argmax(np.where(np.isnan(change), np.inf, -change if improved else change)))
