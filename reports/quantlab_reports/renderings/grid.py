"""Prints the grid of a table, without the lines above and below it."""

import re
from collections.abc import Sequence

from tabulate import MIN_PADDING as HEADING_PADDING
from tabulate import tabulate

from quantlab_reports.model import Table

__all__ = ["HEADING_PADDING", "bound", "grid", "unbound"]

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(%|pt\b|dB\b|[KM]?B\b|ms\b))| (?=/ )")
_NO_BREAK = "\u00a0"


def grid(table: Table, style: str, *, widths: Sequence[int] | None = None) -> str:
    """Return the headings and cells of a table; cells are not changed.

    Args:
        table: What to print.
        style: A table format of tabulate.
        widths: The width of each column; headings and text are folded to it. None folds nothing.
    """
    cells = table.cells if table.cells else None
    # Figures fit already, and folding would strip the spaces that align them.
    text = [None if numeric else width for numeric, width in zip(table.numeric, widths or (), strict=False)]
    printed = tabulate(
        [[bound(cell) for cell in row] for row in table.cells],
        headers=[bound(heading) for heading in table.headings],
        tablefmt=style,
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric] if cells else None,
        maxcolwidths=text if widths and cells else None,
        maxheadercolwidths=[max(width - HEADING_PADDING, 1) for width in widths] if widths else None,
    )
    return unbound(printed)


def bound(text: str) -> str:
    """Use no-break spaces before units and slashes, so that folding keeps `95 %` together; `unbound` reverses it."""
    return _BEFORE_UNIT.sub(_NO_BREAK, text)


def unbound(text: str) -> str:
    """Replace no-break spaces by spaces."""
    return text.replace(_NO_BREAK, " ")
