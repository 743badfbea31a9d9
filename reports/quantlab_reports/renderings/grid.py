"""A table without what stands above and below it, in one of tabulate's styles."""

from collections.abc import Sequence

from tabulate import MIN_PADDING as HEADING_PADDING
from tabulate import tabulate

from quantlab_reports.model import Table

__all__ = ["HEADING_PADDING", "grid"]


def grid(table: Table, style: str, *, widths: Sequence[int] | None = None) -> str:
    """The table alone in one of tabulate's styles, its cells taken as they are.

    Args:
        table: What to print.
        style: A name of tabulate's.
        widths: The width of each column, to which headings and text are folded; None folds nothing.
    """
    cells = table.cells if table.cells else None
    # Figures fit already, and folding would strip the spaces that align them.
    text = [None if numeric else width for numeric, width in zip(table.numeric, widths or (), strict=False)]
    return tabulate(
        table.cells,
        headers=table.headings,
        tablefmt=style,
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric] if cells else None,
        maxcolwidths=text if widths and cells else None,
        maxheadercolwidths=[max(width - HEADING_PADDING, 1) for width in widths] if widths else None,
    )
