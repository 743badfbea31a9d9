"""The sentence of a comparison of pipelines: which one differs most, by which step, and which one costs most."""

import math
from collections.abc import Mapping, Sequence

from quantlab.names import counted, shortened, two_digits
from quantlab.study.app_words import reproduced
from quantlab.types import ComparedPipeline, PipelineComparison, Reproduction, StepName

__all__ = ["STEP_WORDS", "pipelines_headline"]

STEP_WORDS: dict[StepName, str] = {
    "decode": "the decoder",
    "colour": "the order of the colours",
    "resize": "the resize",
    "values": "the scale of the values",
}

_ALIKE = 3
"""Pipelines that photos do not tell apart which a sentence names at most."""

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
    if comparison.app:
        return _of_app(comparison.app, {one.name: one for one in ran})
    most = max(ran, key=lambda one: one.mean_steps or 0.0)
    if all(_equal(one) for one in ran):
        return (
            f"{_all(ran)} the declared preprocessing but for rounding: the mean difference is at most "
            f"{two_digits(most.mean_steps or 0.0)} of 255{_effect(most)}"
        )
    return (
        f"'{most.name}' is farthest from the declared preprocessing: {two_digits(most.mean_steps or 0.0)} of 255 on "
        f"average, {most.max_steps or 0.0:.3g} at most{_by(most)}{_effect(most)}{_largest_effect(ran, most)}"
        f"{_nearest(ran, most)}"
    )


def _of_app(rows: Sequence[Reproduction], pipelines: Mapping[str, ComparedPipeline]) -> str:
    """Which pipeline reproduces the outputs of an app, and what it does."""
    best, as_declared = rows[0], next(one for one in rows if not one.family)
    if best.named:
        row, alike = pipelines[best.name], [f"'{one.name}'" for one in rows[1:] if one.named]
        resized = f" ({row.resizer})" if row.cause == "resize" else ""
        others = f". These photos do not tell it apart from {shortened(alike, most=_ALIKE)}" if alike else ""
        return (
            f"{reproduced(best, as_declared, of='photos')}. It is {two_digits(row.mean_steps or 0.0)} of 255 from the "
            f"declared preprocessing on average{_by(row)}{resized}{_effect(row)}{others}"
        )
    if as_declared.equal:
        return (
            f"The app computes what the model does with the declared preprocessing (largest difference "
            f"{as_declared.max_abs:.3g}), so it reads photos as declared"
        )
    if math.isinf(as_declared.max_abs):
        return (
            "The outputs of the app, or those of the model, are NaN or infinite for some photos, so no pipeline "
            "reproduces them; look at these photos first"
        )
    nearest = next((one for one in rows if one.family), as_declared)
    return (
        f"None of {counted(len(rows) - 1, 'pipeline')} reproduces the outputs of the app: with the declared "
        f"preprocessing, the mean difference is {as_declared.mean_abs:.3g}, and with '{nearest.name}', the nearest, "
        f"{nearest.mean_abs:.3g}. Without --pipelines, --app tries other scales and orders"
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
    return "" if near is most else f". '{near.name}' is nearest, with {two_digits(near.mean_steps or 0.0)} of 255"
