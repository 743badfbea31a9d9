"""The table in LaTeX, for `booktabs`."""

from quantlab.types import Study
from quantlab_reports.table import build, heading
from quantlab_reports.terminal import grid

__all__ = ["render"]

_SIGNS = {"−": "$-$", "∞": r"$\infty$", "·": r"$\cdot$", "±": r"$\pm$", "→": r"$\to$", "≠": r"$\neq$", "×": r"$\times$"}
"""What LaTeX's standard fonts lack."""


def render(study: Study, *, wide: bool) -> str:
    """The tabular, below the heading as a comment; a paper has its own caption.

    tabulate escapes what LaTeX would read as commands.
    """
    above = [f"% {line}" for line in heading(study)]
    table = grid(build(study, everything=wide), "latex_booktabs")
    for sign, command in _SIGNS.items():
        table = table.replace(sign, command)
    return "\n".join([*above, table])
