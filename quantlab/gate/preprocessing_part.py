"""What the app's preprocessing loses alone, so that nobody blames a setting for it."""

import math
from dataclasses import replace

from quantlab.types import Judgement, Loss, Study, Verdict

__all__ = ["with_preprocessing_part"]


def with_preprocessing_part(verdict: Verdict, study: Study, alone: Loss | None) -> Verdict:
    """Add to the reason of each judgement that is not `fits` what the app's pipeline alone loses, if that is known.

    It is no part of the measured loss: the two do not add up, and the setting may win back what the pipeline loses.

    Args:
        verdict: The verdict on a study.
        study: The study.
        alone: The loss of the reference on the samples of the app's pipeline; None without one, or without a loss.
    """
    if alone is None or not _known(alone):
        return verdict
    settings = tuple(
        replace(one, judgements=tuple(_told(judgement, study.pipeline, alone) for judgement in one.judgements))
        for one in verdict.settings
    )
    return replace(verdict, settings=settings)


def _told(judgement: Judgement, pipeline: str, alone: Loss) -> Judgement:
    loss = judgement.loss
    if judgement.outcome == "fits" or loss is None or loss.metric != alone.metric:
        return judgement
    unit = f" {alone.unit}" if alone.unit else ""
    part = (
        f"the pipeline '{pipeline}' alone loses {_figure(alone.loss)}{unit} [{_figure(alone.lower)}, "
        f"{_figure(alone.upper)}], before anything is converted"
    )
    return replace(judgement, reason=f"{judgement.reason}; {part}")


def _known(alone: Loss) -> bool:
    """Whether the interval tells a loss, or a gain, from nothing."""
    return math.isfinite(alone.loss) and (alone.lower > 0 or alone.upper < 0)


def _figure(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
