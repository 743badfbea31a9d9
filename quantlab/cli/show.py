"""`quantlab show`: what a study knows, again."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import Format, StudyFolder

__all__ = ["show"]


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="table, costs, runtimes, layers, weights, ops or split; a study's folder is the table's.",
        ),
    ] = "table",
    study: StudyFolder = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    wide: Annotated[bool, typer.Option("--wide", help="All figures, one row a trial.")] = False,
    setting: Annotated[str | None, typer.Option(help="Not the table: only this setting or given variant.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Not the table: only this runtime.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Layers: place, sqnr, max, mean, isolated, growth; weights: sqnr, channel, max, bytes; "
            "costs: size, gzip, brotli, load, first, median, p95, memory; runtimes: max, mean, flips."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Not the table: only the first so many rows.")] = None,
) -> int:
    """Print a study's table again, or what else it knows.

    Nothing is run: costs, differences between runtimes, layers, weights, ops and the split of the loss were found by
    analyze.
    """
    from quantlab.store import Store, find_latest
    from quantlab_reports import Reports, Selection

    reports = Reports()
    reports.rendering(format)  # names first: they cost nothing
    if what not in reports.views and study is None:
        what, study = next(iter(reports.views)), Path(what)
    reports.view(what)
    store = Store(study or find_latest(Path()))
    store.read_study()  # whose absence or fault is told before a view's
    print(reports.show(store, what, format, Selection(setting, runtime, sort, top, wide)))
    return OK
