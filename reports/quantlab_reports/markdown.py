"""The table in GitHub's Markdown."""

from quantlab.types import Study
from quantlab_reports.table import build, footer, heading
from quantlab_reports.terminal import grid

__all__ = ["render"]


def render(study: Study, *, wide: bool) -> str:
    """Heading, table and footer; each line of the heading and footer is an item of a list."""
    table = build(study, everything=wide)
    above = [f"- {_escaped(line)}" for line in heading(study)]
    below = [f"- {_escaped(line)}" for line in footer(study)]
    return "\n".join([*above, "", grid(table, "github"), "", *below])


def _escaped(line: str) -> str:
    """Names of models and files are text, not markup."""
    for mark in "\\`*_<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
