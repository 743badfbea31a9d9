"""Renders a table in LaTeX, with `booktabs`."""

from dataclasses import replace

from quantlab_reports.figures import without_bar
from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_SIGNS = {"−": "$-$", "∞": r"$\infty$", "·": r"$\cdot$", "±": r"$\pm$", "→": r"$\to$", "≠": r"$\neq$", "×": r"$\times$"}
"""Characters that the standard fonts of LaTeX lack."""


def render(table: Table) -> str:
    """Return a tabular. The lines above the table become comments, because a paper has its own caption.

    Bars beside figures are left out, because fonts of LaTeX lack their characters. tabulate escapes the special
    characters of LaTeX.
    """
    cells = tuple(
        tuple(without_bar(cell) if numeric else cell for cell, numeric in zip(row, table.numeric, strict=True))
        for row in table.cells
    )
    first, *lines = grid(replace(table, cells=cells), "latex_booktabs").split("\n")
    # tabulate declares no columns for a table without rows, which LaTeX refuses.
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    tabular = "\n".join([first if cells else f"\\begin{{tabular}}{{{columns}}}", *lines])
    for sign, command in _SIGNS.items():
        tabular = tabular.replace(sign, command)
    return "\n".join([*(f"% {line}" for line in table.above), tabular])
