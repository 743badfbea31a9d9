"""`quantlab show`: prints a view of a study."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, Format, StudyFolder, reports_for_terminal

__all__ = ["show"]


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="View: table, costs, runtimes, outputs, layers, weights, ops or split. "
            "For a folder: the table of that study.",
        ),
    ] = "table",
    study: StudyFolder = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    wide: Annotated[
        bool, typer.Option("--wide", help="View 'table': print all figures, one row for each trial.")
    ] = False,
    setting: Annotated[str | None, typer.Option(help="Other views: only this setting or given variant.")] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="Other views: only this runtime, by name or glob. Layers as text: '*' shows all. "
            "[default for layers: python, or the first runtime of a setting that was not read there]",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Order of the rows. Layers: place, sqnr, max, mean, isolated, growth. "
            "Outputs: sqnr, max, mean, rms. Weights: sqnr, channel, max, bytes. Ops: place. Split: total. "
            "Runtimes: max, mean, flips. "
            "Costs: size, gzip, brotli, load, first, median, p95, memory. Candidates: size, error. "
            "Duplicates: distance."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Other views: only the first N rows.")] = None,
    json: AsJson = False,
) -> int:
    """Print a table of a study that 'quantlab analyze' made.

    The command runs nothing. Views: table (scores), costs, runtimes (differences from Python), outputs (each output and
    channel), layers, weights, ops, split (which step causes the loss) and
    candidates (what 'quantlab tune' measured), duplicates (scored samples that are equal or nearly equal).
    """
    from quantlab.store import Store, find_latest
    from quantlab_reports import Selection

    reports = reports_for_terminal()
    format = "json" if json else format  # noqa: A001 (the option's name)
    reports.rendering(format)  # check names first, because this takes no time
    if what not in reports.views and study is None:
        what, study = next(iter(reports.views)), Path(what)
    reports.view(what)
    store = Store(study or find_latest(Path()))
    store.read_study()  # reports a missing or broken study before a missing view
    print(reports.show(store, what, format, Selection(setting, runtime, sort, top, wide)))
    return OK
