"""`quantlab diagnose`: why the float model answers wrongly, before quantization is blamed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import (
    AsJson,
    ClassNames,
    Format,
    ImageOptions,
    Labels,
    Model,
    ModelGroup,
    Seed,
    TimeLimit,
    print_json,
    rendering_of,
)
from quantlab.cli.output import print_result
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.study import DiagnoseOptions
    from quantlab_reports.model import Table

__all__ = ["diagnose"]


@spread
def diagnose(
    model: Model,
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Samples: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
            "a glob or a data.toml of them, a folder of images, or module:function.",
            show_default=False,
        ),
    ],
    app: Annotated[
        Path | None,
        typer.Option(
            help="Outputs of an app for the same samples in the same order: a .npz file with an array for each output "
            "of the model, by its name. With --pipelines, photos are in the order of their class folders and names."
        ),
    ] = None,
    pipelines: Annotated[
        str | None,
        typer.Option(
            help="Compare the declared preprocessing with how apps turn the same photos into samples: names and globs, "
            "separated by commas, or 'all'. A colon adds a mode or the other order of colours: tf:unit, opencv:bgr.",
            show_default=False,
        ),
    ] = None,
    labels: Labels = None,
    class_names: ClassNames = None,
    score_output: Annotated[
        str | None,
        typer.Option(help="Name of the output to compare. Required if the model has several outputs."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use at most N samples: a random sample, stratified by label. [default: 500, fewer if they are large]",
        ),
    ] = None,
    seed: Seed = 0,
    opening: ModelGroup,
    image: ImageOptions,
    time_limit: TimeLimit = 600.0,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Find out why the float model answers wrongly.

    From labels and the float model alone, the command tries other scales, colour orders, layouts and orders of classes,
    and names one only if its gain is beyond chance. With --app, it says which convention reproduces the outputs of an
    app. With --pipelines, it turns the photos of a folder into samples as apps do in Python, Node.js and a browser, and
    says how far these are from the declared ones, by which step, and what that does to the model's answers; with --app,
    too, it says which of them reproduces the outputs of the app. It converts nothing and keeps nothing.
    """
    from quantlab.cli.progress import shown
    from quantlab.study import DiagnoseOptions
    from quantlab.study import diagnose as diagnosed
    from quantlab_reports.diagnosed import diagnosis_document, diagnosis_text

    render = rendering_of(format)
    as_json = json or format == "json"
    options = DiagnoseOptions(
        app=app,
        labels=labels,
        class_names=class_names,
        score_output=score_output,
        limit=limit,
        seed=seed,
        model=opening.options,
        preprocessing=image.preprocessing(data),
        time_limit=time_limit,
    )
    if pipelines is not None:
        return _print_pipelines(model, data, pipelines, options, None if as_json else render)
    with shown() as progress:
        diagnosis = diagnosed(model, data=data, options=options, progress=progress)
    if as_json:
        print_json(diagnosis_document(diagnosis))
    else:
        print_result(diagnosis_text(diagnosis, render))
    return OK


def _print_pipelines(
    model: Path, data: str, names: str, asked: "DiagnoseOptions", render: "Callable[[Table], str] | None"
) -> int:
    """Compare pipelines and print what differs, as JSON without a rendering; returns an exit status."""
    from quantlab.cli.progress import shown
    from quantlab.study import PipelineOptions, compare_pipelines
    from quantlab_reports.pipelines import pipelines_document, pipelines_text

    if asked.labels is not None:
        raise UsageError("--pipelines compares photos, whose labels are their folders; leave --labels out")
    options = PipelineOptions(
        app=asked.app,
        class_names=asked.class_names,
        score_output=asked.score_output,
        limit=asked.limit or PipelineOptions().limit,
        seed=asked.seed,
        model=asked.model,
        preprocessing=asked.preprocessing,
        time_limit=asked.time_limit,
    )
    with shown() as progress:
        found = compare_pipelines(model, data=data, pipelines=names.split(","), options=options, progress=progress)
    if render is None:
        print_json(pipelines_document(found))
    else:
        print_result(pipelines_text(found, render))
    return OK if any(one.n for one in found.pipelines) else COULD_NOT_RUN
