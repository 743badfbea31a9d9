"""`quantlab show`: prints a view of a study."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.addresses import brought
from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, Format, reports_for_terminal
from quantlab.errors import UsageError
from quantlab.names import excerpt, joined

__all__ = ["show"]


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="View: table, costs, runtimes, changes, samples, outputs, layers, weights, ops or split. "
            "For a folder: the table of that study.",
        ),
    ] = "table",
    study: Annotated[
        Path | None,
        typer.Argument(
            help="Folder or address (s3://…) of the study. [default: the latest study in the current folder or below]",
            show_default=False,
        ),
    ] = None,
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
            "Runtimes: max, mean, flips. Changes: worse, median, p90. Samples: change, sample. "
            "Costs: size, gzip, brotli, load, first, median, p95, memory. Candidates: size, error. "
            "Duplicates: distance."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Other views: only the first N rows.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Only these columns, in this order: comma-separated headings, or keys of the JSON; in every format."
        ),
    ] = None,
    caption: Annotated[str | None, typer.Option(help="LaTeX: caption of the table, as plain text.")] = None,
    label: Annotated[str | None, typer.Option(help="LaTeX: name for \\ref, for example tab:loss.")] = None,
    json: AsJson = False,
) -> int:
    """Print a table of a study that 'quantlab analyze' made.

    The command runs nothing. Views: table (scores), costs, runtimes (differences from Python), changes (how many
    samples become worse, and how far), samples (those that change most), outputs (each output and channel), layers,
    weights, ops, split (which step causes the loss), candidates (what 'quantlab tune' measured), duplicates (scored
    samples that are equal or nearly equal) and calibration (ranges of the calibration samples beside those of the
    scored samples).
    """
    from quantlab.store import Store, find_latest
    from quantlab_reports import Selection

    reports = reports_for_terminal()
    format = "json" if json else format  # noqa: A001 (the option's name)
    render = reports.rendering(format)  # check names first, because this takes no time
    _refuse_caption(format, caption, label)
    if what not in reports.views and study is None:
        what, study = next(iter(reports.views)), Path(what)
    reports.view(what)
    store = Store(brought(study or find_latest(Path())))
    store.read_study()  # reports a missing or broken study before a missing view
    selection = Selection(setting, runtime, sort, top, wide, columns=columns)
    print(render(replace(reports.table(store, what, selection), caption=caption or "", label=label or "")))
    return OK


def _refuse_caption(rendering: str, caption: str | None, label: str | None) -> None:
    """Refuse a caption or label where it would be ignored, and a label that LaTeX does not take."""
    given = [f"--{name}" for name, text in (("caption", caption), ("label", label)) if text is not None]
    if given and rendering != "latex":
        one = len(given) == 1
        raise UsageError(
            f"{joined(given)} {'is' if one else 'are'} for --format latex, and the format is {rendering}; leave "
            f"{'it' if one else 'them'} out"
        )
    if label is not None and not re.fullmatch(r"[A-Za-z0-9:._/+-]+", label):
        raise UsageError(
            f"--label is '{excerpt(label)}', and a name in LaTeX has letters, digits and :._/+- only; write for "
            f"example tab:loss"
        )
