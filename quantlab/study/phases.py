"""The phases of a study, announced to the progress with their expected times."""

from quantlab.study.context import Context
from quantlab.study.conversions import PHASE as CONVERT_PHASE
from quantlab.study.costs import EXPECTED_SECONDS
from quantlab.study.costs import PHASE as COSTS_PHASE
from quantlab.study.inside.comparison import PHASE as INSIDE_PHASE
from quantlab.study.non_finite import PHASE as CALIBRATION_PHASE
from quantlab.study.plan import Plan

__all__ = ["plan_inside", "plan_phases"]

_INSIDE_RUNS = 6
"""Estimated time of reading all tensors per sample and trial, in runs of the reference."""

_INSIDE_SECONDS = 0.001


def plan_phases(context: Context, plan: Plan, *, samples: int, references: int, calibrating: int) -> None:
    """Announce every phase before the first of them begins, so that no time left is told that lacks one.

    Args:
        context: The study.
        plan: What will be made and run.
        samples: Number of scored samples.
        references: Number of runs of the reference.
        calibrating: Number of samples that a setting is calibrated on; 0 if none is.
    """
    progress, trials = context.progress, plan.trial_count
    progress.plan("run", (references + trials) * samples)
    progress.plan(CONVERT_PHASE, sum(map(len, plan.by_format.values())), beside="run")
    progress.work(CONVERT_PHASE, 0)
    plan_inside(context, plan, 0.0, samples=samples, calibrating=calibrating)
    if context.options.costs:
        progress.plan(COSTS_PHASE, trials * context.options.timing_rounds, EXPECTED_SECONDS)


def plan_inside(context: Context, plan: Plan, once: float, *, samples: int, calibrating: int) -> None:
    """Estimate the time for reading tensors, if the reference takes `once` seconds for each sample.

    For the other arguments see `plan_phases`.
    """
    options, seconds = context.options, _INSIDE_RUNS * once + _INSIDE_SECONDS
    if calibrating:
        context.progress.plan(CALIBRATION_PHASE, calibrating, seconds, beside="run")
    if options.layers:
        count = samples if options.layer_samples is None else min(options.layer_samples, samples)
        context.progress.plan(INSIDE_PHASE, plan.trial_count * count, seconds)
