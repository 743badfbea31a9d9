"""The view of changes: what each trial does to the samples, one row for each trial.

JSON and CSV rows have the fields of `quantlab.types.ChangeRow` as keys.
"""

from collections.abc import Sequence

from quantlab.types import ChangeRow, Study
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.sample_changes import changes_of_trials, chosen_trials
from quantlab_reports.views.cells import count, largest_first, text

__all__ = ["CHANGES", "change_table"]


def _share(row: ChangeRow) -> str:
    if row.worse_percent is None:
        return EMPTY
    return _with_interval(row.worse_percent, row.worse_percent_lower, row.worse_percent_upper, points=True)


def _with_interval(value: float | None, lower: float | None, upper: float | None, *, points: bool) -> str:
    """A figure and its interval; an end that is not known is `…`, and without any end there is no interval."""
    if value is None:
        return EMPTY

    def shown(figure: float | None) -> str:
        return "…" if figure is None else fixed(figure, 1) if points else number(figure)

    return shown(value) if lower is upper is None else f"{shown(value)} [{shown(lower)}, {shown(upper)}]"


def _of_change(name: str) -> Column:
    """Column of a percentile of the change."""

    def cell(row: ChangeRow) -> str:
        value, lower, upper = (getattr(row, f"{name}{end}") for end in ("", "_lower", "_upper"))
        return _with_interval(value, lower, upper, points=row.unit == "pt")

    return Column({"median": "median change [95 %]", "p90": "90th percentile [95 %]"}[name], cell)


CHANGES = RowView(
    kind=ChangeRow,
    sorts={"worse": largest_first("worse_percent"), "median": largest_first("median"), "p90": largest_first("p90")},
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("compared by", text("metric"), numeric=False),
        Column("n", count("n")),
        Column("became worse", count("worse")),
        Column("became better", count("better")),
        Column("% worse [95 %]", _share),
        _of_change("median"),
        _of_change("p90"),
        Column("left out", lambda row: count("undefined")(row) if row.undefined else EMPTY),
    ),
)


def change_table(study: Study, selection: Selection) -> Table:
    """Return the table of all trials that were measured."""
    found = list(changes_of_trials(study, chosen_trials(study, selection)))
    rows = [one.figures for one in found]
    notes = dict.fromkeys(f"! {one.note}; samples are compared by their outputs" for one in found if one.note)
    return CHANGES.table(rows, selection, [*_reading(rows), *notes])


def _reading(rows: Sequence[ChangeRow]) -> list[str]:
    metrics = dict.fromkeys(row.metric for row in rows)
    lines = []
    if "top1" in metrics:
        lines.append("became worse / better: samples that became wrong / right")
    if "agreement" in metrics:
        lines.append("became worse: samples with another top-1 than the model's; without labels, none is known better")
    if "output" in metrics:
        lines.append("output: the largest absolute difference of an element of the sample's output from the model's")
    units = {row.metric: row.unit for row in rows if row.median is not None and row.metric != "output"}
    for metric, unit in units.items():
        told = "percentage points" if unit == "pt" else "the unit of the metric (of an error: of the target)"
        lines.append(f"change: {metric} of each sample against the model, in {told}; positive is worse")
    if any(row.worse_percent is not None and row.worse_percent_lower is None for row in rows):
        lines.append("Samples are in groups, so there are no intervals of independent samples")
    return lines
