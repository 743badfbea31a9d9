"""Shows a study: one file a format, and `RENDERERS`, the table that names them."""

from collections.abc import Mapping
from typing import Protocol

from quantlab.types import Study
from quantlab_reports import document, latex, markdown, spreadsheet, terminal

__all__ = ["RENDERERS", "Renderer"]


class Renderer(Protocol):
    """A member of the family: from a study to text without a newline at its end."""

    def __call__(self, study: Study, *, wide: bool) -> str:
        """Wide has every figure, one row a trial."""


RENDERERS: Mapping[str, Renderer] = {
    "terminal": terminal.render,
    "markdown": markdown.render,
    "csv": spreadsheet.render,
    "latex": latex.render,
    "json": document.render_json,
}
"""Every format of `quantlab show` by its name."""
