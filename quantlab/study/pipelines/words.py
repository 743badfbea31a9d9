"""The sentence of a comparison of pipelines: which one differs most, by which step, and which one costs most."""

from collections.abc import Sequence

from quantlab.names import counted
from quantlab.types import ComparedPipeline, PipelineComparison, StepName

__all__ = ["STEP_WORDS", "pipelines_headline"]

STEP_WORDS: dict[StepName, str] = {
    "decode": "the decoder",
    "colour": "the order of the colours",
    "resize": "the resize",
    "values": "the scale of the values",
}

_EQUAL_STEPS = 0.5
"""Mean difference in 1/255 steps below which a pipeline counts as equal but for rounding."""

_ROUNDED_STEPS = 1.001
"""Largest difference of such a pipeline: one step, which values of float32 miss in their last bits."""


def pipelines_headline(comparison: PipelineComparison) -> str:
    """What the comparison says, in one sentence or two."""
    if not comparison.n:
        return (
            f"The declared preprocessing turns none of the {counted(len(comparison.refused), 'photo')} of "
            f"'{comparison.data}' into a sample, so no pipeline can be compared with it; the first one: "
            f"{comparison.refused[0].reason}"
        )
    ran = [one for one in comparison.pipelines if one.mean_steps is not None]
    if not ran:
        reasons = "; ".join(dict.fromkeys(one.reason or "it gave no tensor" for one in comparison.pipelines))
        return f"No pipeline could be compared with the declared preprocessing: {reasons}"
    most = max(ran, key=lambda one: one.mean_steps or 0.0)
    if all(_equal(one) for one in ran):
        return (
            f"{_all(ran)} the declared preprocessing but for rounding: the mean difference is at most "
            f"{most.mean_steps:.2g} of 255{_effect(most)}"
        )
    return (
        f"'{most.name}' is farthest from the declared preprocessing: {most.mean_steps:.2g} of 255 on average, "
        f"{most.max_steps or 0.0:.3g} at most{_by(most)}{_effect(most)}{_largest_effect(ran, most)}"
        f"{_nearest(ran, most)}"
    )


def _equal(row: ComparedPipeline) -> bool:
    """Whether only rounding is between a pipeline and the declared one: no value is far off, and no class changes."""
    near = (row.mean_steps or 0.0) < _EQUAL_STEPS and (row.max_steps or 0.0) <= _ROUNDED_STEPS
    return near and not row.changed


def _all(ran: Sequence[ComparedPipeline]) -> str:
    return f"'{ran[0].name}' equals" if len(ran) == 1 else f"All {len(ran)} pipelines equal"


def _by(row: ComparedPipeline) -> str:
    if row.cause is not None:
        return f", most of it by {STEP_WORDS[row.cause]}"
    return "; no single step explains most of it" if row.mean_steps else ""


def _effect(row: ComparedPipeline) -> str:
    """What it does to the model's outputs."""
    return f". {_sentence(row, 'With it, the float model')}"


def _largest_effect(ran: Sequence[ComparedPipeline], most: ComparedPipeline) -> str:
    """The pipeline that changes the model's answers most, if it is not the one that is farthest."""
    worst = max(ran, key=_size)
    if _size(worst) <= _size(most):
        return ""
    return f". '{worst.name}' changes the answers most. {_sentence(worst, 'With it, the float model')}"


def _size(row: ComparedPipeline) -> float:
    """How much the answers change, to compare pipelines by: the share of changed classes, else of the outputs."""
    if row.changed is not None:
        return row.changed / max(1, row.n)
    return row.output_rms or 0.0


def _sentence(row: ComparedPipeline, model: str) -> str:
    if row.loss_points is not None and row.interval is not None:
        return (
            f"{model} loses {row.loss_points:.2f} points of accuracy [{row.interval.lower:.2f}, "
            f"{row.interval.upper:.2f}]: of {counted(row.n, 'photo')}, {row.became_wrong} became wrong and "
            f"{row.became_right} right"
        ).replace("-", "−")
    if row.changed is not None:
        return f"{model}'s class changes for {row.changed} of {counted(row.n, 'photo')}"
    return f"{model}'s outputs change by {row.output_rms or 0.0:.2g} (RMS)"


def _nearest(ran: Sequence[ComparedPipeline], most: ComparedPipeline) -> str:
    near = min(ran, key=lambda one: one.mean_steps or 0.0)
    return "" if near is most else f". '{near.name}' is nearest, with {near.mean_steps:.2g} of 255"
