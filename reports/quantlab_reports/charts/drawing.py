"""Draws specifications with vl-convert: no browser, no network."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

from quantlab_reports.charts.contract import WIDTH, WIDTH_OF_PHONES, Chart, Drawing
from quantlab_reports.charts.palette import ON_PAPER, ON_THE_PAGE, coloured

__all__ = ["FILES", "for_page", "several_for_page"]

_Drawn = TypeVar("_Drawn")

_VERSION = "5.21"
"""Of Vega-Lite. vl-convert carries several; a newer one might draw another picture."""
_SCALE = 2.0
"""Pixels of a PNG file for each of the specification: sharp on dense screens and in print."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_OFFLINE: list[str] = []
"""Addresses from which a specification may load data: none."""

_CONFIGURATION: Mapping[str, Any] = {
    "font": _FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "@muted",
        "titleColor": "@ink",
        "gridColor": "@rule",
        "domainColor": "@rule",
        "tickColor": "@rule",
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "text": {"color": "@ink", "fontSize": 13},
}


def for_page(chart: Chart[_Drawn], subject: _Drawn) -> str | None:
    """A chart for wide and one for narrow windows, of which the style sheet shows one; None if there is none.

    Each is an `<svg>` element in the colours of the page with a text for screen readers. Marks keep their `aria-label`,
    which a script shows on hovering.
    """
    (markup,) = several_for_page(chart, [subject])
    return markup


def several_for_page(chart: Chart[_Drawn], subjects: Sequence[_Drawn]) -> list[str | None]:
    """The same for several subjects; charts that are equal are drawn once, since drawing takes long."""
    known: dict[str, str | None] = {}
    found = []
    for subject in subjects:
        drawings = {"roomy": chart.draw(subject, WIDTH), "narrow": chart.draw(subject, WIDTH_OF_PHONES)}
        key = repr(drawings)
        if key not in known:
            parts = (_element(name, one) for name, one in drawings.items() if one is not None)
            known[key] = "".join(parts) or None
        found.append(known[key])
    return found


def _element(kind: str, drawing: Drawing) -> str:
    svg = _svg(drawing.specification, ON_THE_PAGE)
    width, height = (math.ceil(float(size)) for size in re.findall(r' (?:width|height)="([\d.]+)"', svg)[:2])
    head = f'<svg class="chart {kind}" role="img" aria-label="{escape(drawing.text)}" viewBox="0 0 {width} {height}"'
    return re.sub(r"^<svg[^>]*>", f'{head} style="max-width:{width}px">', svg)


def _svg(specification: Mapping[str, Any], palette: Mapping[str, str]) -> str:
    from vl_convert import vegalite_to_svg  # a large library, which few commands need

    return str(vegalite_to_svg(_complete(specification, palette), vl_version=_VERSION, allowed_base_urls=_OFFLINE))


def _png(specification: Mapping[str, Any]) -> bytes:
    from vl_convert import vegalite_to_png

    whole = {**_complete(specification, ON_PAPER), "background": ON_PAPER["@paper"]}
    return bytes(vegalite_to_png(whole, vl_version=_VERSION, scale=_SCALE, allowed_base_urls=_OFFLINE))


def _pdf(specification: Mapping[str, Any]) -> bytes:
    from vl_convert import vegalite_to_pdf

    return bytes(vegalite_to_pdf(_complete(specification, ON_PAPER), vl_version=_VERSION, allowed_base_urls=_OFFLINE))


def _complete(specification: Mapping[str, Any], palette: Mapping[str, str]) -> dict[str, Any]:
    whole: dict[str, Any] = coloured({**specification, "config": _CONFIGURATION}, palette)
    return whole


FILES: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
    ".svg": lambda specification: _svg(specification, ON_PAPER).encode(),
    ".png": _png,
    ".pdf": _pdf,
}
"""Suffix of a file → the function that draws a specification as its bytes."""
