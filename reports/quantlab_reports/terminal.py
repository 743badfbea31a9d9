"""The table for a terminal."""

from tabulate import tabulate

from quantlab.types import Study
from quantlab_reports.table import Table, build, footer, heading

__all__ = ["grid", "render"]

_NOTE_WIDTH = 60


def render(study: Study, *, wide: bool) -> str:
    """Heading, table and footer as plain text; it goes to files as it is."""
    table = build(study, everything=wide)
    return "\n".join([*heading(study), "", grid(table, "simple", wrap=_NOTE_WIDTH), "", *footer(study)])


def grid(table: Table, style: str, *, wrap: int | None = None) -> str:
    """A table in one of tabulate's styles, its cells taken as they are."""
    widths = [wrap if heading == "notes" else None for heading in table.headings] if wrap else None
    return tabulate(
        table.rows,
        headers=table.headings,
        tablefmt=style,
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric],
        maxcolwidths=widths,
    )
