"""The view of outputs: every output of the model and its channels, compared with the reference.

JSON and CSV rows have the fields of `quantlab.types.OutputRow` as keys.
"""

from collections.abc import Sequence

from quantlab.names import counted
from quantlab.types import OutputComparison, OutputRow, Study
from quantlab_reports.figures import EMPTY, cosine, number
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.views.cells import Apart, count, decibels_of, largest_first, text, worst_first

__all__ = ["OUTPUTS", "output_table"]


def _name(row: OutputRow) -> str:
    return row.output if row.channel is None else f"{row.output}[{row.channel}]"


def _range(low: float | None, high: float | None) -> str:
    return EMPTY if low is None else f"{number(low)} to {number(high)}"


def _apart(field: str) -> Apart:
    """Cells in which the settings of one output or channel can be told apart."""
    return Apart(
        lambda row: getattr(row, field),
        owner=lambda row: row.setting,
        kind=lambda row: (row.output, row.channel),
    )


OUTPUTS = RowView(
    kind=OutputRow,
    sorts={
        "sqnr": worst_first("sqnr_db"),
        "max": largest_first("max_abs_error"),
        "mean": largest_first("mean_abs_error"),
        "rms": largest_first("rms_error"),
    },
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("output", _name, numeric=False),
        Column("values", count("count")),
        Column("SQNR dB", decibels_of("sqnr_db")),
        Column("cosine", lambda row: cosine(row.cosine)),
        Column("max error", _apart("max_abs_error")),
        Column("RMS error", _apart("rms_error")),
        Column("bias", _apart("bias")),
        Column("range in the model", lambda row: _range(row.reference_minimum, row.reference_maximum)),
        Column("range in the variant", lambda row: _range(row.minimum, row.maximum)),
        Column("non-finite", lambda row: count("non_finite")(row) if row.non_finite else EMPTY),
        Column("left out", lambda row: count("left_out")(row) if row.left_out else EMPTY),
        Column("constant", lambda row: "yes" if row.constant else "", numeric=False),
    ),
)


def output_table(study: Study, outputs: OutputComparison, selection: Selection) -> Table:
    """Return the table of outputs, each with its channels below it."""
    rows = OUTPUTS.select(outputs.rows, selection)
    return OUTPUTS.table(outputs.rows, selection, [*_reading(study, rows), *(f"! {text}" for text in outputs.reasons)])


def _reading(study: Study, rows: Sequence[OutputRow]) -> list[str]:
    samples = counted(study.samples.n, "sample")
    lines = [
        f"Compared with the model on {samples}; output[3] is index 3 of the last axis of the output",
        f"Scored: {study.scored_output}",
    ]
    if any(row.constant for row in rows):
        lines.append(
            "constant: the same for every sample, although the model's output varies; it breaks a gate unless "
            "--allow-constant names it"
        )
    if any(row.left_out for row in rows):
        lines.append("left out: values that are NaN or infinite in the model itself, or of samples that are not scored")
    return lines
