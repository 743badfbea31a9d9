"""`quantlab import`: a row of outputs that an app, a device or a server wrote."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, rendering_of
from quantlab.cli.output import print_result, say

__all__ = ["import_outputs"]


def import_outputs(
    outputs: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUTS",
            help="What the program wrote: a .npz, .npy or .jsonl file.",
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
    runtime: Annotated[str, typer.Option(help="Name of the program in the table, for example my-app.")],
    setting: Annotated[str, typer.Option(help="Setting or given variant whose artifact the program ran.")],
    samples: Annotated[
        str | None,
        typer.Option(
            help="SHA-256 of the samples, at least the 12 digits below the table, for a file that does not hold it."
        ),
    ] = None,
    trust_order: Annotated[
        bool, typer.Option("--trust-order", help="Take a file that does not say from which samples it was made.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Add a row of outputs that your app, device or server wrote.

    The program runs a variant on the samples that 'quantlab export inputs' wrote. Its outputs are scored like those of
    a runtime. They are refused if they were made from other samples or in another order.
    """
    from quantlab.store import find_latest
    from quantlab.study.importing import ImportOptions
    from quantlab.study.importing import import_outputs as run
    from quantlab_reports import trial_table

    folder = study or find_latest(Path())
    done = run(folder, outputs, ImportOptions(setting, runtime, samples, trust_order))
    print_result(rendering_of("terminal", as_json=json)(trial_table(done, wide=False)))
    say(f"Row '{setting}' in '{runtime}' added to '{folder}'")
    return OK
