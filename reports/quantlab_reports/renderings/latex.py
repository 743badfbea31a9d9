"""Renders a table in LaTeX, with `booktabs`."""

from dataclasses import replace

from quantlab_reports.figures import without_bar
from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]

_SIGNS = {
    "−": "$-$",
    "∞": r"$\infty$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "≠": r"$\neq$",
    "×": r"$\times$",
    "‖": r"$\|$",
    "Σ": r"$\Sigma$",
    "√": r"$\surd$",
    "₀": "$_0$",
    "₁": "$_1$",
    "⁻": "$^{-}$",
}
"""Characters that the standard fonts of LaTeX lack."""

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\^{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\n": " ",
}
"""Characters with a meaning in LaTeX."""


def render(table: Table) -> str:
    """Return a tabular, inside a table if it has a caption or a label; LaTeX needs the package booktabs for it.

    The lines above the table become comments, because a paper has its own caption.

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
    floating = _floating(table, _with_commands(tabular))
    return "\n".join([*(f"% {line}" for line in table.above), floating])


def _floating(table: Table, tabular: str) -> str:
    """The tabular in a table with its caption above, as is usual in print; alone if it has neither."""
    if not table.caption and not table.label:
        return tabular
    caption = [f"\\caption{{{_escaped(table.caption)}}}"] if table.caption else []
    label = [f"\\label{{{table.label}}}"] if table.label else []
    return "\n".join([r"\begin{table}", r"\centering", *caption, *label, tabular, r"\end{table}"])


def _escaped(text: str) -> str:
    return _with_commands("".join(_ESCAPES.get(character, character) for character in text))


def _with_commands(text: str) -> str:
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text
