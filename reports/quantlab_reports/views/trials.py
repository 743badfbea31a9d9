"""The view of trials: rows, and the lines above and below the table."""

from collections.abc import Mapping, Sequence

from quantlab.formats import FORMATS, Format
from quantlab.names import counted, joined
from quantlab.statistics import paired_metric
from quantlab.types import PYTHON, REFERENCE, SampleSet, Study, Trial
from quantlab_reports.figures import fixed, number
from quantlab_reports.model import Column, Table, table_of
from quantlab_reports.views.equivalence import equivalence_line
from quantlab_reports.views.trial_columns import FEW_RUNTIMES, Group, narrow
from quantlab_reports.views.trial_columns import wide as wide_columns
from quantlab_reports.views.trial_records import KEYS, rows

__all__ = ["footer", "heading", "trial_table"]


def trial_table(study: Study, *, wide: bool, formats: Mapping[str, Format] = FORMATS) -> Table:
    """Return the table of trials. In the narrow table, runtimes with the same figures share a row.

    Columns without any value are left out. The column of runtimes is left out if all rows ran in the same one or two.

    Args:
        study: The results.
        wide: Whether to show all figures, one row for each trial.
        formats: All formats; some run one sample for each call.
    """
    alone = [Group((trial,)) for trial in (study.reference, *study.trials)]
    columns = [column.among(alone) for column in (wide_columns(study) if wide else narrow(study))]
    groups = alone if wide else _merged(study, columns)
    if not _many_runtimes(groups):
        columns = [column for column in columns if column.heading != "runtime"]
    return table_of(
        columns,
        groups,
        keys=KEYS,
        records=rows(study),
        above=heading(study),
        below=footer(study, formats),
    )


def _merged(study: Study, columns: Sequence[Column]) -> list[Group]:
    """Group trials of one setting whose cells are equal, except for times and runtimes."""
    compared = [column for column in columns if column.heading != "runtime" and not column.heading.startswith("ms/")]
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in (study.reference, *study.trials):
        cells = (column.cell(Group((trial,))) for column in compared)
        groups.setdefault((trial.setting, trial.status, *cells), []).append(trial)
    return [Group(tuple(trials)) for trials in groups.values()]


def _many_runtimes(groups: Sequence[Group]) -> bool:
    """Whether rows must name their runtimes."""
    trials = [group for group in groups if group.first.setting != REFERENCE]
    places = {tuple(trial.runtime for trial in group.trials) for group in trials}
    all_places = {trial.runtime for group in groups for trial in group.trials}
    many = len(places) > 1 or len(all_places) > FEW_RUNTIMES
    return many or any(group.first.failure for group in trials)


def heading(study: Study) -> list[str]:
    """Return the lines above the table, warnings first."""
    lines = [f"! {text}" for text in study.warnings]
    samples = study.samples
    aside = f"; {_calibration(study.calibration, samples)}" if study.calibration else ""
    lines.append(f"Model  {study.model.path} ({study.model.kind})")
    lines.append(f"Data   {samples.n:,} of {samples.available:,} samples, {samples.drawn}{aside}")
    lines.extend(_checks(study))
    return lines


def _calibration(calibration: SampleSet, samples: SampleSet) -> str:
    if calibration.source == samples.source:
        return f"{calibration.n:,} other samples for calibration"
    return f"calibrated on {counted(calibration.n, 'sample')} of {calibration.source}"


def _checks(study: Study) -> list[str]:
    marks = [_float32_mark(name, *text.split(": ", 1)) for name, text in study.parity.items()]
    others = dict.fromkeys(trial.runtime for trial in study.trials if trial.runtime != PYTHON)
    return marks + [text for runtime in others if (text := _agreement_with_python(study, runtime))]


def _float32_mark(name: str, verdict: str, detail: str) -> str:
    if verdict == "ok":
        told = detail if "%" in detail else f"largest difference {number(float(detail), 2)}"
        return f"✓ float32 check {name}: {told}"
    return f"✗ float32 check {name} {'failed' if verdict == 'broken' else verdict}: {detail}"


def _agreement_with_python(study: Study, runtime: str) -> str | None:
    compared = [
        trial
        for trial in study.trials
        if trial.ran_on == runtime == trial.runtime and trial.max_abs_from_python is not None
    ]
    if not compared:
        return None
    largest = max(trial.max_abs_from_python or 0.0 for trial in compared)
    moved = sum(trial.flips_from_python or 0 for trial in compared)
    apart = f"largest difference {number(largest, 2)}"
    if not study.classes:
        return f"· {runtime} against python: {apart}"
    if any(trial.equivalence is None for trial in compared):
        told = f"different top-1 on {moved:,} outputs of all settings" if moved else "same top-1 on every sample"
        return f"· {runtime} against python: {told}; {apart}; 'quantlab analyze' again tests equivalence"
    return equivalence_line(runtime, compared, [trial.equivalence for trial in compared if trial.equivalence])


