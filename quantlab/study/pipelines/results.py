"""From the sums of a pipeline to its row."""

import math
from dataclasses import replace

from quantlab.pipelines import ChosenPipeline
from quantlab.statistics import tango
from quantlab.study.pipelines.sums import PipelineSums
from quantlab.types import ComparedPipeline, Interval, StepName, SwappedStep

__all__ = ["compared"]


def compared(one: ChosenPipeline, sums: PipelineSums, reason: str | None) -> ComparedPipeline:
    """The row of a pipeline.

    Args:
        one: The pipeline.
        sums: Of all photos; those of a pipeline that stopped running in between are dropped.
        reason: Why it did not run; None if it did.
    """
    app = one.app
    row = ComparedPipeline(one.name, app.decoder.place.name, app.decoder.library, app.resizer.library)
    if reason is not None:
        return replace(row, reason=reason)
    steps = tuple(SwappedStep(step, left.mean) for step, left in sums.swapped.items() if left.mean is not None)
    row = replace(
        row,
        n=sums.photos,
        mean_steps=sums.whole.mean,
        max_steps=sums.whole.largest if sums.photos else None,
        output_rms=sums.outputs.rms,
        steps=steps,
        cause=_cause(sums.whole.mean, steps),
        failures=tuple(sums.failures),
    )
    return _with_answers(row, sums)


def _cause(whole: float | None, steps: tuple[SwappedStep, ...]) -> StepName | None:
    """The step whose replacement removes half of the difference or more; None if no single one does."""
    least = min(steps, key=lambda one: one.left, default=None)
    if least is None or not whole or not math.isfinite(least.left) or least.left > whole / 2:
        return None
    return least.step


def _with_answers(row: ComparedPipeline, sums: PipelineSums) -> ComparedPipeline:
    outputs = sums.outputs
    if not outputs.answered:
        return row
    row = replace(row, changed=outputs.changed)
    if not outputs.labelled:
        return row
    n, wrong, right = outputs.answered, outputs.became_wrong, outputs.became_right
    interval = tango(wrong, right, n=n)
    return replace(
        row,
        became_wrong=wrong,
        became_right=right,
        loss_points=100 * (wrong - right) / n,
        interval=Interval(100 * interval.lower, 100 * interval.upper, interval.confidence),
    )
