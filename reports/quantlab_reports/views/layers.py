"""The view of layers: every tensor of every variant, compared with the reference.

JSON and CSV rows have the fields of `quantlab.types.LayerRow` as keys. An empty `tensor` means that a layer of the
reference has no matching tensor in the variant.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from quantlab.types import AGAINST_REFERENCE, Inside, LayerRow, Source
from quantlab_reports.figures import EMPTY, fixed, number, share, true_minus
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.views.cells import decibels_of, figure, largest_first, text, worst_first

__all__ = ["LAYERS", "layer_table"]

_THRESHOLD_DB = 40.0
"""The noise is 1 % of the signal."""


def _isolated_first(row: LayerRow) -> float:
    """Sort by the worst channel, of the isolated error if it was measured, otherwise of the accumulated error."""
    return worst_first("worst_channel_sqnr_db")(row)


def _growth(row: LayerRow) -> str:
    """Format the growth of the relative RMS error in percentage points; errors can also shrink."""
    if row.relative_rms_growth is None:
        return EMPTY
    return f"{true_minus(f'{100 * row.relative_rms_growth:+.2g}')} pt"


LAYERS = RowView(
    kind=LayerRow,
    sorts={
        "place": lambda row: row.place,
        "sqnr": worst_first("sqnr_db"),
        "max": largest_first("max_abs"),
        "mean": largest_first("mean_abs"),
        "isolated": _isolated_first,
        "growth": largest_first("relative_rms_growth"),
    },
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("layer", text("layer"), numeric=False),
        Column("op", text("op"), numeric=False),
        Column("channel", lambda row: EMPTY if row.channel is None else str(row.channel)),
        Column("values", lambda row: f"{row.count:,}" if row.aligned else EMPTY),
        Column("different values", lambda row: share(row.different, row.count)),
        Column("mean abs error", figure("mean_abs")),
        Column("max abs error", figure("max_abs")),
        Column("SQNR dB", decibels_of("sqnr_db")),
        Column("error growth", _growth),
        Column("isolated SQNR dB", decibels_of("isolated_sqnr_db")),
        Column("worst channel SQNR dB", decibels_of("worst_channel_sqnr_db")),
        Column("no matching layer", text("reason"), numeric=False),
    ),
    shown=lambda row: row.baseline == AGAINST_REFERENCE,
)


def layer_table(inside: Inside, selection: Selection) -> Table:
    """Return the table of layers; for a single trial, with findings below."""
    shown = [row for row in LAYERS.select(inside.layers, selection) if LAYERS.shown(row)]
    below = [
        *_findings(shown, inside.sources),
        f"Compared on {inside.samples:,} samples, {inside.drawn}, with the matching tensors of the reference",
        *(f"! {note}" for note in inside.notes),
    ]
    return replace(LAYERS, columns=_columns(inside)).table(inside.layers, selection, below)


def _columns(inside: Inside) -> tuple[Column, ...]:
    """Return the columns, including those of registered statistics; the reason stays last."""
    names = dict.fromkeys(name for row in inside.layers for name in row.more)
    return (*LAYERS.columns[:-1], *(Column(name, _more(name)) for name in names), LAYERS.columns[-1])


def _more(name: str) -> Callable[[LayerRow], str]:
    return lambda row: number(row.more.get(name))


def _findings(rows: Sequence[Any], sources: Sequence[Source]) -> list[str]:
    """Find, for one trial, the first non-finite tensor, the first noisy one, the largest own error and growth."""
    if len({(row.setting, row.runtime) for row in rows}) != 1:
        return []
    measured = sorted((row for row in rows if row.aligned and row.channel is None), key=lambda row: row.place)
    spoiled = next((row for row in measured if row.non_finite), None)
    if spoiled is not None:
        return [f"First tensor with NaN or infinity: {spoiled.layer} ({spoiled.op}), {spoiled.non_finite:,} values"]
    loud = next((row for row in measured if row.sqnr_db < _THRESHOLD_DB), None)
    findings = []
    if loud is not None:
        told = f"{loud.layer} ({loud.op}), {fixed(loud.sqnr_db, 1)} dB"
        findings.append(f"First tensor with an SQNR below {_THRESHOLD_DB:g} dB: {told}")
    findings += [_source(source) for source in sources if source.setting == rows[0].setting]
    most = min(measured, key=largest_first("relative_rms_growth"), default=None)
    if most is not None and (most.relative_rms_growth or 0) > 0:
        points = 100 * most.relative_rms_growth
        findings.append(
            f"Largest error growth: {most.layer} ({most.op}), {number(points, 2)} points of relative RMS error"
        )
    return findings


def _source(source: Source) -> str:
    """The op that causes most of the error, by its own error in Python."""
    channel = "" if source.channel is None else f" in channel {source.channel}"
    return f"Source of the error: {source.layer} ({source.op}), isolated SQNR {fixed(source.sqnr_db, 1)} dB{channel}"
