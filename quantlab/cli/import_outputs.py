"""`quantlab import`: a row of outputs that an app, a device or a server wrote."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, rendering_of
from quantlab.cli.output import print_result, say
from quantlab.cli.progress import shown
from quantlab.errors import UsageError

__all__ = ["import_outputs"]


def import_outputs(
    outputs: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUTS",
            help="What the program wrote: a .npz, .npy or .jsonl file; left out with --remove.",
            show_default=False,
        ),
    ] = None,
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
    layers: Annotated[
        Path | None,
        typer.Option(
            help="Tensors inside the variant, for 'quantlab show layers': a .npz file, or a folder of .npy files.",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the row again, with its outputs.")] = False,
    json: AsJson = False,
) -> int:
    """Add a row of outputs that your app, device or server wrote.

    The program runs a variant on the samples that 'quantlab export inputs' wrote. Its outputs are scored like those of
    a runtime. They are refused if they were made from other samples or in another order. With --layers, tensors inside
    the variant are compared with the model's, too.
    """
    from quantlab.store import find_latest
    from quantlab.study.importing import ImportOptions, remove_import
    from quantlab.study.importing import import_outputs as run
    from quantlab_reports import trial_table

    if remove:
        if study is not None or samples is not None or trust_order or layers is not None:
            raise UsageError("--remove takes the study, --setting and --runtime alone; leave the others out")
        folder = outputs or find_latest(Path())
        done = remove_import(folder, setting, runtime)
    elif outputs is None:
        raise UsageError("name the file of outputs, or --remove to remove a row")
    else:
        folder = study or find_latest(Path())
        asked = ImportOptions(setting, runtime, samples, trust_order, layers)
        with shown() as progress:
            done = run(folder, outputs, asked, progress=progress)
    print_result(rendering_of("terminal", as_json=json)(trial_table(done, wide=False)))
    say(f"Row '{setting}' in '{runtime}' {'removed from' if remove else 'added to'} '{folder}'")
    return OK
