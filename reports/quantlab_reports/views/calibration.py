"""The view of the ranges of the calibration samples beside those of the scored samples.

JSON and CSV rows have the fields of `quantlab.types.InputRange` as keys.
"""

from quantlab.types import CalibrationCheck, InputRange
from quantlab_reports.figures import EMPTY, number, percent
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.views.cells import figure, text

__all__ = ["CALIBRATION", "calibration_table"]


def _share(value: float | None) -> str:
    return EMPTY if value is None else percent(value)


CALIBRATION = RowView(
    kind=InputRange,
    sorts={"input": lambda row: (row.input, -1 if row.channel is None else row.channel)},
    columns=(
        Column("input", text("input"), numeric=False),
        Column("channel", lambda row: EMPTY if row.channel is None else str(row.channel)),
        Column("range of", text("of"), numeric=False),
        Column("minimum", figure("minimum")),
        Column("maximum", figure("maximum")),
        Column("mean", lambda row: EMPTY if row.mean is None else number(row.mean)),
        Column("samples", lambda row: EMPTY if row.n is None else f"{row.n:,}"),
        Column("covers of the data", lambda row: _share(row.covered)),
        Column("values outside", lambda row: _share(row.outside)),
        Column("moves between halves", lambda row: _share(row.moved)),
    ),
)


_LEGEND = (
    "'covers of the data' is the share of the range of the scored samples, 'values outside' the share of their values; "
    "'moves between halves' is how far the ends lie apart in the even and the odd calibration samples, as a share of "
    "the range"
)


def calibration_table(check: CalibrationCheck, selection: Selection) -> Table:
    """Return the table of all inputs and channels."""
    below = [_LEGEND]
    for one in check.outliers:
        usual = f"{number(one.usual_minimum)}…{number(one.usual_maximum)}"
        below += [f"! stretches the range of '{one.input}' from {usual}: {sample}" for sample in one.samples]
    return CALIBRATION.table(check.ranges, selection, below)
