"""What the panel of a layer shows, as JSON in the page: only the settings of the chart, and the layers drawn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.names import joined
from quantlab.types import LayerRow
from quantlab_reports.charts.contract import WIDTH, WIDTH_OF_PHONES
from quantlab_reports.charts.layers import LayerAxes, plot_width
from quantlab_reports.charts.marks import HEIGHT
from quantlab_reports.figures import EMPTY, fixed, number, with_sign
from quantlab_reports.layer_lines import DrawnLines, Line
from quantlab_reports.layer_words import short_layer
from quantlab_reports.subject import Subject
from quantlab_reports.weight_figures import Histogram, WeightFigure, weight_figures

__all__ = ["LayerFacts", "facts_of", "layer_json"]

_MOST_FIGURES = 1200
"""Weights in a page, each of which takes some 250 bytes."""
_PER_LAYER = 3
"""Weights of one op, at most: its kernel, its bias and one more."""


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A layer of one setting, in words: the same in the panel and in the table."""

    layer: str
    op: str
    dtype: str
    sqnr: str
    isolated: str
    channel: str
    """The worst channel and its SQNR."""
    growth: str


def facts_of(row: LayerRow) -> LayerFacts:
    """The facts of a compared layer."""
    worst = row.worst_channel_sqnr_db
    place = "" if row.worst_channel is None else f"{row.worst_channel}: "
    growth = row.relative_rms_growth
    return LayerFacts(
        short_layer(row.layer),
        row.op,
        row.dtype,
        fixed(row.sqnr_db, 1),
        fixed(row.isolated_sqnr_db, 1),
        EMPTY if worst is None else f"{place}{fixed(worst, 1)}",
        EMPTY if growth is None else f"{with_sign(number(100 * growth, 2))} pt",
    )


def layer_json(subject: Subject, drawn: DrawnLines) -> str:
    """The lines of the chart with the facts and weights of each point, to be written into a script element."""
    axes = LayerAxes.of(drawn, 1.0)
    found = weight_figures(subject, [line.setting for line in drawn.lines])
    histograms: dict[Histogram, int] = {}
    left, lines = _MOST_FIGURES, []
    for line in drawn.lines:
        weights = _weights_by_row(line, drawn, found.figures.get(line.setting, ()))
        kept: dict[int, list[WeightFigure]] = {}
        for row, figures in weights.items():
            kept[row], left = figures[: min(left, _PER_LAYER)], left - min(len(figures), left, _PER_LAYER)
        lines.append(_line(line, drawn, axes, _Figures(kept, found.absent.get(line.setting, ""), histograms)))
    most = drawn.lines[0].marked
    document = {
        "steps": len(drawn.order),
        "widths": {"roomy": plot_width(drawn, WIDTH), "narrow": plot_width(drawn, WIDTH_OF_PHONES)},
        "height": HEIGHT,
        "first": [0, 0 if most is None else drawn.lines[0].rows.index(most)],
        "lines": lines,
        "histograms": [_histogram(one) for one in histograms],
    }
    return _for_html(document)


@dataclass(frozen=True, slots=True)
class _Figures:
    """The figures of one setting, and the histograms of all settings, which share those of float32 weights."""

    of_row: Mapping[int, Sequence[WeightFigure]]
    absent: str
    histograms: dict[Histogram, int]

    def document(self, figure: WeightFigure) -> list[Any]:
        row = figure.row
        whole = self.histograms.setdefault(figure.whole, len(self.histograms))
        return [
            row.tensor,
            "×".join(str(size) for size in row.shape),
            row.dtype,
            fixed(row.sqnr_db, 1),
            whole,
            EMPTY if row.worst_channel is None else f"{row.worst_channel}: {fixed(row.worst_channel_sqnr_db, 1)}",
            figure.worst.heights if figure.worst else "",
            figure.cells,
            figure.values,
            int(figure.of_channel),
        ]


def _line(line: Line, drawn: DrawnLines, axes: LayerAxes, figures: _Figures) -> dict[str, Any]:
    rows = []
    for number_, (place, row) in enumerate(zip(drawn.places(line), line.rows, strict=True)):
        facts = facts_of(row)
        weights = [figures.document(one) for one in figures.of_row.get(number_, ())]
        texts = [facts.layer, facts.op, facts.dtype, facts.sqnr, facts.isolated, facts.channel, facts.growth]
        own = None if row.isolated_sqnr_db is None else _part(axes.down_to(row.isolated_sqnr_db))
        rows.append([place, _part(axes.down(row)), *texts, own, *([weights] if weights else [])])
    return {
        "setting": line.setting,
        "runtime": joined(list(line.runtimes)),
        "name": line.name,
        "rows": rows,
        "absent": figures.absent,
    }


def _part(pixels: float) -> int:
    """Thousandths of the height of the chart."""
    return round(1000 * pixels / HEIGHT)


def _weights_by_row(line: Line, drawn: DrawnLines, figures: Sequence[WeightFigure]) -> dict[int, list[WeightFigure]]:
    """Row of a line → the weights that its op reads, the largest first."""
    readers = drawn.readers(line)
    found: dict[int, list[WeightFigure]] = {}
    for figure in sorted(figures, key=lambda one: -one.row.size_bytes):
        row = readers.get(figure.row.layer)
        if row is not None:
            found.setdefault(row, []).append(figure)
    return found


def _histogram(histogram: Histogram) -> list[str]:
    return [number(histogram.low), number(histogram.high), histogram.heights]


def _for_html(document: Any) -> str:
    """JSON in which no name ends the script element or begins another one."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
