"""Renders a table as plain text, for terminals and files."""

from quantlab.glossary import HINT
from quantlab_reports.model import Table
from quantlab_reports.renderings.fitting import parts_of, wrapped
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]


def render(table: Table, *, width: int | None = None) -> str:
    """The lines above a table, the table, the lines below, and where its terms are explained.

    Rows without headings are lines among those above and below. Code comes last, so that it can be cut off and run.

    Args:
        table: What to print.
        width: Of the terminal, in characters; None prints as wide as needed.
    """
    above = [part for line in table.above for part in wrapped(line, width)]
    below = [part for line in table.below for part in wrapped(line, width)]
    if table.headed:
        grids = "\n\n".join(grid(part.table, "simple", widths=part.widths) for part in parts_of(table, width))
        lines = [*above, *([""] if above else []), grids, ""]
    else:
        lines = [*above, *_lines(table, width)]
    if table.code and not table.cells:  # a title and its code, without terms
        return "\n".join([*above, *below, "", *table.code])
    end = [HINT, *below, "", *table.code] if table.code else [*below, HINT]
    return "\n".join([*lines, *end])


def _lines(table: Table, width: int | None) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table.cells, strict=True)]
    indent = sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table.cells]
    return [part for line in lines for part in wrapped(line, width, indent)]
