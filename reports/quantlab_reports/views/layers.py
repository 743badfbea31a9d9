"""The view of layers: every tensor of every variant, compared with the reference.

Text shows each setting in one runtime, unless a runtime is asked for, and lists what has no matching layer in lines
below the table. JSON and CSV have all rows; the keys are the fields of `quantlab.types.LayerRow`. An empty `tensor`
means that a layer of the reference has no matching tensor in the variant.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from quantlab.errors import UsageError
from quantlab.names import counted
from quantlab.types import AGAINST_REFERENCE, PYTHON, Inside, LayerRow, Source
from quantlab_reports.figures import EMPTY, fixed, number, percent, share, with_sign
from quantlab_reports.layer_words import short_layer, source_in_words
from quantlab_reports.model import NOT_SHOWN, Column, RowView, Selection, Table, lines_of
from quantlab_reports.views.cells import decibels_of, figure, largest_first, text, worst_first

__all__ = ["LAYERS", "layer_table"]

_THRESHOLD_DB = 40.0
"""The noise is 1 % of the signal."""

_RUNTIME = "runtime"
"""Heading of a column that is left out if it would repeat itself."""


def _isolated_first(row: LayerRow) -> float:
    """Sort by the worst channel, of the isolated error if it was measured, otherwise of the accumulated error."""
    return worst_first("worst_channel_sqnr_db")(row)


def _growth(row: LayerRow) -> str:
    """Format the growth of the relative RMS error in percentage points; errors can also shrink."""
    if row.relative_rms_growth is None:
        return EMPTY
    return f"{with_sign(number(100 * row.relative_rms_growth, 2))} pt"


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
        Column(_RUNTIME, text("runtime"), numeric=False),
        Column("layer", lambda row: short_layer(row.layer), numeric=False),
        Column("op", text("op"), numeric=False),
        Column("channel", lambda row: EMPTY if row.channel is None else str(row.channel)),
        Column("values", lambda row: f"{row.count:,}" if row.aligned else EMPTY),
        Column("different values", lambda row: share(row.different, row.count)),
        Column("mean abs error", figure("mean_abs")),
        Column("max abs error", figure("max_abs")),
        Column("clipped", lambda row: EMPTY if row.clipped is None else percent(row.clipped)),
        Column("SQNR dB", decibels_of("sqnr_db")),
        Column("error growth", _growth),
        Column("isolated SQNR dB", decibels_of("isolated_sqnr_db")),
        Column("worst channel SQNR dB", decibels_of("worst_channel_sqnr_db")),
    ),
    shown=lambda row: row.baseline == AGAINST_REFERENCE,
)


def layer_table(inside: Inside, selection: Selection, imported: Collection[tuple[str, str]] = ()) -> Table:
    """Return the table of layers; for a single trial, with findings below.

    Args:
        inside: The layer comparison.
        selection: What is shown.
        imported: Setting and runtime of each row whose outputs another program wrote.

    Raises:
        UsageError: If the selection names what the comparison lacks.
    """
    _refuse_imported(inside, selection, imported)
    compared = [row for row in LAYERS.select(inside.layers, selection) if LAYERS.shown(row)]
    trials = _trials(compared) if selection.runtime is None else {(row.setting, row.runtime) for row in compared}
    shown = [row for row in compared if (row.setting, row.runtime) in trials]
    runtimes = list(dict.fromkeys(row.runtime for row in shown))
    where = f", in {runtimes[0]}" if len(runtimes) == 1 else ""
    samples = counted(inside.samples, "sample")
    below = [
        *_findings(shown, inside.sources),
        f"Compared on {samples}, {inside.drawn}{where}, with the matching tensors of the reference",
        *_unmatched(shown),
        *_other_runtimes(compared, shown),
        *lines_of(inside.notes, selection),
    ]
    view = replace(
        LAYERS,
        columns=_columns(inside, several_runtimes=len(runtimes) > 1),
        shown=lambda row: LAYERS.shown(row) and row.aligned and (row.setting, row.runtime) in trials,
    )
    return view.table(inside.layers, selection, below)


def _refuse_imported(inside: Inside, selection: Selection, imported: Collection[tuple[str, str]]) -> None:
    """Say how the tensors of a program are brought, if the selection is of imported rows without any."""
    if selection.runtime is None or selection.runtime not in {runtime for _, runtime in imported}:
        return
    compared = {(row.setting, row.runtime) for row in inside.layers}
    lacking = [
        setting
        for setting, runtime in imported
        if runtime == selection.runtime and selection.setting in {None, setting} and (setting, runtime) not in compared
    ]
    if lacking and not any(
        runtime == selection.runtime and selection.setting in {None, setting} for setting, runtime in compared
    ):
        raise UsageError(
            f"the outputs of {lacking[0]} in '{selection.runtime}' were imported without tensors inside the model; "
            f"'quantlab export inputs --setting {lacking[0]} --layers' writes what your program runs, and 'quantlab "
            f"import --layers' takes its tensors"
        )


def _trials(rows: Sequence[LayerRow]) -> set[tuple[str, str]]:
    """Return each setting with one runtime: Python, or the first of the study if the setting was not read there."""
    runtimes: dict[str, list[str]] = {}
    for row in rows:
        runtimes.setdefault(row.setting, []).append(row.runtime)
    return {(setting, PYTHON if PYTHON in names else names[0]) for setting, names in runtimes.items()}


def _other_runtimes(compared: Sequence[LayerRow], shown: Sequence[LayerRow]) -> list[str]:
    """Say how to see the runtimes that are left out."""
    seen = {row.runtime for row in shown}
    others = dict.fromkeys(row.runtime for row in compared if row.runtime not in seen)
    if not others:
        return []
    return [f"{NOT_SHOWN}{', '.join(others)}; --runtime NAME shows another runtime, and --runtime '*' shows all"]


def _unmatched(rows: Sequence[LayerRow]) -> list[str]:
    """List the layers and tensors without a match; a line for each reason, with the settings that share its names."""
    names: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in rows:
        if not row.aligned:
            names.setdefault((row.setting, row.runtime, row.reason or ""), {})[short_layer(row.layer)] = None
    settings: dict[tuple[str, str], dict[str, None]] = {}
    for (setting, _, reason), listed in names.items():
        settings.setdefault((reason, ", ".join(listed)), {})[setting] = None
    return [f"{', '.join(given)}: {listed} ({reason})" for (reason, listed), given in settings.items()]


def _columns(inside: Inside, *, several_runtimes: bool) -> tuple[Column, ...]:
    """Return the columns, including those of registered statistics; a single runtime is named below the table."""
    names = dict.fromkeys(name for row in inside.layers for name in row.more)
    known = [column for column in LAYERS.columns if several_runtimes or column.heading != _RUNTIME]
    return (*known, *(Column(name, _more(name)) for name in names))


def _more(name: str) -> Callable[[LayerRow], str]:
    return lambda row: number(row.more.get(name))


def _findings(rows: Sequence[Any], sources: Sequence[Source]) -> list[str]:
    """Find, for one trial, the first non-finite tensor, the first noisy one, the largest own error and growth."""
    if len({(row.setting, row.runtime) for row in rows}) != 1:
        return []
    measured = sorted((row for row in rows if row.aligned and row.channel is None), key=lambda row: row.place)
    spoiled = next((row for row in measured if row.non_finite), None)
    if spoiled is not None:
        values = counted(spoiled.non_finite, "value")
        return [f"First tensor with NaN or infinity: {short_layer(spoiled.layer)} ({spoiled.op}), {values}"]
    loud = next((row for row in measured if row.sqnr_db < _THRESHOLD_DB), None)
    findings = []
    if loud is not None:
        told = f"{short_layer(loud.layer)} ({loud.op}), {fixed(loud.sqnr_db, 1)} dB"
        findings.append(f"First tensor with an SQNR below {number(_THRESHOLD_DB)} dB: {told}")
    findings += [_source(source) for source in sources if source.setting == rows[0].setting]
    most = min(measured, key=largest_first("relative_rms_growth"), default=None)
    if most is not None and (most.relative_rms_growth or 0) > 0:
        growth = number(100 * most.relative_rms_growth, 2)
        points = f"{growth} point{'' if growth == '1' else 's'}"
        findings.append(f"Largest error growth: {short_layer(most.layer)} ({most.op}), {points} of relative RMS error")
    return findings


def _source(source: Source) -> str:
    """The op that causes most of the error, by its own error in Python."""
    return f"Source of the error: {source_in_words(source)}"
