"""Columns about changed predictions: divergence, probability of the true class, calibration error."""

from collections.abc import Callable
from typing import Literal

from quantlab.types import Evidence, Spread
from quantlab_reports.figures import EMPTY, number
from quantlab_reports.model import Column

__all__ = ["MOVED_COLUMNS"]


SpreadText = Callable[[Spread], str]


def _of_divergence(text: SpreadText) -> Callable[[Evidence], str]:
    """Column of KL(reference‖variant) in nats; empty if there are no classes."""
    return lambda evidence: EMPTY if evidence.divergence is None else text(evidence.divergence)


def _where_infinite(name: Literal["total_variation", "jensen_shannon"], text: SpreadText) -> Callable[[Evidence], str]:
    """Column of a bounded divergence; empty where KL is finite and says as much, so that the table stays narrow."""

    def cell(evidence: Evidence) -> str:
        spread: Spread | None = getattr(evidence, name)
        infinite = evidence.divergence is not None and evidence.divergence.infinite > 0
        return text(spread) if infinite and spread is not None else EMPTY

    return cell


def _of_true_class(text: SpreadText) -> Callable[[Evidence], str]:
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
    Column("total variation, mean ± standard error", _where_infinite("total_variation", _mean)),
    Column("total variation, maximum", _where_infinite("total_variation", lambda spread: _figure(spread.maximum))),
    Column("Jensen–Shannon, nats, mean ± standard error", _where_infinite("jensen_shannon", _mean)),
    Column("drop of the true class's probability, percentiles 90 / 95 / 99 / 99.9", _of_true_class(_percentiles)),
    Column("its maximum", _of_true_class(lambda spread: _figure(spread.maximum))),
    Column("calibration error, model → variant", _calibration),
)
"""Columns of the evidence of a trial. Percentiles need 100 samples, all of them finite."""
