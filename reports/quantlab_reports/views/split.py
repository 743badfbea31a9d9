"""The view of the split: which step causes the loss of every trial.

JSON and CSV rows have the fields of `quantlab.types.SplitRow` as keys.
"""

from quantlab.types import Inside, SplitRow
from quantlab_reports.figures import EMPTY, number
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.views.cells import figure, largest_first, text

__all__ = ["SPLIT", "split_table"]

_BELOW = (
    "points: loss of the metric in points, positive is worse; rms: each step's share of the total error",
    "The steps add up to the total",
)


def _steps(row: SplitRow) -> str:
    if row.measure != "rms":
        return EMPTY
    steps = (row.conversion_rms, row.quantization_rms, row.runtime_rms)
    first = () if row.preprocessing_rms is None else (row.preprocessing_rms,)
    return " · ".join(number(value, 2) for value in (*first, *steps))


SPLIT = RowView(
    kind=SplitRow,
    sorts={"total": largest_first("total")},
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("measure", text("measure"), numeric=False),
        Column("preprocessing", figure("preprocessing")),
        Column("conversion", figure("conversion")),
        Column("quantization", figure("quantization")),
        Column("runtime step", figure("runtime_part")),
        Column("total", figure("total")),
        Column("RMS of each step", _steps),
        Column("why missing", text("reason"), numeric=False),
    ),
)


def split_table(inside: Inside, selection: Selection) -> Table:
    """Return the table of the split."""
    return SPLIT.table(inside.split, selection, _BELOW)
