"""The stored results of a sensitivity, and how they become rows."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quantlab.types import MeasuredError, PartSensitivity, VerifiedPart
from quantlab.types.sensitivity import by_divergence
from quantlab_converters import Part

__all__ = ["Kind", "OpErrors", "PartResult", "chunks", "ranking_figure", "with_result"]

Kind = Literal["only", "without"]
"""Only this op is quantized, or all but this one."""
_ARTIFACT_BYTES = 2 << 30
"""Largest size of the artifacts that are on disk at the same time."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """A stored result: an error, or the reason why there is none."""

    error: MeasuredError | None = None
    weights: MeasuredError | None = None
    activations: MeasuredError | None = None
    verified: VerifiedPart | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OpErrors:
    """The errors of single ops, each quantized alone."""

    errors: Mapping[Part, float]
    """The figure of each op that was measured; see `ranking_figure`."""
    reasons: Mapping[Part, str]
    """Why the others were not measured."""
    finished: bool
    """Whether all were tried; otherwise time was over."""


def with_result(row: PartSensitivity, kind: Kind, result: PartResult) -> PartSensitivity:
    """The row with a result."""
    if result.error is None:
        return replace(row, reason=result.reason)
    if kind == "only":
        return replace(row, only=result.error, only_weights=result.weights, only_activations=result.activations)
    return replace(row, without=result.error, verified=result.verified)


def ranking_figure(errors: Sequence[MeasuredError]) -> Callable[[MeasuredError | None], float]:
    """The figure that ranks ops: the divergence, or the squared error if a divergence is missing or infinite.

    What was not measured comes last.
    """
    divergence = by_divergence(errors)

    def figure(error: MeasuredError | None) -> float:
        if error is None:
            return -math.inf
        return error.kl if divergence and error.kl is not None else error.mse

    return figure


def chunks(parts: Sequence[Part], artifact_bytes: int) -> Iterator[Sequence[Part]]:
    """Parts whose artifacts together are not too large."""
    size = max(1, _ARTIFACT_BYTES // max(artifact_bytes, 1))
    yield from (parts[begin : begin + size] for begin in range(0, len(parts), size))
