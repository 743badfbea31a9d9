"""A table as plain text, for a terminal; it goes to files as it is."""

from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_NOTE_WIDTH = 60


def render(table: Table) -> str:
    """What stands above it, the table, and what stands below; rows without headings are lines among those."""
    if table.headed:
        above = [*table.above, ""] if table.above else []
        lines = [*above, grid(table, "simple", wrap=_NOTE_WIDTH), "", *table.below]
    else:
        lines = [*table.above, *_lines(table), *table.below]
    code = ["", *table.code] if table.code else []
    return "\n".join([*lines, *code]).rstrip("\n")


def _lines(table: Table) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table.cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table.cells]
