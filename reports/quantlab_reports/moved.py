"""How far predictions moved: divergence, the true class's probability, calibration before and after."""

from quantlab.types import Evidence, Spread
from quantlab_reports.figures import EMPTY, number

__all__ = ["MOVED_HEADINGS", "moved_cells"]

MOVED_HEADINGS = (
    "KL, mean ± error",
    "median",
    "90 / 95 / 99 / 99.9 %",
    "maximum",
    "infinite",
    "true class falls by, 90 / 95 / 99 / 99.9 %",
    "maximum",
    "calibration error",
)
"""KL(reference‖candidate) in nats; a probability from 0 to 1; expected calibration error of the model → the variant."""


def moved_cells(evidence: Evidence) -> tuple[str, ...] | None:
    """A cell for each heading; None where no classes are compared.

    Percentiles are left out under 100 samples, and whatever a sample that is infinite or undefined spoils.
    """
    divergence, fall = evidence.divergence, evidence.true_class
    if divergence is None:
        return None
    return (
        _mean(divergence),
        _figure(divergence.median),
        _percentiles(divergence),
        _figure(divergence.maximum),
        f"{divergence.infinite:,}",
        EMPTY if fall is None else _percentiles(fall),
        EMPTY if fall is None else _figure(fall.maximum),
        EMPTY
        if evidence.calibration_error is None
        else f"{_figure(evidence.calibration_error_reference)} → {_figure(evidence.calibration_error)}",
    )


def _mean(spread: Spread) -> str:
    if spread.mean is None:
        return EMPTY
    return f"{_figure(spread.mean)} ± {_figure(spread.standard_error)}"


def _percentiles(spread: Spread) -> str:
    return " / ".join(_figure(value) for value in spread.percentiles.values()) or EMPTY


def _figure(value: float | None) -> str:
    return number(value, 2)
