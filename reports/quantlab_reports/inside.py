"""What is inside the variants of a study, as rows: layers, weights, ops and the split of the loss.

JSON and CSV rows have the fields of `quantlab.types.LayerRow`, `WeightRow`, `OpRow` and `SplitRow` as their keys, which
say what each is; `tensor` with an empty name is a layer of the reference that has no tensor in the variant. A float
that JSON does not have, as the infinite decibels of a tensor without any error, is one of the strings `"Infinity"`,
`"-Infinity"` and `"NaN"`.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from tabulate import tabulate

from quantlab.errors import UsageError
from quantlab.settings import choose
from quantlab.store import json_number
from quantlab.types import LayerRow, OpRow, SplitRow, WeightRow

__all__ = ["VIEWS", "Heading", "Selection", "View", "number", "render_view", "selected"]

EMPTY = "–"
_THRESHOLD_DB = 40.0
"""Noise of 1 % of the signal."""
_QUIET_DB, _LOUD_DB = 60.0, 0.0  # between which a bar goes from nothing to full
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 6


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are shown, and in which order."""

    setting: str | None = None
    runtime: str | None = None
    sort: str | None = None
    """A key of the view's `sorts`; None is the order of execution."""
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: what stands above it, and the text of its cell."""

    text: str
    cell: Callable[[Any], str]
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """One kind of row: where its rows are, how they sort, what a table of them shows."""

    kind: type
    """What its rows are: the fields are the keys of its JSON and CSV."""
    rows: Callable[[Any], Sequence[Any]]
    sorts: Mapping[str, Callable[[Any], Any]]
    headings: tuple[Heading, ...]
    shown: Callable[[Any], bool] = lambda _: True
    """Which rows a table shows; JSON and CSV have all."""


def number(value: float | None, digits: int = 3) -> str:
    """A number as a cell: few digits, a true minus, ∞ and NaN in words.

    >>> number(0.00012345), number(None), number(-math.inf), number(12.0)
    ('0.000123', '–', '−∞', '12')
    """
    if value is None:
        return EMPTY
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def decibels(value: float | None) -> str:
    """SQNR with one digit, and a bar that is the longer the more noise there is."""
    if value is None:
        return EMPTY
    if math.isnan(value):
        return "NaN"
    text = "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:.1f}".replace("-", "−")
    return f"{text} {bar(value):{_BAR_CELLS}}"


def bar(sqnr_db: float) -> str:
    """Noise as a bar: nothing from 60 dB on, full at 0 dB and below.

    >>> bar(60.0), bar(0.0), len(bar(30.0))
    ('', '██████', 3)
    """
    share = min(max((_QUIET_DB - sqnr_db) / (_QUIET_DB - _LOUD_DB), 0.0), 1.0)
    eighths = round(share * _BAR_CELLS * len(_BAR))
    whole, rest = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[rest - 1] if rest else "")


def _share(part: int | None, of: int) -> str:
    return EMPTY if part is None or not of else f"{100 * part / of:.1f} %"


def _percent(value: float | None) -> str:
    return EMPTY if value is None else f"{100 * value:.2g} %"


def _text(field: str) -> Callable[[Any], str]:
    return lambda row: str(getattr(row, field) or "")


def _number(field: str) -> Callable[[Any], str]:
    return lambda row: number(getattr(row, field))


def _decibels(field: str) -> Callable[[Any], str]:
    return lambda row: decibels(getattr(row, field))


def _worst_first(field: str) -> Callable[[Any], float]:
    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else float(value)

    return key


def _largest_first(field: str) -> Callable[[Any], float]:
    def key(row: Any) -> float:
        value = getattr(row, field)
        return math.inf if value is None else -math.inf if math.isnan(value) else -float(value)

    return key


def _isolated_first(row: LayerRow) -> float:
    """By the worst channel: of the isolated error where there is one, else of the error as it flows."""
    return _worst_first("worst_channel_sqnr_db")(row)


def _growth(row: LayerRow) -> str:
    """What relative RMS grew by, in points: signed, since noise can shrink on its way."""
    if row.relative_rms_growth is None:
        return EMPTY
    return f"{100 * row.relative_rms_growth:+.2g} pt".replace("-", "−")


_LAYERS = View(
    kind=LayerRow,
    rows=lambda inside: inside.layers,
    sorts={
        "place": lambda row: row.place,
        "sqnr": _worst_first("sqnr_db"),
        "max": _largest_first("max_abs"),
        "mean": _largest_first("mean_abs"),
        "isolated": _isolated_first,
        "growth": _largest_first("relative_rms_growth"),
    },
    headings=(
        Heading("setting", _text("setting"), numeric=False),
        Heading("runtime", _text("runtime"), numeric=False),
        Heading("layer", _text("layer"), numeric=False),
        Heading("op", _text("op"), numeric=False),
        Heading("channel", lambda row: EMPTY if row.channel is None else str(row.channel)),
        Heading("values", lambda row: f"{row.count:,}" if row.aligned else EMPTY),
        Heading("different", lambda row: _share(row.different, row.count)),
        Heading("mean abs", _number("mean_abs")),
        Heading("max abs", _number("max_abs")),
        Heading("SQNR dB", _decibels("sqnr_db")),
        Heading("adds", _growth),
        Heading("isolated dB", _decibels("isolated_sqnr_db")),
        Heading("worst channel dB", _decibels("worst_channel_sqnr_db")),
        Heading("not aligned because", _text("reason"), numeric=False),
    ),
    shown=lambda row: row.baseline == "reference",
)

_WEIGHTS = View(
    kind=WeightRow,
    rows=lambda inside: inside.weights,
    sorts={
        "sqnr": _worst_first("sqnr_db"),
        "channel": _worst_first("worst_channel_sqnr_db"),
        "max": _largest_first("max_abs"),
        "bytes": _largest_first("size_bytes"),
    },
    headings=(
        Heading("setting", _text("setting"), numeric=False),
        Heading("weight", _text("tensor"), numeric=False),
        Heading("shape", lambda row: "×".join(str(size) for size in row.shape) or "scalar", numeric=False),
        Heading("stored", _text("dtype"), numeric=False),
        Heading("bytes", lambda row: f"{row.size_bytes:,}"),
        Heading("scales", lambda row: str(row.scales or EMPTY)),
        Heading("different", lambda row: _share(row.different, math.prod(row.shape))),
        Heading("mean abs", _number("mean_abs")),
        Heading("max abs", _number("max_abs")),
        Heading("SQNR dB", _decibels("sqnr_db")),
        Heading("worst channel dB", _decibels("worst_channel_sqnr_db")),
        Heading("to zero", lambda row: _percent(row.zeroed)),
        Heading("clipped", lambda row: _percent(row.clipped)),
        Heading("stretch", _number("outlier_stretch")),
        Heading("not compared because", _text("reason"), numeric=False),
    ),
)

_OPS = View(
    kind=OpRow,
    rows=lambda inside: inside.ops,
    sorts={"place": lambda row: row.place},
    headings=(
        Heading("setting", _text("setting"), numeric=False),
        Heading("op", _text("op"), numeric=False),
        Heading("version", lambda row: str(row.version)),
        Heading("computes in", _text("computes_in"), numeric=False),
        Heading("weights", _text("weights"), numeric=False),
        Heading("output", _text("output"), numeric=False),
    ),
)


def _steps(row: SplitRow) -> str:
    if row.measure != "rms":
        return EMPTY
    return " · ".join(number(value, 2) for value in (row.conversion_rms, row.quantization_rms, row.runtime_rms))


_SPLIT = View(
    kind=SplitRow,
    rows=lambda inside: inside.split,
    sorts={"total": _largest_first("total")},
    headings=(
        Heading("setting", _text("setting"), numeric=False),
        Heading("runtime", _text("runtime"), numeric=False),
        Heading("in", _text("measure"), numeric=False),
        Heading("preprocessing", _number("preprocessing")),
        Heading("conversion", _number("conversion")),
        Heading("quantization", _number("quantization")),
        Heading("runtime's part", _number("runtime_part")),
        Heading("= total", _number("total")),
        Heading("steps' RMS", _steps),
        Heading("missing because", _text("reason"), numeric=False),
    ),
)


VIEWS: Mapping[str, View] = {"layers": _LAYERS, "weights": _WEIGHTS, "ops": _OPS, "split": _SPLIT}
"""What `quantlab show` can show beside the table, by name."""


def render_view(inside: Any, view: View, selection: Selection, format_name: str) -> str:
    """A view as text.

    Args:
        inside: Of a study, or what else the view takes its rows from; its notes stand below.
        view: One of `VIEWS`, or another like them.
        selection: Which rows, in which order.
        format_name: `terminal`, `markdown`, `latex`, `csv` or `json`.

    Raises:
        UsageError: If the order is none of the view's, or a setting or runtime none of the rows'.
    """
    rows = selected(view, inside, selection)
    if format_name in _STYLES:
        rows = [row for row in rows if view.shown(row)]
    top = rows if selection.top is None else rows[: selection.top]
    if format_name == "json":
        return json.dumps([_plain(row) for row in top], indent=1, ensure_ascii=False, allow_nan=False)
    if format_name == "csv":
        return _comma_separated(top)
    table = _table(view, top, format_name)
    return table if format_name == "latex" else "\n".join([table, "", *_findings(view, rows), *_below(view, inside)])


def selected(view: View, inside: Any, selection: Selection) -> list[Any]:
    """The rows of a setting and runtime, in the order that is asked for; not yet only the first.

    Raises:
        UsageError: If the order is none of the view's, or a setting or runtime none of the rows'.
    """
    rows = _of(list(view.rows(inside)), "setting", selection.setting)
    rows = _of(rows, "runtime", selection.runtime)
    if selection.sort is not None:
        if selection.sort not in view.sorts:
            raise UsageError(f"there is no order '{selection.sort}'; there are {', '.join(view.sorts)}")
        rows.sort(key=view.sorts[selection.sort])
    return rows


def _of(rows: list[Any], field: str, asked: str | None) -> list[Any]:
    """Those of a setting or runtime, by name or glob.

    Raises:
        UsageError: If it names none of them, or the rows are of no runtime.
    """
    if asked is None or not rows:
        return rows
    if not hasattr(rows[0], field):
        raise UsageError(f"what is stored is the same in every {field}; leave --{field} out")
    wanted = choose(field, [asked], list(dict.fromkeys(getattr(row, field) for row in rows)))
    return [row for row in rows if getattr(row, field) in wanted]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in asdict(value).items()}
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _comma_separated(rows: Sequence[Any]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_plain(rows[0])), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: json.dumps(cell) if isinstance(cell, dict | list) else cell for key, cell in _plain(row).items()}
        )
    return text.getvalue().rstrip("\n")


_STYLES = {"terminal": "simple", "markdown": "github", "latex": "latex_booktabs"}


def _table(view: View, rows: Sequence[Any], format_name: str) -> str:
    cells = [[heading.cell(row) for heading in view.headings] for row in rows]
    kept = [
        place
        for place, _ in enumerate(view.headings)
        if not rows or any(line[place].strip() not in {"", EMPTY} for line in cells)
    ]
    return tabulate(
        [[line[place] for place in kept] for line in cells],
        headers=[view.headings[place].text for place in kept],
        tablefmt=_STYLES[format_name],
        disable_numparse=True,
        colalign=["right" if view.headings[place].numeric else "left" for place in kept] if rows else None,
    )


def _findings(view: View, rows: Sequence[Any]) -> list[str]:
    """Of one trial's layers: where infinities begin, where the noise passes a threshold, and which layer adds most."""
    if view is not _LAYERS or len({(row.setting, row.runtime) for row in rows}) != 1:
        return []
    measured = sorted((row for row in rows if row.aligned and row.channel is None), key=lambda row: row.place)
    spoiled = next((row for row in measured if row.non_finite), None)
    if spoiled is not None:
        return [f"First tensor with NaN or infinity: {spoiled.layer} ({spoiled.op}), {spoiled.non_finite:,} values"]
    loud = next((row for row in measured if row.sqnr_db < _THRESHOLD_DB), None)
    found = (
        [f"First tensor under {_THRESHOLD_DB:g} dB: {loud.layer} ({loud.op}), {loud.sqnr_db:.1f} dB"] if loud else []
    )
    most = min(measured, key=_largest_first("relative_rms_growth"), default=None)
    if most is not None and (most.relative_rms_growth or 0) > 0:
        points = 100 * most.relative_rms_growth
        found.append(f"Adds most: {most.layer} ({most.op}), {points:.2g} points of relative RMS error")
    return found


def _below(view: View, inside: Any) -> list[str]:
    notes = [f"! {note}" for note in inside.notes]
    if view is _LAYERS:
        return [
            f"On {inside.samples:,} samples, {inside.drawn}; compared with the reference's tensors of the same value",
            *notes,
        ]
    if view is _SPLIT:
        return [
            "points: of the metric, positive is worse; rms: projections on the whole error; parts add up to the total"
        ]
    return notes
