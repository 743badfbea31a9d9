"""The view of the ranges of the calibration samples, of the scored samples, and of what artifacts recorded.

Text has the inputs, and those tensors inside the model whose ranges differ. JSON and CSV have all rows, with the fields
of `quantlab.types.TensorRange` as keys.
"""

from dataclasses import replace

from quantlab.layer_names import path_of
from quantlab.names import counted
from quantlab.types import CalibrationCheck, TensorRange
from quantlab_reports.figures import EMPTY, fixed, number, percent
from quantlab_reports.layer_words import short_layer
from quantlab_reports.model import NOT_SHOWN, Column, RowView, Selection, Table
from quantlab_reports.views.cells import figure, text

__all__ = ["CALIBRATION", "calibration_table"]

_MOST_STRETCHED = 5
"""Most tensors inside the model whose stretching samples are listed below the table."""

_MOVES, _COVERED, _BITS = 0.25, 0.5, 2.0
"""What makes a tensor inside the model worth a row in text: ends that differ by so much, and so on."""

_MOVES_MUCH = 0.5
"""Share of a range by which its ends differ between two halves if a few samples decide it."""

_FEWEST_MOVING = 20
"""Fewest calibration samples of which this is told: the halves of fewer differ in most models."""


def _share(value: float | None) -> str:
    return EMPTY if value is None else percent(value)


def _name(row: TensorRange) -> str:
    """The input, or the layer and the last part of the tensor's name, because a layer may have several tensors."""
    if not row.layer:
        return row.tensor
    layer, (*_, last) = short_layer(row.layer), path_of(row.tensor) or ("",)
    return layer if not last or row.layer.endswith(last) else f"{layer}/{last}"


CALIBRATION = RowView(
    kind=TensorRange,
    sorts={"input": lambda row: (row.kind, row.tensor, -1 if row.channel is None else row.channel)},
    columns=(
        Column("tensor", _name, numeric=False),
        Column("channel", lambda row: EMPTY if row.channel is None else str(row.channel)),
        Column("range of", text("of"), numeric=False),
        Column("minimum", figure("minimum")),
        Column("maximum", figure("maximum")),
        Column("mean", lambda row: EMPTY if row.mean is None else number(row.mean)),
        Column("samples", lambda row: EMPTY if row.n is None else f"{row.n:,}"),
        Column("covers of the data", lambda row: _share(row.covered)),
        Column("values outside", lambda row: _share(row.outside)),
        Column("bits lost", lambda row: EMPTY if row.bits_lost is None else fixed(row.bits_lost, 1)),
        Column("moves between halves", lambda row: _share(row.moved)),
    ),
)


_LEGEND = (
    "'covers of the data' is the share of the range of the scored samples, 'values outside' the share of their values; "
    "'bits lost' is log2 of how many times as wide a range is as that of the scored samples; 'moves between halves' is "
    "how far the ends lie apart in two random halves of the calibration samples, as a share of the range; for both, "
    "ranges are extended to 0"
)


def calibration_table(check: CalibrationCheck, selection: Selection) -> Table:
    """Return the table of all inputs and channels, and of tensors inside the model whose ranges differ."""
    inside = [row for row in check.ranges if row.kind == "inside"]
    differing = {row.tensor for row in inside if _differs(row)}
    names = dict.fromkeys(row.tensor for row in inside)
    below = [_LEGEND, *_stretching(check), *_moving(check), *_not_shown(len(names), len(names.keys() - differing))]
    view = replace(CALIBRATION, shown=lambda row: row.kind == "input" or row.tensor in differing)
    return view.table(check.ranges, selection, below)


def _differs(row: TensorRange) -> bool:
    return (
        bool(row.stretched_by)
        or (row.moved or 0.0) >= _MOVES
        or (row.covered is not None and row.covered < _COVERED)
        or (row.bits_lost or 0.0) >= _BITS
    )


def _stretching(check: CalibrationCheck) -> list[str]:
    """A line for each sample that stretches the range of an input, and of some tensors inside the model."""
    stretched = [row for row in check.ranges if row.stretched_by]
    inputs = [row for row in stretched if row.kind == "input"]
    inner = [row for row in stretched if row.kind == "inside"]
    lines = [_stretches(row, sample) for row in (*inputs, *inner[:_MOST_STRETCHED]) for sample in row.stretched_by]
    if len(inner) > _MOST_STRETCHED:
        lines.append(f"! and so in {counted(len(inner) - _MOST_STRETCHED, 'other tensor')} inside the model")
    return lines


def _stretches(row: TensorRange, sample: str) -> str:
    usual = f"{number(row.usual_minimum)}…{number(row.usual_maximum)}"
    return (
        f"! stretches the range of '{_name(row)}' from {usual} to {number(row.minimum)}…{number(row.maximum)}: {sample}"
    )


def _moving(check: CalibrationCheck) -> list[str]:
    """A line for the range that differs most between two halves of the samples, though no few stretch it."""
    moving = [row for row in check.ranges if (row.moved or 0.0) >= _MOVES_MUCH and not row.stretched_by]
    if not moving or check.samples < _FEWEST_MOVING:
        return []
    most = max(moving, key=lambda row: row.moved or 0.0)
    others = f", and that of {counted(len(moving) - 1, 'other tensor')} by half or more" if len(moving) > 1 else ""
    line = (
        f"! the range of '{_name(most)}' differs by {percent(most.moved or 0.0)} between two random halves of the "
        f"calibration samples{others}: a few samples decide it, so calibrate on more"
    )
    return [line]


def _not_shown(known: int, left_out: int) -> list[str]:
    if not left_out:
        return []
    tensors = f"{counted(left_out, 'tensor')} of {known} inside the model"
    return [f"{NOT_SHOWN}{tensors}, of which no range stands out; --format json has all"]
