"""Options of more than one command, alone or in groups."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantlab.cli.config import read_preprocessing
from quantlab.cli.named import shapes_of
from quantlab.cli.output import print_result
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.models import ModelOptions
    from quantlab.types import Preprocessing
    from quantlab_reports import Reports, Table

__all__ = [
    "AsJson",
    "ClassNames",
    "Config",
    "DataOrTable",
    "FloatLayers",
    "Format",
    "Group",
    "ImageOptions",
    "InsideOptions",
    "Labels",
    "Limit",
    "Model",
    "ModelGroup",
    "ModelOrTable",
    "Pipeline",
    "Runtimes",
    "ScoreOutput",
    "Seed",
    "Serving",
    "Settings",
    "Slices",
    "Store",
    "StudyFolder",
    "StudyOut",
    "TimeLimit",
    "Tuned",
    "print_json",
    "rendering_of",
    "reports_for_terminal",
    "terminal_width",
    "words",
]

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Model: a .keras, .h5, .hdf5, .onnx or .tflite file, a SavedModel folder, or a TensorFlow.js model.",
        show_default=False,
    ),
]
ModelOrTable = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Model: a .keras, .h5, .hdf5, .onnx or .tflite file, a SavedModel folder, or a TensorFlow.js model. "
        "[default: that of [analyze]]",
        show_default=False,
    ),
]
DataOrTable = Annotated[
    str | None,
    typer.Option(
        help="Samples to score: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
        "a glob or a data.toml of them, a folder of images, or module:function. [default: that of [analyze]]"
    ),
]
Settings = Annotated[
    str | None,
    typer.Option(
        help="Settings to measure: comma-separated names and globs, or 'all'. [default: see 'quantlab settings']"
    ),
]
FloatLayers = Annotated[
    str | None,
    typer.Option(
        help="Keep these layers in float, in a row NAME+float for each quantized setting: comma-separated names and "
        "globs; NAME:float16 stores their weights as half floats. [default: float_layers of [convert] in quantlab.toml]"
    ),
]
Tuned = Annotated[
    Path | None,
    typer.Option(
        help="tune.json of a study that 'quantlab tune' made: what it decided is made, too, as a row <format>-tuned."
    ),
]
Runtimes = Annotated[
    str | None,
    typer.Option(help="Runtimes to use: comma-separated names and globs, or 'all'. [default: python,node-wasm]"),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Labels for data without labels: a .npy, .txt or .csv file, a .jsonl file with a JSON value per sample, "
        "and for images a COCO .json file or a folder of masks."
    ),
]
ClassNames = Annotated[
    str | None,
    typer.Option(
        help="Names of the classes in the order of the outputs: a file with a name per line, or names separated by "
        "commas. They replace those of image folders. [default: those of image folders, or of class_names.txt or "
        "labels.txt beside the model]"
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        help="What to keep of each row: outputs, or scores (values of single samples, and sums), which need less "
        "space if samples have many outputs. [default: outputs]",
        show_default=False,
    ),
]
Slices = Annotated[
    list[str] | None,
    typer.Option(
        "--slice",
        metavar="FILE.csv:COLUMN",
        help="Column by whose values scored samples are judged like classes, see --max-slice-loss of 'quantlab gate'. "
        "The file has one row for each sample, or a column 'file' for images. Repeatable.",
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="KEY",
        help="Samples of one group are not independent, such as images of one patient. KEY is an array of the .npz "
        "file, FILE.csv:COLUMN, a regular expression with one group for names of image files, or 'duplicates' for "
        "equal and nearly equal samples. Groups are drawn and judged as a whole.",
    ),
]
Pipeline = Annotated[
    str | None,
    typer.Option(
        help="How the app makes samples of photos, such as tfjs-default or canvas: variants are fed these samples, "
        "so that the loss includes the app's preprocessing. See 'quantlab diagnose --pipelines'.",
        show_default=False,
    ),
]
Serving = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Also ask a server that speaks TensorFlow Serving's REST protocol: http://HOST:PORT/v1/models/NAME, "
        "with /versions/N for a version. It runs in the runtime serving-rest.",
    ),
]
StudyOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder of the study. [default: <model>.study in the current folder]"),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Score at most N samples: a random sample, stratified by label.")
]
ScoreOutput = Annotated[
    str | None, typer.Option(help="Name of the output to score. Required if the model has several outputs.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed for all random sampling.")]
TimeLimit = Annotated[
    float, typer.Option(min=1, help="Stop a converter or runtime that reports nothing for N seconds.")
]
Config = Annotated[
    Path | None, typer.Option(help="Configuration file. [default: quantlab.toml in the current folder, if it exists]")
]
Format = Annotated[str, typer.Option(help="Output format: terminal, markdown, csv, latex or json.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
StudyFolder = Annotated[
    Path | None,
    typer.Argument(
        help="Folder of the study. [default: the latest study in the current folder or below]", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Options that say how to open a model."""

    signature: Annotated[str | None, typer.Option(help="Signature of a SavedModel. [default: serving_default]")] = None
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape", help="Shape of an ONNX input with open sizes, batch first: INPUT=1,3,224,224. Repeatable."
        ),
    ] = None
    custom: Annotated[
        list[str] | None, typer.Option(help="Module to import first, which registers custom layers. Repeatable.")
    ] = None
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe",
            help="Allow files that do more than compute: Lambda layers, and ops that read or write files, call Python "
            "or use the network. Use it only for files you trust.",
        ),
    ] = False

    @property
    def options(self) -> "ModelOptions":
        """Return the options for the Python API; raises UsageError for an invalid shape."""
        from quantlab.models import ModelOptions

        return ModelOptions(self.signature, tuple(self.custom or ()), self.unsafe, shapes_of(self.shape or []))


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Options that say how image files become samples."""

    size: Annotated[
        str | None,
        typer.Option(help="Images: size to resize to, HEIGHTxWIDTH. [default: the size of the model's input]"),
    ] = None
    resize: Annotated[
        str | None, typer.Option(help="Images: resize method: nearest, bilinear, bicubic, lanczos, area or none.")
    ] = None
    colour: Annotated[
        str | None,
        typer.Option(help="Images: colour order, rgb, bgr or grey. [default: from the number of input channels]"),
    ] = None
    scale: Annotated[float | None, typer.Option(help="Images: factor for pixel values from 0 to 255. [default: 1]")] = (
        None
    )
    offset: Annotated[float | None, typer.Option(help="Images: number added after scaling. [default: 0]")] = None
    classes: Annotated[
        str | None,
        typer.Option(
            help="Images: names of the class folders in the order of the model's outputs, comma-separated. "
            "[default: sorted]"
        ),
    ] = None
    preprocessing_mode: Annotated[
        str | None,
        typer.Option(
            help="Images: named scale, offset and colour order, such as tf, torch, caffe, or a family of "
            "keras.applications such as mobilenet_v2."
        ),
    ] = None
    decoder: Annotated[
        str | None, typer.Option(help="Images: library that decodes the files: pillow, tf or opencv. [default: pillow]")
    ] = None
    resizer: Annotated[
        str | None,
        typer.Option(
            help="Images: library whose resize is used: pillow, torchvision, tf, tf-antialias, opencv, tfjs, "
            "tfjs-half-pixel or tfjs-align-corners. [default: pillow]"
        ),
    ] = None
    aspect: Annotated[
        str | None,
        typer.Option(help="Images: what happens to another aspect ratio: stretch, crop or pad. [default: stretch]"),
    ] = None
    shorter_side: Annotated[
        int | None, typer.Option(min=1, help="Images: pixels of the shorter side before --aspect crop.")
    ] = None
    pad_value: Annotated[
        float | None, typer.Option(help="Images: pixel value of the borders of --aspect pad. [default: 0]")
    ] = None
    central_crop: Annotated[
        float | None,
        typer.Option(help="Images: share of height and width that is kept before resizing, up to 1. [default: 1]"),
    ] = None
    layout: Annotated[
        str | None,
        typer.Option(help="Images: order of the dimensions, channels-last or channels-first. [default: channels-last]"),
    ] = None
    config: Config = None

    def preprocessing(self, data: str) -> "Preprocessing":
        """Return the options merged with quantlab.toml; raises UsageError like `read_preprocessing`."""
        declared = asdict(self)
        del declared["config"]
        declared["mode"] = declared.pop("preprocessing_mode")
        return read_preprocessing(self.config, declared, data=data)


@dataclass(frozen=True, slots=True)
class InsideOptions:
    """Options that say what to compare inside the variants, and whether to measure costs."""

    no_layers: Annotated[bool, typer.Option("--no-layers", help="Do not compare layers, weights and ops.")] = False
    layer_samples: Annotated[str, typer.Option(help="Compare layers on at most N of the scored samples, or 'all'.")] = (
        "256"
    )
    taps: Annotated[
        str | None, typer.Option(help="Compare only these layers or tensors: comma-separated names and globs.")
    ] = None
    channels: Annotated[
        str | None,
        typer.Option(help="Also compare each channel of these layers or tensors: comma-separated names and globs."),
    ] = None
    no_costs: Annotated[bool, typer.Option("--no-costs", help="Do not measure load time, run time and memory.")] = False
    timing_rounds: Annotated[
        int, typer.Option(min=1, help="Time all variants N times, each time in new processes; 3 show who is faster.")
    ] = 3

    @property
    def options(self) -> dict[str, Any]:
        """Return fields of `AnalyzeOptions`; raises UsageError for an invalid number of samples."""
        return {
            "layers": not self.no_layers,
            "layer_samples": _layer_samples(self.layer_samples),
            "taps": words(self.taps),
            "channels": words(self.channels) or (),
            "costs": not self.no_costs,
            "timing_rounds": self.timing_rounds,
        }


def _layer_samples(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--layer-samples is '{text}' and must be a positive integer or 'all'")
    return int(text)


def words(text: str | None) -> tuple[str, ...] | None:
    """Split a comma-separated option; None stays None."""
    return None if text is None else tuple(text.split(","))


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    print_result(json.dumps(value, indent=1, ensure_ascii=False))


def rendering_of(name: str, *, as_json: bool = False) -> "Callable[[Table], str]":
    """Return the rendering that `--format` names, or JSON for `--json`.

    Raises:
        UsageError: If the name is unknown.
    """
    reports = reports_for_terminal()
    return reports.rendering("json") if as_json else reports.rendering(name)


def reports_for_terminal() -> "Reports":
    """Return all views and renderings; tables fit the terminal if standard output is one."""
    from quantlab_reports import RENDERINGS, Reports
    from quantlab_reports.renderings import terminal

    width = terminal_width()
    if width is None:
        return Reports()
    return Reports(renderings={**RENDERINGS, "terminal": partial(terminal.render, width=width)})


def terminal_width() -> int | None:
    """Return the width of the terminal in characters; None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
