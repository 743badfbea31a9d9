"""A table as plain text, for a terminal; it goes to files as it is."""

from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_NOTE_WIDTH = 60


def render(table: Table) -> str:
    """What stands above it, the table, and what stands below."""
    above = [*table.above, ""] if table.above else []
    return "\n".join([*above, grid(table, "simple", wrap=_NOTE_WIDTH), "", *table.below]).rstrip("\n")
