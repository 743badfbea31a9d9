"""Many models as one table: a row for each, with the setting that is recommended, or the smallest one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from quantlab.errors import QuantlabError
from quantlab.gate import rounded_down, rounded_up, size
from quantlab.names import counted, joined
from quantlab.store import Store
from quantlab.types import Budget, Interval, Outcome, Study
from quantlab.types.batch import BatchResult, BatchState
from quantlab_reports.figures import EMPTY, fixed, number, share
from quantlab_reports.losses import ShownFigure, figure_of, loss_of, severity
from quantlab_reports.model import NOTES, Column, Table, plain, table_of
from quantlab_reports.subject import Subject

__all__ = ["BatchEntry", "BatchRow", "batch_entries", "batch_table", "sizes_in_words"]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One model of a batch."""

    name: str
    """Name of the model."""
    model: str
    """The model's file or folder, as the user wrote it."""
    data: str
    """The samples, as the user wrote them."""
    study: str
    """The folder of the study."""
    state: BatchState
    """`measured`, `kept` from an earlier call, `unchanged` since the revision, or `failed`."""
    reason: str | None = None
    """Why it failed or was not judged, or what the verdict says where it names no loss; otherwise null."""
    n: int | None = None
    """Number of scored samples; null without a study, like all keys below."""
    trials: int | None = None
    """Number of rows of the study."""
    failed_trials: int | None = None
    """Rows that could not be measured."""
    metric: str | None = None
    """What the next figure is; null without labels."""
    unit: str | None = None
    """`pt` for shares, which are in percent; empty for the metric's own unit."""
    value: float | None = None
    """The metric of the model itself."""
    value_lower: float | None = None
    """Lower end of its 95 % interval; null where no interval is known, and for samples in groups."""
    value_upper: float | None = None
    """Upper end of the same interval."""
    float32_bytes: int | None = None
    """Size of the float32 artifact in the format of the setting."""
    setting: str | None = None
    """With a budget the recommended setting, null if none fits; without one the smallest that was measured."""
    size_bytes: int | None = None
    """Its size, as the target transfers it."""
    loss: float | None = None
    """Its loss in the runtime in which it loses most; positive is worse."""
    loss_lower: float | None = None
    """Lower end of the interval of the loss: with a budget that of the verdict, without one of 95 %."""
    loss_upper: float | None = None
    """Upper end of the same interval."""
    loss_unit: str | None = None
    """`pt` for percentage points; empty for the unit of the metric."""
    outcome: Outcome | None = None
    """`fits`, `breaks` or `inconclusive`; null without a budget."""


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A row, and the study that it is about."""

    row: BatchRow
    subject: Subject | None
    """None if there is no study to show."""
    budget: Budget | None = None
    """What it was judged by; None if it was not."""


def batch_entries(
    results: Sequence[BatchResult], budgets: Mapping[str, Budget | None] | None = None
) -> list[BatchEntry]:
    """Read the study of each model, and judge it if its name has a budget.

    Of a model that failed, an older study is not shown. A study that a budget cannot judge is shown with the reason.
    """
    known = budgets or {}
    judging = any(known.values())
    return [_entry(result, known.get(result.name), judging=judging) for result in results]


def _entry(result: BatchResult, budget: Budget | None, *, judging: bool) -> BatchEntry:
    row = BatchRow(result.name, str(result.model), result.data, str(result.folder), result.state, result.reason)
    store = Store(result.folder)
    if result.state == "failed" or (result.state == "unchanged" and not (store.root / "study.json").is_file()):
        return BatchEntry(row, None, budget)
    try:
        store.refuse_running()
        subject = Subject.of(store)
    except QuantlabError as error:
        return BatchEntry(replace(row, state="failed", reason=str(error)), None, budget)
    row = _of_study(row, subject.study)
    if not judging:
        return BatchEntry(_smallest(row, subject), subject)
    if budget is None:
        return BatchEntry(replace(row, reason="not judged: the model has no limit"), subject)
    try:
        judged = Subject.of(store, budget)
    except QuantlabError as error:
        return BatchEntry(replace(row, reason=f"not judged: {error}"), subject, budget)
    return BatchEntry(_recommended(row, judged), judged, budget)


def _of_study(row: BatchRow, study: Study) -> BatchRow:
    scores = study.reference.scores
    figure = None if scores is None else figure_of(scores, grouped=bool(study.samples.groups_sha256))
    if figure is not None:
        row = replace(row, metric=figure.name, unit=figure.unit, value=figure.value)
        if figure.interval is not None:
            row = replace(row, value_lower=figure.interval.lower, value_upper=figure.interval.upper)
    return replace(
        row,
        n=scores.n if scores else study.samples.n,
        trials=len(study.trials),
        failed_trials=len(study.failed),
    )


def _recommended(row: BatchRow, subject: Subject) -> BatchRow:
    chosen = subject.recommendation
    assert chosen is not None  # noqa: S101 (the caller has checked that there is one)
    if not chosen.verdict.fits:
        named: dict[str, list[str]] = {}
        for judged in chosen.verdict.settings:
            if judged.quantized:
                named.setdefault(judged.reason, []).append(judged.setting)
        reasons = [f"{joined(settings)}: {reason}" for reason, settings in named.items()]
        row = replace(row, reason="; ".join(reasons) or None)
    row = replace(row, outcome=chosen.verdict.outcome)
    if chosen.setting is None:
        return row
    judged = chosen.verdict.of(chosen.setting)
    loss = judged.deciding.loss
    row = replace(
        row,
        setting=chosen.setting,
        size_bytes=judged.size_bytes,
        float32_bytes=_float32_bytes(subject, chosen.setting),
    )
    if loss is None:
        return replace(row, reason=row.reason or judged.reason or None)
    return replace(row, loss=loss.loss, loss_lower=loss.lower, loss_upper=loss.upper, loss_unit=loss.unit)


def _smallest(row: BatchRow, subject: Subject) -> BatchRow:
    """The smallest quantized setting that was measured, in the runtime in which it loses most."""
    known = [
        (trial, loss_of(trial), size_bytes)
        for trial in subject.study.trials
        if trial.scores is not None and not trial.is_float32 and (size_bytes := subject.size_of(trial.variant))
    ]
    if not known:
        return row
    trial, loss, size_bytes = min(known, key=lambda one: (one[2], -(severity(one[1]) if one[1] else 0.0)))
    row = replace(
        row, setting=trial.setting, size_bytes=size_bytes, float32_bytes=_float32_bytes(subject, trial.setting)
    )
    if loss is None:
        return row
    interval = loss.interval
    return replace(
        row,
        loss=loss.value,
        loss_lower=interval.lower if interval else None,
        loss_upper=interval.upper if interval else None,
        loss_unit=loss.unit,
    )


def _float32_bytes(subject: Subject, setting: str) -> int | None:
    variant = next((trial.variant for trial in subject.trials_of(setting) if trial.variant is not None), None)
    if variant is None or variant.float32 is None:
        return None
    baseline = next((trial.variant for trial in subject.trials_of(variant.float32) if trial.variant is not None), None)
    return subject.size_of(baseline)


def batch_table(entries: Sequence[BatchEntry]) -> Table:
    """Return the table, with a leading line that counts what became of the models."""
    rows = [entry.row for entry in entries]
    budgets = [entry.budget for entry in entries if entry.budget is not None]
    return table_of(
        [
            Column("model", lambda row: row.name, numeric=False),
            Column("study", lambda row: row.state, numeric=False),
            Column("n", lambda row: EMPTY if row.n is None else f"{row.n:,}"),
            Column("the model itself", _itself, numeric=False),
            Column("recommended" if budgets else "smallest", lambda row: row.setting or EMPTY, numeric=False),
            Column("size", lambda row: EMPTY if row.size_bytes is None else size(row.size_bytes)),
            Column("of float32", lambda row: share(row.size_bytes, row.float32_bytes or 0)),
            Column("loss", _loss),
            Column("verdict", lambda row: row.outcome or EMPTY, numeric=False),
            Column(NOTES, _notes, numeric=False),
        ],
        rows,
        keys=[field.name for field in fields(BatchRow)],
        records=[plain(row) for row in rows],
        above=[_counts(rows, judged=bool(budgets))],
        below=list(_footer(entries, budgets)),
    )


def sizes_in_words(rows: Sequence[BatchRow]) -> str:
    """What the settings of the rows save, as a sentence; empty if no size is known."""
    known = [
        (row.size_bytes / row.float32_bytes, row)
        for row in rows
        if row.setting is not None and row.size_bytes and row.float32_bytes
    ]
    if not known:
        return ""
    chosen = "recommended" if any(row.outcome for row in rows) else "smallest"
    (least, small), (most, large) = min(known, key=lambda one: one[0]), max(known, key=lambda one: one[0])
    first = f"{fixed(100 * least, 1)} % of float32 ({small.name})"
    if len(known) == 1:
        return f"The {chosen} setting of the one model with known sizes has {first}."
    whole = sum(row.size_bytes or 0 for _, row in known) / sum(row.float32_bytes or 0 for _, row in known)
    return (
        f"The {chosen} settings of {len(known)} models have {first} to {fixed(100 * most, 1)} % ({large.name}), and "
        f"together {fixed(100 * whole, 1)} %."
    )


def _itself(row: BatchRow) -> str:
    if row.value is None:
        return EMPTY
    ends = (row.value_lower, row.value_upper)
    interval = None if ends[0] is None or ends[1] is None else Interval(ends[0], ends[1])
    return ShownFigure(row.metric or "", row.value, interval, row.unit or "").text


def _loss(row: BatchRow) -> str:
    if row.loss is None:
        return EMPTY
    points = row.loss_unit == "pt"

    def text(value: float | None) -> str:
        return fixed(value, 2) if points else number(value, 2)

    return f"{text(row.loss)}{_bounds(row, points=points)}{' pt' if points else ''}"


def _bounds(row: BatchRow, *, points: bool) -> str:
    """The interval of the loss, rounded outwards, because its upper end may be what decides."""
    if row.loss_lower is None or row.loss_upper is None:
        return ""
    sizes = [abs(end) for end in (row.loss_lower, row.loss_upper) if math.isfinite(end) and end]
    decimals = 2 if points or not sizes else max(2, 1 - math.floor(math.log10(min(sizes))))
    return f" [{rounded_down(row.loss_lower, decimals=decimals)}, {rounded_up(row.loss_upper, decimals=decimals)}]"


def _notes(row: BatchRow) -> str:
    failed = f"{row.failed_trials} of {counted(row.trials or 0, 'row')} failed" if row.failed_trials else ""
    return "; ".join(part for part in (failed, row.reason) if part)


def _counts(rows: Sequence[BatchRow], *, judged: bool) -> str:
    """What became of the models, and of their verdicts."""
    known = ("measured", "kept", "unchanged", "failed")
    states = [f"{count} {state}" for state in known if (count := sum(row.state == state for row in rows))]
    line = f"{counted(len(rows), 'model')}: {joined(states)}"
    if not judged:
        return line
    told = ("fits", "breaks", "inconclusive")
    outcomes = [f"{count} {outcome}" for outcome in told if (count := sum(row.outcome == outcome for row in rows))]
    return f"{line}; verdicts: {joined(outcomes)}" if outcomes else line


def _footer(entries: Sequence[BatchEntry], budgets: Sequence[Budget]) -> Iterator[str]:
    if not budgets:
        yield (
            "smallest: the smallest quantized setting that was measured, whatever it loses, in the runtime in which it "
            "loses most; with a [budget] table, the setting that fits is shown"
        )
        yield "loss: positive is worse; 95 % interval of each row, whose ends are rounded outwards"
    else:
        sure = sorted({100 * (2 * budget.confidence - 1) for budget in budgets})
        yield "recommended: the smallest setting that keeps the budget; see 'quantlab recommend STUDY' for the reasons"
        intervals = " or ".join(f"{number(percent, 4)} %" for percent in sure)
        yield f"loss: positive is worse; {intervals} interval, whose upper end is the bound that decides"
    if any(entry.row.value_lower is not None for entry in entries):
        yield "the model itself: its metric, with a 95 % interval in brackets"
    if any(entry.row.state == "unchanged" for entry in entries):
        yield "unchanged: no file of the model or of its samples changed since the revision; figures are those it has"
