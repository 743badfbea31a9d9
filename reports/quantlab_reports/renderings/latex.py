"""Renders a table in LaTeX, with `booktabs`."""

from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_SIGNS = {"−": "$-$", "∞": r"$\infty$", "·": r"$\cdot$", "±": r"$\pm$", "→": r"$\to$", "≠": r"$\neq$", "×": r"$\times$"}
"""Characters that the standard fonts of LaTeX lack."""


def render(table: Table) -> str:
    """Return a tabular. The lines above the table become comments, because a paper has its own caption.

    tabulate escapes the special characters of LaTeX.
    """
    tabular = grid(table, "latex_booktabs")
    for sign, command in _SIGNS.items():
        tabular = tabular.replace(sign, command)
    return "\n".join([*(f"% {line}" for line in table.above), tabular])
