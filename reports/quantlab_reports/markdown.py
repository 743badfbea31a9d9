"""The table in GitHub's Markdown."""

from dataclasses import replace

from quantlab.types import Study
from quantlab_reports.table import Table, build, footer, heading
from quantlab_reports.terminal import grid

__all__ = ["render"]


def render(study: Study, *, wide: bool) -> str:
    """Heading, table and footer; each line of the heading and footer is an item of a list."""
    table = build(study, everything=wide)
    above = [f"- {_escaped(line)}" for line in heading(study)]
    below = [f"- {_escaped(line)}" for line in footer(study)]
    return "\n".join([*above, "", grid(_escaped_table(table), "github"), "", *below])


def _escaped_table(table: Table) -> Table:
    return replace(table, rows=tuple(tuple(map(_escaped, row)) for row in table.rows))


def _escaped(line: str) -> str:
    """Names of models and files are text, not markup."""
    for mark in "\\`*_<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
