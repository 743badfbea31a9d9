"""A table in LaTeX, for `booktabs`."""

from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_SIGNS = {"−": "$-$", "∞": r"$\infty$", "·": r"$\cdot$", "±": r"$\pm$", "→": r"$\to$", "≠": r"$\neq$", "×": r"$\times$"}
"""What LaTeX's standard fonts lack."""


def render(table: Table) -> str:
    """The tabular, below what stands above it as a comment; a paper has its own caption.

    tabulate escapes what LaTeX would read as commands.
    """
    tabular = grid(table, "latex_booktabs")
    for sign, command in _SIGNS.items():
        tabular = tabular.replace(sign, command)
    return "\n".join([*(f"% {line}" for line in table.above), tabular])
