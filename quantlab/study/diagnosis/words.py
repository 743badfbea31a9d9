"""The sentences of a diagnosis: the cause, and the change to make."""

from collections.abc import Sequence

from quantlab.names import counted, shortened
from quantlab.study.diagnosis.probe import LARGEST_P
from quantlab.types import Diagnosis, Interval, TriedConvention

__all__ = ["headline"]

_NAMED = 3
"""Conventions that are as good as the best which a sentence names at most."""


def headline(diagnosis: Diagnosis) -> str:
    """What the labels say, in one sentence or two."""
    if diagnosis.metric is None or diagnosis.score is None:
        return (
            f"'{diagnosis.data}' has no labels that the output '{diagnosis.output}' can be compared with, so nothing "
            f"tells whether the samples are preprocessed as in training; give labels (y in a .npz, or --labels FILE), "
            f"or the outputs of an app with --app"
        )
    named = diagnosis.named
    if named is None:
        return _nothing(diagnosis)
    return (
        f"{_begun(named)}: {_scored(diagnosis.metric, diagnosis.score, diagnosis.interval)} as they are, and "
        f"{_scored(diagnosis.metric, named.score, named.interval)} with the change. To correct it, {named.change}"
        f"{_equally_good(diagnosis.tried, named)}"
    )


def _begun(named: TriedConvention) -> str:
    return f"{named.cause[0].upper()}{named.cause[1:]}"


def _scored(metric: str, score: float, interval: Interval | None) -> str:
    if metric == "r2":
        return f"R² {score:.3g}"
    ends = "" if interval is None else f" [{interval.lower:.1f}, {interval.upper:.1f}]"
    return f"{score:.1f} %{ends} right"


def _nothing(diagnosis: Diagnosis) -> str:
    return (
        f"No other convention makes more of the samples right beyond chance: as they are, "
        f"{_scored(str(diagnosis.metric), diagnosis.score or 0.0, diagnosis.interval)}, and "
        f"{counted(len(diagnosis.tried), 'convention was', 'conventions were')} tried (corrected p-value above "
        f"{LARGEST_P:g}, or too small a gain to explain the wrong answers)"
    )


def _equally_good(tried: Sequence[TriedConvention], named: TriedConvention) -> str:
    """Conventions whose interval holds the score of the best one: these samples do not tell them apart."""
    others = [
        f"'{one.name}' ({one.score:.1f} %)"
        for one in tried
        if one.named and one is not named and one.interval is not None and one.interval.upper >= named.score
    ]
    return "" if not others else f". These samples do not tell it apart from {shortened(others, most=_NAMED)}"
