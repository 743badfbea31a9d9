"""`quantlab plot`: writes one chart of a study as a file for papers and comments; runs nothing."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.budget import BudgetOptions
from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import say
from quantlab.cli.report import subject_of
from quantlab.cli.spread import spread
from quantlab.errors import StudyError, UsageError
from quantlab.names import nearest

__all__ = ["plot"]


@spread
def plot(
    chart: Annotated[
        str, typer.Argument(metavar="CHART", help="pareto (size against loss), layers, classes or times.")
    ],
    study: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the study. [default: that of the policy, else the latest study in the current folder]",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .svg, .png or .pdf.")],
    budget: BudgetOptions,
    json: AsJson = False,
) -> int:
    """Write a chart of a study as an SVG, PNG or PDF file.

    With a budget, the allowed loss is a line and the recommended setting has a colour. The command runs nothing.
    """
    from quantlab_reports.charts import CHARTS, FILES, WIDTH

    if chart not in CHARTS:
        raise UsageError(f"there is no chart '{chart}'; {nearest(chart, CHARTS)}")
    draw = FILES.get(out.suffix.lower())
    if draw is None:
        raise UsageError(f"--out is '{out}', and charts are written as {', '.join(FILES)}; give it such a suffix")
    drawing = CHARTS[chart].draw(subject_of([study] if study else None, budget), WIDTH)
    if drawing is None:
        raise StudyError(CHARTS[chart].absent.rstrip("."))
    _refuse_other_file(out)
    try:
        out.write_bytes(draw(drawing.specification))
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file with --out") from error
    say(f"{CHARTS[chart].heading} written to '{out}'")
    if json:
        print_json({"written": str(out)})
    return OK


_MAGIC = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
"""How files of each kind begin."""


def _refuse_other_file(out: Path) -> None:
    """Refuse to write over what is no picture of the same kind, so that the same command can be run again."""
    try:
        beginning = out.read_bytes()[:4] if out.is_file() else None
    except OSError as error:
        raise UsageError(f"'{out}' cannot be read ({error.strerror}); name another file with --out") from error
    if beginning is not None and beginning != _MAGIC[out.suffix.lower()]:
        kind = out.suffix[1:].upper()
        raise UsageError(f"'{out}' exists and is no {kind} file; name another file with --out")
