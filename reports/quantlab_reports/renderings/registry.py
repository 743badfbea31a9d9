"""All renderings. A new rendering is a file and a line here."""

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
"""Name for `--format` → function from a table to text without a final newline."""
