"""`quantlab inspect`: the contract sheet of a model and its artifacts."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.named import variants_of
from quantlab.cli.options import (
    AsJson,
    Format,
    ImageOptions,
    ModelGroup,
    Runtimes,
    Seed,
    TimeLimit,
    print_json,
    rendering_of,
    words,
)
from quantlab.cli.output import print_result
from quantlab.cli.spread import spread

__all__ = ["inspect"]


@spread
def inspect(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL|ARTIFACT...",
            help="A model, a model and artifacts that were made from it, or artifacts alone.",
            show_default=False,
        ),
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Samples to feed: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
            "a glob or a data.toml of them, a folder of images, or module:function. [default: seeded random values]"
        ),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            "--settings",
            "--setting",
            help="Settings to convert the model to: comma-separated names and globs. "
            "[default: the float32 setting of each default format]",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Also inspect your own artifact of the model. NAME=FILE. Repeatable."),
    ] = None,
    runtimes: Runtimes = None,
    seed: Seed = 0,
    opening: ModelGroup,
    image: ImageOptions,
    time_limit: TimeLimit = 600.0,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Print what a model takes and gives, and try wrong calls.

    The command prints the contract sheet: ports, calls, and code to copy. It calls the model, its SavedModel signature
    and its artifacts with one sample and with batches, without a batch dimension, with other data types, layouts and
    names, and compares each answer with that of the right call.
    """
    from quantlab.cli.progress import shown
    from quantlab.study.inspection import InspectOptions
    from quantlab.study.inspection import inspect as run
    from quantlab_reports.inspected import sheet_document, sheet_text

    render = rendering_of(format)
    options = InspectOptions(
        data=data,
        settings=words(settings),
        runtimes=words(runtimes),
        variants=variants_of(variant or []).files,
        seed=seed,
        model=opening.options,
        preprocessing=image.preprocessing(data or ""),
        time_limit=time_limit,
    )
    with shown() as progress:
        sheet = run(subjects, options=options, progress=progress)
    if json:
        print_json(sheet_document(sheet))
    else:
        print_result(sheet_text(sheet, render))
    return COULD_NOT_RUN if any(row.failure is not None for row in sheet.artifacts) else OK
