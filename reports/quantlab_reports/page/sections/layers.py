"""Where the error is born: the layers of each setting, and the op that makes most of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.names import counted, joined
from quantlab.types import LayerRow, Source, WeightRow
from quantlab_reports.charts import CHARTS, for_page
from quantlab_reports.figures import fixed, number
from quantlab_reports.layer_lines import MOST_LINES, SAME_DB, DrawnLines, Line, drawn_lines, lines_of_layers
from quantlab_reports.layer_words import short_layer, source_in_words
from quantlab_reports.model import Selection
from quantlab_reports.page.contract import Content
from quantlab_reports.page.layer_data import LayerFacts, facts_of, layer_json
from quantlab_reports.page.markup import safe
from quantlab_reports.subject import Subject
from quantlab_reports.views.layers import layer_table

__all__ = ["layers_section"]

_WORST = 12
"""Rows of the table; 'quantlab show layers' has all."""


@dataclass(frozen=True, slots=True)
class WorstLayer:
    """A row of the table."""

    place: str
    """Line and row in the data of the chart: `0,12`; empty if the setting is not drawn."""
    facts: LayerFacts
    weights: str
    """How the weights that its op reads are stored, and their SQNR."""


def layers_section(subject: Subject) -> Content:
    """The chart of layers, and the worst ones of the setting that the page is about."""
    chart = CHARTS["layers"]
    picture, drawn = for_page(chart, subject), drawn_lines(subject)
    if picture is None or drawn is None or subject.inside is None:
        return Content(chart.absent)
    lines = lines_of_layers(subject.inside)
    about = next((one for one in lines if one.setting == subject.shown), lines[0])
    values = {
        "chart": safe(picture),
        "caption": _caption(drawn, subject),
        "data": safe(layer_json(subject, drawn)),
        "sources": [f"{one.setting}: {source_in_words(one)}." for one in subject.inside.sources],
        "worst": _worst_layers(about, drawn, subject.inside.weights),
        "about": about.name,
        "below": layer_table(subject.inside, Selection(about.setting, about.runtime)).below,
    }
    told = f"{_conclusion(about)}{_by_its_own_error(about, subject.inside.sources)}"
    return Content(told, "layers.html.jinja", values)


def _caption(drawn: DrawnLines, subject: Subject) -> str:
    told = "Lines show the accumulated error."
    if any(row.isolated_sqnr_db is not None for line in drawn.lines for row in line.rows):
        told += (
            " Points show the error that the op makes alone; where they are dense, each is the worst of its neighbours."
        )
    told += " In the band, the noise is more than 1 % of the signal."
    if any(line.first_infinite is not None for line in drawn.lines):
        told += " Crosses at the bottom are an SQNR of −∞ dB."
    if any(len(line.runtimes) > 1 for line in drawn.lines):
        told += f" Runtimes whose SQNR differ by at most {number(SAME_DB)} dB share a line."
    told += " Layers are those of the model; where an op computes several, their error is that of the last one."
    if not drawn.left_out:
        return told
    several = any(not line.alone for line in drawn.lines)
    kind = "line" if several else "setting"
    own = "the recommended setting" if subject.shown == subject.recommended else "the setting that comes closest"
    first = f"those of {own} and the {kind}s" if several else f"{own} and those"
    first = first if drawn.lines[0].setting == subject.shown else f"the {kind}s"
    return (
        f"{told} Of {counted(MOST_LINES + drawn.left_out, kind)} with an error, {MOST_LINES} are drawn: {first} "
        f"with the lowest SQNR; 'quantlab show layers' has all."
    )


def _worst_layers(about: Line, drawn: DrawnLines, weights: Sequence[WeightRow]) -> list[WorstLayer]:
    line = drawn.lines.index(about) if about in drawn.lines else None
    readers = {} if line is None else drawn.readers(about)
    read: dict[int, list[str]] = {}
    for weight in weights:
        if weight.setting == about.setting and weight.sqnr_db is not None and weight.layer in readers:
            read.setdefault(readers[weight.layer], []).append(f"{weight.dtype}: {fixed(weight.sqnr_db, 1)} dB")
    rows = sorted(enumerate(about.rows), key=lambda one: one[1].sqnr_db or 0.0)[:_WORST]
    return [
        WorstLayer("" if line is None else f"{line},{place}", facts_of(row), "; ".join(read.get(place, [])))
        for place, row in rows
    ]


def _conclusion(about: Line) -> str:
    most, infinite = about.adds_most, about.first_infinite
    name = about.setting if about.alone else f"{about.setting} in {joined(list(about.runtimes))}"
    if infinite is not None:
        told = _infinite(name, infinite)
        if most is None:
            return f"{told}."
        return (
            f"{told}. Of its layers with a finite SQNR, {short_layer(most.layer)} adds most: its SQNR is "
            f"{fixed(most.sqnr_db, 1)} dB."
        )
    if most is None:
        return f"No layer of {name} adds an error: the lowest SQNR is {fixed(about.worst, 1)} dB."
    place = about.rows.index(most)
    before = "" if not place else f"from {fixed(about.rows[place - 1].sqnr_db, 1)} "
    return (
        f"In {name}, {short_layer(most.layer)} adds most: there the SQNR goes {before}to "
        f"{fixed(most.sqnr_db, 1)} dB. The lowest of all layers is {fixed(about.worst, 1)} dB."
    )


def _by_its_own_error(about: Line, sources: Sequence[Source]) -> str:
    """The op that the warnings blame, if it is another layer than the one that adds most, and by which figure."""
    source = next((one for one in sources if one.setting == about.setting), None)
    most = about.adds_most
    if source is None or most is None or source.layer in most.layer.split(";"):
        return ""
    return (
        f" That is by the accumulated error, in which errors of earlier layers grow or cancel. By the error that an op "
        f"makes alone, with exact inputs, the source is {source_in_words(source)}."
    )


def _infinite(name: str, row: LayerRow) -> str:
    """Why the first layer with −∞ dB has that SQNR, as far as the record says."""
    layer = short_layer(row.layer)
    if row.non_finite and not row.non_finite_baseline:
        count = f"{row.non_finite:,} of {row.count:,} values are" if row.non_finite > 1 else "one value is"
        return f"{name} becomes NaN or infinite in {layer}: {count} not finite there, and the SQNR is −∞ dB"
    if row.non_finite_baseline:
        return f"The model itself is NaN or infinite in {layer}, where the SQNR of {name} is −∞ dB"
    if row.baseline_minimum == 0 == row.baseline_maximum:
        return f"The model's values in {layer} are all 0, and those of {name} are not: its SQNR is −∞ dB"
    return f"In {name}, {layer} is the first layer with an SQNR of −∞ dB"
