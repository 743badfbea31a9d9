"""`quantlab bisect`: which release of a runtime moved the outputs."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json, rendering_of
from quantlab.cli.output import print_result

__all__ = ["bisect"]


def bisect(
    study: Annotated[Path, typer.Argument(help="Folder of the study.")],
    *,
    package: Annotated[str, typer.Option(help="litert, onnxruntime, onnxruntime-web, tfjs or tensorflow.")],
    good: Annotated[str, typer.Option(help="A release whose outputs are right.")],
    bad: Annotated[str, typer.Option(help="A release whose outputs have moved; it may be the older one.")],
    setting: Annotated[
        str | None,
        typer.Option(help="Setting or given variant whose artifact is run. [default: the first quantized one it runs]"),
    ] = None,
    json: AsJson = False,
) -> int:
    """Find the release of a runtime that moved outputs.

    The command installs releases from the registries that pip and npm are configured with, each in a folder of its own
    below ~/.cache/quantlab, and runs the artifact on the samples of the study.
    """
    from quantlab.cli.progress import shown
    from quantlab.study.bisecting import BisectOptions, bisect_study
    from quantlab_reports.bisected import bisection_table
    from quantlab_reports.model import plain

    with shown() as progress:
        done = bisect_study(study, BisectOptions(package, good, bad, setting), progress=progress)
    table = bisection_table(done)
    if json:
        print_json({**plain(done), "tried": list(table.records)})
    else:
        print_result(rendering_of("terminal")(table))
    return OK
