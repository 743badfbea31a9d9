"""The commands and their options; what they do is one call of the Python API each."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from quantlab.cli._config import read_preprocessing
from quantlab.cli._exit import COULD_NOT_RUN, OK
from quantlab.cli._gate import accept, gate, recommend
from quantlab.cli._named import shapes_of, variants_of
from quantlab.errors import UsageError

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tells which quantization setting of a Keras or TensorFlow model you may ship to TensorFlow.js or LiteRT.",
    epilog="Exit status: 0 all was measured, 2 something could not be run. --debug anywhere shows tracebacks.",
)

Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A .keras, .h5 or .hdf5 file, or a SavedModel folder.", show_default=False),
]
Settings = Annotated[
    str | None,
    typer.Option(
        help="Settings to measure: names and globs, comma-separated; 'all'. [default: see 'quantlab settings']"
    ),
]
Runtimes = Annotated[
    str | None,
    typer.Option(help="Where to run them: names and globs, comma-separated. [default: python,node-wasm]"),
]
Out = Annotated[Path | None, typer.Option(help="The study's folder. [default: <model>.study in this folder]")]
Limit = Annotated[int | None, typer.Option(min=1, help="Score at most this many samples, drawn, never cut.")]
Seed = Annotated[int, typer.Option(min=0, help="Of every draw.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Samples a call, where the artifact leaves it open.")]
Calibration = Annotated[
    str | None,
    typer.Option(help="Samples for static quantization, as --data. [default: 256 of the data, which are not scored]"),
]
Labels = Annotated[str | None, typer.Option(help="A .npy, .txt or .csv of labels, for data without.")]
Metric = Annotated[str, typer.Option(help="auto, top1, mae, rmse or similarity; auto goes by the labels.")]
ScoreOutput = Annotated[str | None, typer.Option(help="The output that is scored, where there are several.")]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", help="NAME=FILE: measure a .tflite, .onnx or tfjs folder that you have. Repeatable."),
]
Fallback = Annotated[
    bool,
    typer.Option("--fallback", help="Run in plain JavaScript (node-cpu, chromium-cpu) what a backend lacks an op for."),
]
Signature = Annotated[str | None, typer.Option(help="The signature of a SavedModel. [default: serving_default]")]
Custom = Annotated[list[str] | None, typer.Option(help="A module that registers the model's own layers. Repeatable.")]
Unsafe = Annotated[bool, typer.Option("--unsafe", help="Run the code of Lambda layers: only for files you trust.")]
Size = Annotated[str | None, typer.Option(help="Images: HEIGHTxWIDTH. [default: the model's]")]
Resize = Annotated[str | None, typer.Option(help="Images: nearest, bilinear, bicubic, lanczos or area.")]
Colour = Annotated[str | None, typer.Option(help="Images: rgb, bgr or grey. [default: by the model's channels]")]
Scale = Annotated[float | None, typer.Option(help="Images: what 0–255 is multiplied with. [default: 1]")]
Offset = Annotated[float | None, typer.Option(help="Images: added after the scale. [default: 0]")]
Config = Annotated[Path | None, typer.Option(help="A quantlab.toml. [default: the one in this folder, if any]")]
TimeLimit = Annotated[float, typer.Option(min=1, help="Seconds that a converter or runtime may say nothing.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="INPUT=1,3,224,224: sizes that an ONNX model leaves open, batch first. Repeatable."),
]
NoLayers = Annotated[bool, typer.Option("--no-layers", help="Do not look inside the variants.")]
NoCosts = Annotated[bool, typer.Option("--no-costs", help="Do not measure load time, milliseconds and memory.")]
LayerCount = Annotated[str, typer.Option(help="Compare layers on this many of the scored samples, or 'all'.")]
Taps = Annotated[
    str | None, typer.Option(help="Compare only these layers or tensors: names and globs, comma-separated.")
]
Channels = Annotated[
    str | None, typer.Option(help="Compare these layers or tensors channel by channel too; names and globs.")
]
StudyFolder = Annotated[
    Path | None, typer.Argument(help="[default: the latest at or below this folder]", show_default=False)
]
Format = Annotated[str, typer.Option(help="terminal, markdown, csv, latex or json.")]
Wide = Annotated[bool, typer.Option("--wide", help="All figures, one row a trial.")]


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


def _print_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        print(f"quantlab {version('quantlab')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[  # its callback does all there is to do
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def analyze(
    model: Model,
    data: Annotated[str, typer.Option(help="The calibration set: .npz, .npy, a folder of images, module:function.")],
    calibration: Calibration = None,
    labels: Labels = None,
    settings: Settings = None,
    runtimes: Runtimes = None,
    out: Out = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    metric: Metric = "auto",
    score_output: ScoreOutput = None,
    variant: Variants = None,
    fallback: Fallback = False,
    signature: Signature = None,
    shape: Shapes = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    size: Size = None,
    resize: Resize = None,
    colour: Colour = None,
    scale: Scale = None,
    offset: Offset = None,
    config: Config = None,
    no_layers: NoLayers = False,
    layer_samples: LayerCount = "256",
    taps: Taps = None,
    channels: Channels = None,
    no_costs: NoCosts = False,
    time_limit: TimeLimit = 600.0,
) -> int:
    """Convert a model, run every variant, and print the table."""
    _begin_early(model, out)
    from quantlab.models import ModelOptions
    from quantlab.study import AnalyzeOptions

    declared = {"size": size, "resize": resize, "colour": colour, "scale": scale, "offset": offset}
    options = AnalyzeOptions(
        calibration=calibration,
        labels=labels,
        settings=_words(settings),
        runtimes=_words(runtimes),
        variants=variants_of(variant or []),
        out=out,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        metric=metric,
        score_output=score_output,
        fallback=fallback,
        model=ModelOptions(signature, tuple(custom or ()), unsafe, shapes_of(shape or [])),
        preprocessing=read_preprocessing(config, declared, data=data),
        layers=not no_layers,
        layer_samples=_layer_samples(layer_samples),
        taps=_words(taps),
        channels=_words(channels) or (),
        costs=not no_costs,
        time_limit=time_limit,
    )
    return _analyze(model, data, options)


def _begin_early(model: Path, out: Path | None) -> None:
    """Let TensorFlow be imported for the children of a new study while this program imports what it needs itself."""
    if model.exists() and model.suffix != ".onnx" and not (out or Path(f"{model.stem}.study")).exists():
        from quantlab.processes.preload import warm_up_workers

        warm_up_workers(onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0")


def _analyze(model: Path, data: str, options: Any) -> int:
    from quantlab.cli._progress import shown
    from quantlab.study import analyze as run
    from quantlab_reports import RENDERERS

    with shown() as progress:
        study = run(model, data=data, options=options, progress=progress)
    print(RENDERERS["terminal"](study, wide=False))
    folder = options.out or Path(f"{model.stem}.study")
    print(f"Study kept in '{folder}'; 'quantlab show {folder} --wide' has all figures.", file=sys.stderr)
    return COULD_NOT_RUN if study.failed else OK


def _layer_samples(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--layer-samples {text} is neither a number from 1 nor 'all'")
    return int(text)


@app.command()
def convert(
    model: Model,
    out: Annotated[Path, typer.Option(help="Gets a folder for each setting.")],
    settings: Annotated[
        str | None,
        typer.Option(
            help="Settings to make: names and globs, comma-separated; 'all'. [default: all that need no samples]"
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Samples for static quantization: .npz, .npy, a folder of images, module:function."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Calibrate on this many samples, drawn. [default: 256]")
    ] = None,
    seed: Seed = 0,
    signature: Signature = None,
    shape: Shapes = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    config: Config = None,
    time_limit: TimeLimit = 600.0,
) -> int:
    """Make the artifacts alone, ready to serve."""
    from quantlab.cli._progress import shown
    from quantlab.models import ModelOptions
    from quantlab.study import AnalyzeOptions
    from quantlab.study import convert as run
    from quantlab.types import Failure

    options = AnalyzeOptions(
        calibration=calibration,
        settings=_words(settings),
        limit=limit,
        seed=seed,
        model=ModelOptions(signature, tuple(custom or ()), unsafe, shapes_of(shape or [])),
        preprocessing=read_preprocessing(config, {}, data=calibration),
        time_limit=time_limit,
    )
    with shown() as progress:
        made = run(model, out=out, options=options, progress=progress)
    for name, result in made.items():
        print(f"failed  {name}  {result.reason}" if isinstance(result, Failure) else f"made    {name}  {result}")
    return COULD_NOT_RUN if any(isinstance(result, Failure) for result in made.values()) else OK


@app.command()
def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="table, costs, runtimes, layers, weights, ops or split; a study's folder is the table's.",
        ),
    ] = "table",
    study: StudyFolder = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    wide: Wide = False,
    setting: Annotated[str | None, typer.Option(help="Not the table: only this setting or given variant.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Not the table: only this runtime.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Layers: place, sqnr, max, mean, isolated, growth; weights: sqnr, channel, max, bytes; "
            "costs: size, gzip, brotli, load, first, median, p95, memory; runtimes: max, mean, flips."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Not the table: only the first so many rows.")] = None,
) -> int:
    """Print a study's table again, or what else it knows.

    Nothing is run: costs, differences between runtimes, layers, weights, ops and the split of the loss were found by
    analyze.
    """
    from quantlab.settings import nearest
    from quantlab.store import Store, find_latest
    from quantlab_reports import RENDERERS
    from quantlab_reports.costs import cost_table, render_costs
    from quantlab_reports.inside import VIEWS, Selection, render_view
    from quantlab_reports.runtimes import render_runtimes, runtime_table

    views = ["table", "costs", "runtimes", *VIEWS]
    if format not in RENDERERS:
        raise UsageError(f"there is no format '{format}'; {nearest(format, RENDERERS)}")
    if what not in views:
        if study is not None:
            raise UsageError(f"there is no view '{what}'; {nearest(what, views)}")
        what, study = "table", Path(what)
    store = Store(study or find_latest(Path()))
    record, selection = store.read_study(), Selection(setting, runtime, sort, top)
    if what == "table":
        print(RENDERERS[format](record, wide=wide))
    elif what == "costs":
        print(render_costs(cost_table(record, store.read_costs()), selection, format))
    elif what == "runtimes":
        print(render_runtimes(runtime_table(record, store.inside_or_none()), selection, format))
    else:
        print(render_view(store.read_inside(), VIEWS[what], selection, format))
    return OK


app.command()(recommend)
app.command()(gate)
app.command()(accept)


@app.command()
def settings() -> int:
    """List the settings and the runtimes there are."""
    from quantlab.cli._lists import settings_text

    print(settings_text())
    return OK


@app.command()
def doctor(
    build: Annotated[
        str | None, typer.Option("--build", help="Make what is not shipped: node-native, with your C++ compiler.")
    ] = None,
) -> int:
    """Say what works on this machine, and what mends what does not."""
    from quantlab.cli._doctor import build_runtime, examine, report

    if build is not None:
        print(build_runtime(build))
    checks = examine()
    print(report(checks))
    return 0 if all(check.works or check.optional for check in checks) else COULD_NOT_RUN


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="The study's folder. [default: quantlab-demo.study]")] = None,
    settings: Settings = None,
    runtimes: Runtimes = None,
) -> int:
    """Do the whole job on an embedded example.

    It is of scanned digits and a small convolutional model, which needs no files of yours.
    """
    from quantlab.demo import LOADER, MODEL

    _begin_early(MODEL, out or Path("quantlab-demo.study"))
    from quantlab.study import AnalyzeOptions

    options = AnalyzeOptions(
        out=out or Path("quantlab-demo.study"), settings=_words(settings), runtimes=_words(runtimes)
    )
    return _analyze(MODEL, LOADER, options)
