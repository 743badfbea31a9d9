"""A table in GitHub's Markdown."""

from dataclasses import replace

from quantlab.glossary import PAGE, anchor_of
from quantlab_reports.model import Table
from quantlab_reports.renderings.grid import grid

__all__ = ["render"]


def render(table: Table) -> str:
    """The table; each line above and below it is an item of a list, and a program stands in a block of its own."""
    above = [*(f"- {_escaped(line)}" for line in table.above), ""] if table.above else []
    below = [f"- {_escaped(line)}" for line in table.below]
    terms = [f"- Terms: [{PAGE}]({PAGE}#{anchor_of('Glossary')})"] if below else []
    cells = tuple(tuple(map(_escaped, row)) for row in table.cells)
    code = ["", "```", *table.code, "```", ""] if table.code else []
    return "\n".join([*above, grid(replace(table, cells=cells), "github"), "", *below, *code, *terms]).rstrip("\n")


def _escaped(line: str) -> str:
    """Names of models and files are text, not markup."""
    for mark in "\\`*_<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
