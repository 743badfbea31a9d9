"""`quantlab analyze`: converts, runs, scores and prints."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.config import read_float_layers
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.named import inputs_of, variants_of
from quantlab.cli.options import (
    AsJson,
    ClassNames,
    FloatLayers,
    Group,
    ImageOptions,
    InsideOptions,
    Labels,
    Limit,
    Model,
    ModelGroup,
    Runtimes,
    ScoreOutput,
    Seed,
    Settings,
    Slices,
    StudyOut,
    TimeLimit,
    Tuned,
    rendering_of,
    words,
)
from quantlab.cli.output import print_result, say
from quantlab.cli.spread import spread
from quantlab.names import study_folder

if TYPE_CHECKING:
    from quantlab.study import AnalyzeOptions

__all__ = ["analyze", "analyze_and_print", "begin_early"]


@spread
def analyze(
    model: Model,
    data: Annotated[str, typer.Option(help="Samples to score: .npz, .npy, a folder of images, or module:function.")],
    *,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Calibration samples for static quantization, in a form that --data takes. "
            "[default: 256 samples of --data, which are then not scored]"
        ),
    ] = None,
    labels: Labels = None,
    ignore_label: Annotated[
        int | None,
        typer.Option(
            help="Label of pixels or steps that are not scored, for example padding. Labels below 0 are never scored."
        ),
    ] = None,
    class_names: ClassNames = None,
    slices: Slices = None,
    group: Group = None,
    settings: Settings = None,
    float_layers: FloatLayers = None,
    tuned: Tuned = None,
    runtimes: Runtimes = None,
    out: StudyOut = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples per call, for artifacts that accept any batch size.")
    ] = 32,
    metric: Annotated[
        str,
        typer.Option(
            help="Metric to report: auto (chosen from the labels), similarity (no labels), "
            "or a metric of 'quantlab gate': top1, macro-f1, mae, mean-iou, cer, map and others."
        ),
    ] = "auto",
    score_output: ScoreOutput = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="Also measure your own artifact. NAME=FILE, where FILE is a .tflite or .onnx file, or the folder or "
            "model.json of a tfjs model; NAME=FILE@python,node-wasm runs it in these runtimes only. Repeatable.",
        ),
    ] = None,
    variant_input: Annotated[
        list[str] | None,
        typer.Option(
            "--variant-input",
            help="NAME=raw feeds a uint8 file of --variant the pixels (0 to 255) from which the samples were computed. "
            "Repeatable.",
        ),
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="If a JavaScript backend lacks an op, run the variant on the plain JavaScript backend instead "
            "(node-cpu or chromium-cpu).",
        ),
    ] = False,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    time_limit: TimeLimit = 600.0,
    html: Annotated[Path | None, typer.Option(help="Write a report as one HTML file, see 'quantlab report'.")] = None,
    json: AsJson = False,
) -> int:
    """Convert a model, run every variant and print the results."""
    begin_early(model, out)
    from quantlab.study import AnalyzeOptions, read_tuning

    given = variants_of(variant or [])
    options = AnalyzeOptions(
        calibration=calibration,
        labels=labels,
        ignore_label=ignore_label,
        class_names=class_names,
        slices=tuple(slices or ()),
        group=group,
        settings=words(settings),
        runtimes=words(runtimes),
        variants=given.files,
        variant_runtimes=given.runtimes,
        variant_inputs=inputs_of(variant_input or []),
        out=out,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        metric=metric,
        score_output=score_output,
        fallback=fallback,
        model=opening.options,
        preprocessing=image.preprocessing(data),
        float_layers=read_float_layers(image.config, float_layers),
        tuned=None if tuned is None else read_tuning(tuned),
        time_limit=time_limit,
        **inside.options,
    )
    status = analyze_and_print(model, data, options, as_json=json)
    if html is not None:
        _write_report(out or study_folder(model), html)
    return status


def _write_report(folder: Path, html: Path) -> None:
    """Write the report, judged by the budget of a quantlab.toml if there is one."""
    from quantlab.cli.budget import BudgetOptions
    from quantlab.cli.report import subject_of
    from quantlab_reports.page import report_page, write_page

    write_page(report_page(subject_of([folder], BudgetOptions())), html)
    say(f"Report written to '{html}'")


def begin_early(model: Path, out: Path | None) -> None:
    """Start importing TensorFlow for the children of a new study while this process imports its own modules."""
    if model.exists() and model.suffix != ".onnx" and not (out or study_folder(model)).exists():
        from quantlab.processes.preload import warm_up_workers

        warm_up_workers(onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0")


def analyze_and_print(model: Path, data: str, options: "AnalyzeOptions", *, as_json: bool) -> int:
    """Analyze a model, print the study's table, and return an exit status.

    As text, the table is printed before large artifacts are compressed, and their sizes follow.
    """
    from quantlab.cli.progress import shown
    from quantlab.study import analyze as run
    from quantlab_reports import trial_table

    with shown() as progress:
        study = run(model, data=data, options=replace(options, download_sizes=as_json), progress=progress)
    print_result(rendering_of("terminal", as_json=as_json)(trial_table(study, wide=False)))
    folder = options.out or study_folder(model)
    say(f"Study saved in '{folder}'. To print all figures: quantlab show {folder} --wide")
    if not as_json:
        _print_sizes(folder)
    return OK if study.complete else COULD_NOT_RUN


def _print_sizes(folder: Path) -> None:
    """Compress the artifacts whose download sizes are not known yet, and print these."""
    from quantlab.cli.progress import shown
    from quantlab.study import measure_sizes
    from quantlab_reports.model import Column, table_of

    with shown() as progress:
        variants = measure_sizes(folder, progress=progress)
    if variants:
        columns = [
            Column("setting", lambda variant: variant.name, numeric=False),
            Column("KB", lambda variant: f"{variant.size_bytes / 1e3:,.1f}"),
            Column("gzip KB", lambda variant: f"{variant.gzip_bytes / 1e3:,.1f}"),
            Column("brotli KB", lambda variant: f"{variant.brotli_bytes / 1e3:,.1f}"),
        ]
        print_result(f"\n{rendering_of('terminal')(table_of(columns, variants))}")
