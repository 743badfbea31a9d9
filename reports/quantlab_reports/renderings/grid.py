"""A table without what stands above and below it, in one of tabulate's styles."""

from tabulate import tabulate

from quantlab_reports.model import NOTES, Table

__all__ = ["grid"]


def grid(table: Table, style: str, *, wrap: int | None = None) -> str:
    """The table alone in one of tabulate's styles, its cells taken as they are."""
    widths = [wrap if heading == NOTES else None for heading in table.headings] if wrap else None
    return tabulate(
        table.cells,
        headers=table.headings,
        tablefmt=style,
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric] if table.cells else None,
        maxcolwidths=widths if table.cells else None,
    )
