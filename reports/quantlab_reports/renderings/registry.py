"""The renderings there are; a new one is a file and a line here."""

from collections.abc import Callable, Mapping

from quantlab_reports.model import Table
from quantlab_reports.renderings import comma_separated, json_list, latex, markdown, terminal

__all__ = ["RENDERINGS"]

RENDERINGS: Mapping[str, Callable[[Table], str]] = {
    "terminal": terminal.render,
    "markdown": markdown.render,
    "csv": comma_separated.render,
    "latex": latex.render,
    "json": json_list.render,
}
"""From a table to text without a newline at its end, by the name that `--format` takes."""
