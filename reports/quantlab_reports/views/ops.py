"""The view of ops: the number type in which each op of every variant computes.

JSON and CSV rows have the fields of `quantlab.types.OpRow` as keys.
"""

from quantlab.types import Inside, OpRow
from quantlab_reports.model import Column, RowView, Selection, Table, lines_of
from quantlab_reports.views.cells import text

__all__ = ["OPS", "op_table"]


OPS = RowView(
    kind=OpRow,
    sorts={"place": lambda row: row.place},
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("op", text("op"), numeric=False),
        Column("version", lambda row: str(row.version)),
        Column("computes in", text("computes_in"), numeric=False),
        Column("weights", text("weights"), numeric=False),
        Column("output", text("output"), numeric=False),
    ),
)


def op_table(inside: Inside, selection: Selection) -> Table:
    """Return the table of ops."""
    return OPS.table(inside.ops, selection, lines_of(inside.notes, selection))
