"""Columns about changed predictions: KL divergence, probability of the true class, calibration error."""

from collections.abc import Callable

from quantlab.types import Evidence, Spread
from quantlab_reports.figures import EMPTY, number
from quantlab_reports.model import Column

__all__ = ["MOVED_COLUMNS"]


def _of_divergence(text: Callable[[Spread], str]) -> Callable[[Evidence], str]:
    """Column of KL(reference‖variant) in nats; empty if there are no classes."""
    return lambda evidence: EMPTY if evidence.divergence is None else text(evidence.divergence)


def _of_true_class(text: Callable[[Spread], str]) -> Callable[[Evidence], str]:
    """Column of the decrease of the true class's probability, from 0 to 1."""
    return lambda evidence: EMPTY if evidence.true_class is None else text(evidence.true_class)


def _mean(spread: Spread) -> str:
    if spread.mean is None:
        return EMPTY
    return f"{_figure(spread.mean)} ± {_figure(spread.standard_error)}"


def _percentiles(spread: Spread) -> str:
    return " / ".join(_figure(value) for value in spread.percentiles.values()) or EMPTY


def _figure(value: float | None) -> str:
    return number(value, 2)


def _calibration(evidence: Evidence) -> str:
    """Expected calibration error of the model and of the variant."""
    if evidence.calibration_error is None:
        return EMPTY
    return f"{_figure(evidence.calibration_error_reference)} → {_figure(evidence.calibration_error)}"


MOVED_COLUMNS = (
    Column("KL, mean ± standard error", _of_divergence(_mean)),
    Column("KL, median", _of_divergence(lambda spread: _figure(spread.median))),
    Column("KL, percentiles 90 / 95 / 99 / 99.9", _of_divergence(_percentiles)),
    Column("KL, maximum", _of_divergence(lambda spread: _figure(spread.maximum))),
    Column("KL, infinite", _of_divergence(lambda spread: f"{spread.infinite:,}")),
    Column("drop of the true class's probability, percentiles 90 / 95 / 99 / 99.9", _of_true_class(_percentiles)),
    Column("its maximum", _of_true_class(lambda spread: _figure(spread.maximum))),
    Column("calibration error, model → variant", _calibration),
)
"""Columns of the evidence of a trial. Percentiles need 100 samples, all of them finite."""