def footer(study: Study, formats: Mapping[str, Format] = FORMATS) -> list[str]:
    """Return the lines below the table: where the figures come from, and how to read them."""
    samples = study.samples
    drawn = f"n = {_left_out(study)}samples of {samples.source}, {samples.drawn}; SHA-256 {samples.sha256[:12]}"
    names = dict.fromkeys(trial.variant.format for trial in study.trials if trial.variant)
    alone = [called for name in names if name in formats and (called := formats[name].alone)]
    single = f" ({' and '.join(alone)} files: 1)" if alone and study.batch_size > 1 else ""
    lines = [f"{drawn}; batch size {study.batch_size}{single}"]
    if samples.preprocessing:
        lines.append(f"Preprocessing: {samples.preprocessing}")
    lines.extend(_reading(study))
    if samples.groups is not None:
        lines.append(
            f"Intervals in the table count {samples.n:,} samples as independent; lines about runtimes, and verdicts, "
            f"count their {counted(samples.groups, 'group')} ({samples.group_key})"
        )
    if study.threshold is not None and study.task != "metric":
        lines.append(_threshold(study.threshold))
    lines.append(
        "ms/sample: time in the model's calls on this machine, two processes at a time with one thread each; "
        "do not use these times to compare phones"
    )
    lines.extend(_devices(study))
    lines.append("Versions: " + ", ".join(f"{name} {text}" for name, text in study.versions.items() if text))
    return lines


def _devices(study: Study) -> list[str]:
    """A line for each device other than this machine, with the runtimes there."""
    runtimes: dict[str, dict[str, None]] = {}
    for trial in study.trials:
        if trial.device:
            runtimes.setdefault(trial.device, {})[trial.runtime] = None
    return [
        f"{joined([*names])}: run on {device}; ms/sample there is the time of that phone, and may rank it"
        for device, names in runtimes.items()
    ]


def _scored(study: Study) -> int:
    return study.reference.scores.n if study.reference.scores else study.samples.n


def _left_out(study: Study) -> str:
    """How many samples the scores are of, as the beginning of a phrase."""
    left_out = study.samples.n - _scored(study)
    if not left_out:
        return f"{study.samples.n:,} "
    return (
        f"{_scored(study):,} ({left_out:,} left out: the model itself is NaN or infinite there) of {study.samples.n:,} "
    )


def _threshold(value: float) -> str:
    """How one score of two classes is read."""
    held = "holds probabilities" if value else "does not hold probabilities"
    return f"One score for two classes: class 1 above {number(value, 2)}, class 0 at it, because the output {held}"


def _of_own_metric(study: Study) -> list[str]:
    """How a metric reads outputs and ground truth, and its loss."""
    if study.metric is None:
        return ["Ground truth of its own form, and no metric of it: variants are compared with the reference only"]
    metric = paired_metric(study.metric)
    difference = "reference − variant" if metric.direction == "higher" else "variant − reference"
    unit = "in percentage points" if metric.unit == "pt" else "in the unit of the metric"
    told = metric.reads.format(threshold=_threshold_of(study))
    return [
        f"loss = {difference}, {unit} of {metric.name}; positive is worse; 95 % interval by a bootstrap of samples",
        *([f"{metric.name}: {told}"] if told else []),
    ]


def _threshold_of(study: Study) -> str:
    if study.threshold is None:
        return ""
    held = "the output holds probabilities" if study.threshold else "the output does not hold probabilities"
    return f"{number(study.threshold, 2)}, because {held}"


def _reading(study: Study) -> list[str]:
    if study.task == "regression":
        return ["loss = variant − reference, in the unit of the output; positive is worse"]
    if study.task == "metric":
        return _of_own_metric(study)
    if study.task == "similarity":
        return ["No labels: variants are compared with the reference only"]
    if study.task == "positions" and not (study.reference.scores and study.reference.scores.top1 is not None):
        resampled = "95 % interval by a bootstrap of samples, not of their positions"
        return [f"loss = reference − variant, in percentage points; positive is worse; {resampled}"]
    scores = study.reference.scores
    interval = scores.top1_interval if scores else None
    spread = (
        f"; 95 % interval of the reference's top-1: [{fixed(interval.lower, 2)}, {fixed(interval.upper, 2)}] (Wilson)"
        if interval
        else ""
    )
    kl = "the renormalized probabilities" if study.probabilities else "the softmax of the output"
    divergence = f"; KL divergence of {kl}" if study.classes else ""
    return [
        f"loss = reference − variant, in percentage points of top-1; positive is worse; 95 % interval by Tango{spread}",
        f"became wrong / right: samples whose top-1 went right → wrong / wrong → right{divergence}",
    ]
