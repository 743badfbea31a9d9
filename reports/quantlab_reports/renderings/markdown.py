"""Renders a table in the Markdown of GitHub."""

from dataclasses import replace

from quantlab.glossary import PAGE, anchor_of
from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]


def render(table: Table) -> str:
    """Return the table. Lines above and below it are items of lists, and code is a block."""
    above = [*(f"- {_escaped(line)}" for line in table.above), ""] if table.above else []
    below = [f"- {_escaped(line)}" for line in table.below]
    terms = [f"- Terms: [{PAGE}]({PAGE}#{anchor_of('Glossary')})"] if below else []
    cells = tuple(tuple(map(_escaped, row)) for row in table.cells)
    code = ["", "```", *table.code, "```", ""] if table.code else []
    return "\n".join([*above, grid(replace(table, cells=cells), "github"), "", *below, *code, *terms]).rstrip("\n")


def _escaped(line: str) -> str:
    """Escape names of models and files, so that they are text and not markup."""
    for mark in "\\`*_<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
