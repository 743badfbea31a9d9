"""`quantlab export`: writes a study for another program, its samples, or a test for an app; runs nothing."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.budget import BudgetOptions
from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import say
from quantlab.cli.report import subject_of
from quantlab.cli.spread import spread
from quantlab.errors import UsageError
from quantlab.names import joined, nearest

__all__ = ["export"]


@spread
def export(
    program: Annotated[
        str,
        typer.Argument(
            metavar="PROGRAM",
            help="model-explorer (errors of tensors as colours of the graph), mlflow (a run for each trial), inputs "
            "(the samples as raw tensors, for 'quantlab import') or test (a golden test for your app).",
            show_default=False,
        ),
    ],
    study: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the study. [default: the latest study in the current folder or below]", show_default=False
        ),
    ] = None,
    *,
    setting: Annotated[
        str | None,
        typer.Option(
            help="The setting or given variant; of inputs, the one whose artifact takes them. "
            "[default: for inputs, the model itself]"
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="model-explorer: the runtime. [default: python, or the first that was read] test: the program that "
            "runs the test: node, vitest, jest, pytest, android or xctest."
        ),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option(
            help="model-explorer: sqnr (against the model), isolated (of each op alone) or max (largest error). "
            "[default: sqnr]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File or new folder to write. [default: model-explorer.json, inputs, layer-inputs, or golden-RUNTIME]",
        ),
    ] = None,
    tracking: Annotated[
        str | None, typer.Option(help="mlflow: folder, or address of a server. [default: where MLflow logs by itself]")
    ] = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="mlflow: show pictures of changed samples in the logged report.")
    ] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="inputs: the samples of the layer comparison, and a copy of the artifact that gives tensors.",
        ),
    ] = False,
    budget: BudgetOptions,
    json: AsJson = False,
) -> int:
    """Write a study for another program, or a test for your app.

    The command runs nothing. With a budget, mlflow gets the verdict, too.
    """
    from quantlab.store import Store, find_latest
    from quantlab_reports.exports import EXPORTS, Asked
    from quantlab_reports.subject import Subject

    if program not in EXPORTS:
        raise UsageError(f"there is no export for '{program}'; {nearest(program, EXPORTS)}")
    chosen, asked = EXPORTS[program], Asked(setting, runtime, figure, out, tracking, thumbnails or None, layers or None)
    given = [field.name for field in fields(asked) if getattr(asked, field.name) is not None]
    unread = [name for name in given if name not in chosen.options]
    if not chosen.judges:
        unread += [name for name, value in budget.given(None).items() if value is not None]
    if unread:
        options = [f"--{name.replace('_', '-')}" for name in unread]
        one = len(options) == 1
        raise UsageError(
            f"{joined(options)} {'does' if one else 'do'} not apply to '{program}'; leave {'it' if one else 'them'} out"
        )
    if chosen.judges:
        subject = subject_of([study] if study else None, budget)
    else:
        subject = Subject.of(Store(study or find_latest(Path())))
    written = chosen.write(subject, asked)
    for sentence in written.notes:
        say(sentence)
    if json:
        print_json({"program": program, "written": written.places})
    return OK
