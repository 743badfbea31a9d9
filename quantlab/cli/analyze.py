"""`quantlab analyze`: the whole job."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.named import variants_of
from quantlab.cli.options import (
    ImageOptions,
    InsideOptions,
    Model,
    ModelGroup,
    Runtimes,
    Seed,
    Settings,
    TimeLimit,
    words,
)
from quantlab.cli.spread import spread

if TYPE_CHECKING:
    from quantlab.study import AnalyzeOptions

__all__ = ["analyze", "analyze_and_print", "begin_early"]


@spread
def analyze(
    model: Model,
    data: Annotated[str, typer.Option(help="The samples: .npz, .npy, a folder of images, module:function.")],
    *,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Samples for static quantization, as --data. [default: 256 of the data, which are not scored]"
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="A .npy, .txt or .csv of labels, for data without.")] = None,
    settings: Settings = None,
    runtimes: Runtimes = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder. [default: <model>.study in this folder]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score at most this many samples, drawn, never cut.")] = None,
    seed: Seed = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples a call, where the artifact leaves it open.")] = 32,
    metric: Annotated[
        str, typer.Option(help="auto (by the labels), similarity, or what gate judges: top1, macro-f1, mae, …")
    ] = "auto",
    score_output: Annotated[
        str | None, typer.Option(help="The output that is scored, where there are several.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="NAME=FILE: measure a .tflite, .onnx or tfjs folder that you have. Repeatable."),
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback", help="Run in plain JavaScript (node-cpu, chromium-cpu) what a backend lacks an op for."
        ),
    ] = False,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    time_limit: TimeLimit = 600.0,
) -> int:
    """Convert a model, run every variant, and print the table."""
    begin_early(model, out)
    from quantlab.study import AnalyzeOptions

    options = AnalyzeOptions(
        calibration=calibration,
        labels=labels,
        settings=words(settings),
        runtimes=words(runtimes),
        variants=variants_of(variant or []),
        out=out,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        metric=metric,
        score_output=score_output,
        fallback=fallback,
        model=opening.options,
        preprocessing=image.preprocessing(data),
        time_limit=time_limit,
        **inside.options,
    )
    return analyze_and_print(model, data, options)


def begin_early(model: Path, out: Path | None) -> None:
    """Let TensorFlow be imported for the children of a new study while this program imports what it needs itself."""
    if model.exists() and model.suffix != ".onnx" and not (out or Path(f"{model.stem}.study")).exists():
        from quantlab.processes.preload import warm_up_workers

        warm_up_workers(onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0")


def analyze_and_print(model: Path, data: str, options: "AnalyzeOptions") -> int:
    """The study's table, and an exit status."""
    from quantlab.cli.progress import shown
    from quantlab.study import analyze as run
    from quantlab_reports import RENDERINGS, trial_table

    with shown() as progress:
        study = run(model, data=data, options=options, progress=progress)
    print(RENDERINGS["terminal"](trial_table(study, wide=False)))
    folder = options.out or Path(f"{model.stem}.study")
    print(f"Study kept in '{folder}'; 'quantlab show {folder} --wide' has all figures.", file=sys.stderr)
    return COULD_NOT_RUN if study.failed else OK
