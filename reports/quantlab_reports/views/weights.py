"""The view of weights: every stored weight of every variant, compared with float32.

JSON and CSV rows have the fields of `quantlab.types.WeightRow` as keys.
"""

import math

from quantlab.types import Inside, WeightRow
from quantlab_reports.figures import EMPTY, percent, share
from quantlab_reports.model import Column, RowView, Selection, Table, lines_of
from quantlab_reports.views.cells import decibels_of, figure, largest_first, text, worst_first

__all__ = ["WEIGHTS", "weight_table"]


WEIGHTS = RowView(
    kind=WeightRow,
    sorts={
        "sqnr": worst_first("sqnr_db"),
        "channel": worst_first("worst_channel_sqnr_db"),
        "max": largest_first("max_abs"),
        "bytes": largest_first("size_bytes"),
    },
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("layer", text("layer"), numeric=False),
        Column("weight", text("tensor"), numeric=False),
        Column("shape", lambda row: "×".join(str(size) for size in row.shape) or "scalar", numeric=False),
        Column("stored as", text("dtype"), numeric=False),
        Column("bytes", lambda row: f"{row.size_bytes:,}"),
        Column("scales", lambda row: str(row.scales or EMPTY)),
        Column("different values", lambda row: share(row.different, math.prod(row.shape))),
        Column("mean abs error", figure("mean_abs")),
        Column("max abs error", figure("max_abs")),
        Column("SQNR dB", decibels_of("sqnr_db")),
        Column("worst channel SQNR dB", decibels_of("worst_channel_sqnr_db")),
        Column("became zero", lambda row: percent(row.zeroed)),
        Column("clipped", lambda row: percent(row.clipped)),
        Column("outlier stretch", figure("outlier_stretch")),
        Column("why not compared", text("reason"), numeric=False),
    ),
)


def weight_table(inside: Inside, selection: Selection) -> Table:
    """Return the table of weights."""
    return WEIGHTS.table(inside.weights, selection, lines_of(inside.notes, selection))
