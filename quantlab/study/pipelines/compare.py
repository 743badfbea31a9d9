"""From a model and photos to the differences of pipelines: the same files, crop and values, but other libraries."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quantlab.models import identify
from quantlab.pipelines import ChosenPipeline, StepRun, chosen_pipelines
from quantlab.preprocessing import described, pipeline_for
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples.source import only_input
from quantlab.study.app_outputs import names_of_app
from quantlab.study.context import Context, open_model, temporary_context
from quantlab.study.naming import as_named
from quantlab.study.options import AnalyzeOptions
from quantlab.study.pipelines.answers import Answering
from quantlab.study.pipelines.app import app_photos
from quantlab.study.pipelines.block import BlockSteps
from quantlab.study.pipelines.comparing import Comparing
from quantlab.study.pipelines.options import PipelineOptions
from quantlab.study.pipelines.photos import Photos, photos_of
from quantlab.study.pipelines.swaps import swaps_of
from quantlab.study.task import scored_output
from quantlab.types import Pipeline, PipelineComparison

__all__ = ["compare_pipelines"]


def compare_pipelines(
    model: str | Path,
    *,
    data: str,
    pipelines: Sequence[str],
    options: PipelineOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> PipelineComparison:
    """Turn photos into tensors by several pipelines, and compare each with the declared preprocessing.

    Only the float model runs, in Python, on the tensors of each pipeline. Nothing is kept. A file that a library
    cannot decode costs only its own row.

    Args:
        model: A `.keras`, `.h5` or `.hdf5` file, a SavedModel folder, or an `.onnx` file.
        data: A folder of photos, with or without class folders.
        pipelines: Names and globs, each with modifiers behind colons: `canvas`, `tfjs-*`, `opencv:bgr`, `tf:unit`.
        options: Everything else.
        progress: Receives events; nothing is printed.
        registries: The known pipelines, formats, runtimes and converters.

    Raises:
        QuantlabError: If the model, the data or an option is invalid, the model cannot be run, or there are more class
            folders than classes of its output.
    """
    options, progress = options or PipelineOptions(), progress or Silent()
    chosen = chosen_pipelines(pipelines, registries.pipelines)
    if options.app is not None:
        names_of_app(options.app)
    file = identify(Path(model), options.model)
    named = as_named(file.path, data, options.preprocessing, given=options.class_names, warn=progress.warn)
    options = replace(options, preprocessing=named)
    photos = photos_of(data, classes=named.classes, limit=options.limit, seed=options.seed)
    asked = AnalyzeOptions(seed=options.seed, model=options.model, time_limit=options.time_limit)
    with temporary_context(file, asked, progress, registries) as context:
        comparing, declared = _opened(context, photos, chosen, data, options)
        comparing.run(photos)
        return comparing.result(photos, data, chosen, described(declared, named))


def _opened(
    context: Context, photos: Photos, chosen: Sequence[ChosenPipeline], data: str, options: PipelineOptions
) -> tuple[Comparing, Pipeline]:
    """Open the model; returns the comparison, and the declared preprocessing for the model's input."""
    opened = open_model(context)
    description = opened.description
    spec = only_input(description.inputs, text=data, kind="a folder of images")
    declared = pipeline_for(options.preprocessing, spec)
    swaps = {one.name: swaps_of(one, declared) for one in chosen}
    output = scored_output(description, options.score_output).name
    others = {other.name for other in description.outputs} - {output}
    app = None if options.app is None else app_photos(options.app, output, others=others, photos=photos, data=data)
    run = StepRun(context.pool, context.store.work, {})
    apps = tuple({one.app.name: one.app for one in chosen}.values())
    answering = Answering(context, opened, declared, options.score_output, photos.labels, app)
    return Comparing(context, declared, swaps, BlockSteps(run, declared, apps), answering), declared
