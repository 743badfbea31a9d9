"""The reference on the samples of an app's pipeline: what the pipeline costs alone, and how variants are checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantlab.names import counted, two_digits
from quantlab.study.compare import Comparison
from quantlab.study.outputs import compare_outputs
from quantlab.study.warnings import CheckedOutputs, float32_checks
from quantlab.types import PYTHON, REFERENCE, Interval, KeptOutputs, Scores, Setting, TensorSpec, Trial

__all__ = ["fed_checks", "fed_row", "fed_warning"]


def fed_row(comparison: Comparison, fed: KeptOutputs) -> Trial:
    """The reference on the pipeline's samples, scored against the reference on the declared ones."""
    return Trial(
        setting=REFERENCE,
        runtime=PYTHON,
        ran_on=PYTHON,
        scores=comparison.of(fed.files[comparison.scoring.output.name]),
        timing=fed.timing,
        environment=fed.environment,
        outputs=fed.files,
    )


def fed_checks(
    comparison: Comparison,
    fed: KeptOutputs,
    trials: Sequence[Trial],
    settings: Mapping[str, Setting],
    specs: Sequence[TensorSpec],
) -> dict[str, str]:
    """The float32 checks: trials in Python against the reference on the same bytes, so that no pipeline is in them.

    Args:
        comparison: With the reference on the declared samples.
        fed: The reference on the samples that the trials were fed.
        trials: All trials.
        settings: All settings by name.
        specs: The outputs of the reference, with the shapes that were observed.
    """
    own = Comparison.open(comparison.scoring, fed)
    scored = comparison.scoring.output.name
    rows = [
        replace(trial, scores=own.of(trial.outputs[scored])) if trial.in_python else trial
        for trial in trials
        if trial.runtime == PYTHON
    ]
    compared = compare_outputs(fed.files, rows, scored, own.finite)
    outputs = CheckedOutputs(scored, compared.comparison.rows, specs, own.of_positions)
    return float32_checks(rows, settings, outputs)


def fed_warning(pipeline: str, scores: Scores) -> str | None:
    """What the pipeline costs the float model: what no quantization is to blame for; None if all outputs are equal."""
    if scores.max_abs_error == 0:
        return None
    return (
        f"the samples of the pipeline '{pipeline}' change the outputs of the float model itself, before anything is "
        f"converted: {_cost(scores)}; the column 'preprocessing' of 'quantlab show split' has this part of each loss, "
        f"and 'quantlab diagnose --pipelines {pipeline}' names the step that causes it"
    )


def _cost(scores: Scores) -> str:
    losses: tuple[tuple[float | None, Interval | None, str], ...] = (
        (scores.top1_loss_points, scores.top1_loss_interval, "points of accuracy"),
        (scores.mean_iou_loss_points, scores.mean_iou_loss_interval, "points of mean IoU"),
        (scores.position_loss_points, scores.position_loss_interval, "points of accuracy"),
        (scores.metric_loss, scores.metric_loss_interval, f"of {scores.metric}"),
        (scores.mae_loss, scores.mae_loss_interval, "of the MAE"),
    )
    for loss, interval, unit in losses:
        if loss is not None:
            ends = "" if interval is None else f" [{_figure(interval.lower)}, {_figure(interval.upper)}]"
            if interval is not None and interval.lower <= 0 <= interval.upper:
                return f"without a measurable loss, {_figure(loss)}{ends} {unit}{_changed(scores)}"
            return f"it loses {_figure(loss)}{ends} {unit}{_changed(scores)}"
    if scores.agreement is not None:
        return f"the class changes for {two_digits(100 - scores.agreement)} % of {counted(scores.n, 'sample')}"
    return f"its outputs differ by {scores.rms_error or 0.0:.2g} (RMS)"


def _changed(scores: Scores) -> str:
    if scores.right_to_wrong is None or scores.wrong_to_right is None:
        return ""
    samples = counted(scores.n, "sample")
    return f" ({scores.right_to_wrong} became wrong and {scores.wrong_to_right} right of {samples})"


def _figure(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
