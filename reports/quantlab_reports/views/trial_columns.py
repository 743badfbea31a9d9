"""The columns of the table of trials, narrow and wide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantlab.statistics import paired_metric
from quantlab.types import Interval, Scores, Study, Trial
from quantlab_reports.figures import EMPTY, cosine, fixed, number
from quantlab_reports.model import NOTES, Column
from quantlab_reports.views.cells import Apart

__all__ = ["FEW_RUNTIMES", "Group", "narrow", "wide"]

FEW_RUNTIMES = 2
"""Most runtimes that a heading names; with more runtimes, every row names its own."""


@dataclass(frozen=True, slots=True)
class Group:
    """Trials of one setting that have the same figures in several runtimes."""

    trials: tuple[Trial, ...]

    @property
    def first(self) -> Trial:
        """The trial that represents the group."""
        return self.trials[0]

    @property
    def scores(self) -> Scores | None:
        """The figures of the group; None if the trials failed."""
        return self.first.scores


def _of(field: str, digits: int) -> Callable[[Group], str]:
    return lambda group: fixed(getattr(group.scores, field) if group.scores else None, digits)


def _tiny(field: str, least: int = 2, interval: str | None = None) -> Apart:
    """Cells of a figure in a unit of its own, in which settings can be told apart."""
    return Apart(
        lambda group: getattr(group.scores, field) if group.scores else None,
        owner=lambda group: group.first.setting,
        least=least,
        interval=lambda group: getattr(group.scores, interval) if interval and group.scores else None,
    )


def _cosine(group: Group) -> str:
    return cosine(group.scores.cosine if group.scores else None)


def _count(field: str) -> Callable[[Group], str]:
    return _of(field, 0)


def _with_interval(field: str, interval: str, digits: int) -> Callable[[Group], str]:
    def cell(group: Group) -> str:
        if group.scores is None or getattr(group.scores, field) is None:
            return EMPTY
        bounds: Interval | None = getattr(group.scores, interval)
        text = fixed(getattr(group.scores, field), digits)
        if bounds is None:
            return text
        return f"{text} [{fixed(bounds.lower, digits)}, {fixed(bounds.upper, digits)}]"

    return cell


def _flips(group: Group) -> str:
    scores = group.scores
    if scores is None or scores.right_to_wrong is None:
        return EMPTY
    return f"{scores.right_to_wrong}/{scores.wrong_to_right}"


def _kilobytes(field: str) -> Callable[[Group], str]:
    def cell(group: Group) -> str:
        variant = group.first.variant
        size = getattr(variant, field, None)
        return EMPTY if size is None else fixed(size / 1000, 1)

    return cell


def _milliseconds(trial: Trial | None) -> str:
    value = trial.timing.ms_per_sample if trial is not None and trial.timing else None
    return fixed(value, 3 if value is None or value < 10 else 1)


def _milliseconds_in(runtimes: Sequence[str]) -> Callable[[Group], str]:
    def cell(group: Group) -> str:
        by_runtime = {trial.runtime: trial for trial in group.trials}
        return " · ".join(_milliseconds(by_runtime.get(runtime)) for runtime in runtimes)

    return cell


def _milliseconds_of_its_own(group: Group) -> str:
    """Format times in the order in which the row names its runtimes."""
    cells = [_milliseconds(trial) for trial in group.trials]
    return " · ".join(cells) if set(cells) != {EMPTY} else EMPTY


def _times(study: Study) -> Column:
    """Return the column of times; its heading names up to two runtimes."""
    runtimes = list(dict.fromkeys(trial.runtime for trial in (study.reference, *study.trials)))
    if len(runtimes) > FEW_RUNTIMES:
        return Column("ms/sample", _milliseconds_of_its_own)
    return Column("ms/sample " + " · ".join(runtimes), _milliseconds_in(runtimes))


def _metric_columns(study: Study) -> list[Column]:
    if study.task == "regression":
        return [
            Column("MAE", _tiny("mae", least=3)),
            Column("MAE loss [95 %]", _tiny("mae_loss", interval="mae_loss_interval")),
            Column("RMSE", _tiny("rmse", least=3)),
            Column("RMSE loss", _tiny("rmse_loss")),
        ]
    of_samples = [
        Column("top-1 %", _of("top1", 2)),
        Column("loss, points [95 %]", _with_interval("top1_loss_points", "top1_loss_interval", 2)),
        Column("became wrong / right", _flips),
    ]
    if study.task == "classification":
        return of_samples
    if study.task == "positions":  # columns without a value are left out
        return [*of_samples, *_POSITIONS]
    return _columns_of_outputs(study)


def _columns_of_outputs(study: Study) -> list[Column]:
    """Columns where no labels are counted: a metric of them, and how far outputs are from the model's."""
    similar = [Column("SQNR dB", _of("sqnr_db", 1)), Column("max error", _tiny("max_abs_error"))]
    if study.task == "metric":
        return [*_of_own_metric(study), *similar]
    if study.classes:
        agreement = Column("same top-1 % [95 %]", _with_interval("agreement", "agreement_interval", 2))
        return [agreement, *similar]
    if study.positions:
        return [_AGREEMENT, *similar]
    return [*similar, Column("cosine", _cosine)]


