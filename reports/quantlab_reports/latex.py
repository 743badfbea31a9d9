"""The table in LaTeX, for `booktabs`."""

from quantlab.types import Study
from quantlab_reports.table import build
from quantlab_reports.terminal import grid

__all__ = ["render"]


def render(study: Study, *, wide: bool) -> str:
    """The tabular alone; a paper has its own caption. tabulate escapes what LaTeX would read as commands."""
    return grid(build(study, everything=wide), "latex_booktabs")
