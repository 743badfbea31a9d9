"""Where the error is born: the layers of each setting, and the op that makes most of it."""

from quantlab_reports.charts import CHARTS, for_page
from quantlab_reports.charts.layers import Line, lines_of_layers
from quantlab_reports.figures import fixed
from quantlab_reports.layer_words import short_layer, source_in_words
from quantlab_reports.model import Selection
from quantlab_reports.page.contract import Content
from quantlab_reports.page.markup import safe
from quantlab_reports.subject import Subject
from quantlab_reports.views.layers import layer_table

__all__ = ["layers_section"]

_WORST = 12
"""Rows of the table; 'quantlab show layers' has all."""


def layers_section(subject: Subject) -> Content:
    """The chart of layers, and the worst ones of the setting that the page is about."""
    chart = CHARTS["layers"]
    drawn = for_page(chart, subject)
    if drawn is None or subject.inside is None:
        return Content(chart.absent)
    lines = lines_of_layers(subject.inside)
    about = next((one for one in lines if one.setting == subject.recommended), lines[0])
    table = layer_table(subject.inside, Selection(about.setting, about.runtime, "sqnr", _WORST))
    sources = [f"{one.setting}: {source_in_words(one)}." for one in subject.inside.sources]
    values = {"chart": safe(drawn), "table": table, "about": about.setting, "sources": sources, "lead": _LEAD}
    return Content(_conclusion(about), "layers.html.jinja", values)


_LEAD = "Most of the error that an op makes alone, with inputs from the float32 graph:"


def _conclusion(about: Line) -> str:
    most = about.adds_most
    if most is None:
        return f"No layer of {about.setting} adds an error: the lowest SQNR is {fixed(about.worst, 1)} dB."
    place = about.rows.index(most)
    before = "" if not place else f"from {fixed(about.rows[place - 1].sqnr_db, 1)} "
    return (
        f"In {about.setting}, {short_layer(most.layer)} adds most: there the SQNR goes {before}to "
        f"{fixed(most.sqnr_db, 1)} dB. The lowest of all layers is {fixed(about.worst, 1)} dB."
    )