_POSITIONS = (
    Column("mean IoU %", _of("mean_iou", 2)),
    Column("mean IoU loss [95 %]", _with_interval("mean_iou_loss_points", "mean_iou_loss_interval", 2)),
    Column("accuracy %", _of("position_accuracy", 2)),
    Column("accuracy loss [95 %]", _with_interval("position_loss_points", "position_loss_interval", 2)),
)
"""Columns of classes of positions."""


def _of_own_metric(study: Study) -> list[Column]:
    """Columns of a metric that reads ground truth of its own form; a share is in percent."""
    scores = study.reference.scores
    if scores is None or scores.metric is None:
        return []
    share = paired_metric(study.metric or scores.metric).unit == "pt"
    digits = 2 if share else 4
    return [
        Column(f"{scores.metric}{' %' if share else ''}", _of("metric_value", digits)),
        Column(
            f"loss{', points' if share else ''} [95 %]", _with_interval("metric_loss", "metric_loss_interval", digits)
        ),
    ]


_AGREEMENT = Column("same class % [95 %]", _with_interval("agreement", "agreement_interval", 2))


def _name_columns() -> list[Column]:
    return [Column("setting", lambda group: group.first.setting, numeric=False)]


def _notes(group: Group) -> str:
    parts = [f"failed: {group.first.failure.reason}"] if group.first.failure else []
    return "; ".join([*parts, *group.first.notes])


_NOTES = Column(NOTES, _notes, numeric=False)


def narrow(study: Study) -> list[Column]:
    """Return the main columns: size, metric, loss, time."""
    return [
        *_name_columns(),
        Column("runtime", lambda group: ", ".join(trial.runtime for trial in group.trials), numeric=False),
        Column("gzip KB", _kilobytes("gzip_bytes")),
        *_metric_columns(study),
        _times(study),
        _NOTES,
    ]


def wide(study: Study) -> list[Column]:
    """Return all columns that apply to the task."""
    return [
        *_name_columns(),
        Column("runtime", lambda group: group.first.runtime, numeric=False),
        Column("KB", _kilobytes("size_bytes")),
        Column("gzip KB", _kilobytes("gzip_bytes")),
        Column("brotli KB", _kilobytes("brotli_bytes")),
        Column("size / float32", lambda group: _ratio(group, study)),
        *_metrics_in_full(study),
        *([_AGREEMENT] if study.positions else []),
        *(_CLASSES if study.classes else []),
        Column("max error", _tiny("max_abs_error")),
        Column("RMS error", _tiny("rms_error")),
        Column("SQNR dB", _of("sqnr_db", 1)),
        Column("cosine", _cosine),
        Column("non-finite", _count("non_finite")),
        Column("difference from python", lambda group: number(group.first.max_abs_from_python, 2)),
        Column("ms/sample", lambda group: _milliseconds(group.first)),
        _NOTES,
    ]


def _metrics_in_full(study: Study) -> list[Column]:
    """The columns that depend on the task."""
    if study.task == "classification":
        return [
            Column("top-1 % [95 %]", _with_interval("top1", "top1_interval", 2)),
            *_metric_columns(study)[1:],
            Column("top-5 %", _of("top5", 2)),
            Column("top-5 loss", _of("top5_loss_points", 2)),
        ]
    if study.task == "metric":
        return _of_own_metric(study)
    return _metric_columns(study) if study.task in {"regression", "positions"} else []


_CLASSES = (
    Column("same top-1 % [95 %]", _with_interval("agreement", "agreement_interval", 2)),
    Column("KL mean", _tiny("kl_mean")),
    Column("KL std. error", _tiny("kl_standard_error")),
    Column("KL infinite", _count("kl_infinite")),
    Column("TV mean", _tiny("total_variation")),
    Column("JS mean", _tiny("jensen_shannon")),
)
"""What is compared of classes, with or without labels."""


def _ratio(group: Group, study: Study) -> str:
    variant = group.first.variant
    if variant is None:
        return EMPTY
    sizes = (
        trial.variant.size_bytes
        for trial in study.trials
        if trial.variant is not None and trial.is_float32 and trial.setting == variant.float32
    )
    base = next(sizes, None)
    return fixed(variant.size_bytes / base, 2) if base else EMPTY
