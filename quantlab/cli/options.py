"""Options of more than one command, and the groups that they come in."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantlab.cli.config import read_preprocessing
from quantlab.cli.named import shapes_of
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.models import ModelOptions
    from quantlab.types import Preprocessing
    from quantlab_reports import Table

__all__ = [
    "Config",
    "Format",
    "ImageOptions",
    "InsideOptions",
    "Model",
    "ModelGroup",
    "Runtimes",
    "Seed",
    "Settings",
    "StudyFolder",
    "TimeLimit",
    "rendering_of",
    "words",
]

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
Seed = Annotated[int, typer.Option(min=0, help="Of every draw.")]
TimeLimit = Annotated[float, typer.Option(min=1, help="Seconds that a converter or runtime may say nothing.")]
Config = Annotated[Path | None, typer.Option(help="A quantlab.toml. [default: the one in this folder, if any]")]
Format = Annotated[str, typer.Option(help="terminal, markdown, csv, latex or json.")]
StudyFolder = Annotated[
    Path | None, typer.Argument(help="[default: the latest at or below this folder]", show_default=False)
]


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """How a model is opened."""

    signature: Annotated[str | None, typer.Option(help="The signature of a SavedModel. [default: serving_default]")] = (
        None
    )
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape", help="INPUT=1,3,224,224: sizes that an ONNX model leaves open, batch first. Repeatable."
        ),
    ] = None
    custom: Annotated[
        list[str] | None, typer.Option(help="A module that registers the model's own layers. Repeatable.")
    ] = None
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run the code of Lambda layers: only for files you trust.")
    ] = False

    @property
    def options(self) -> "ModelOptions":
        """As the Python API takes them; raises UsageError where a shape is not written as it must be."""
        from quantlab.models import ModelOptions

        return ModelOptions(self.signature, tuple(self.custom or ()), self.unsafe, shapes_of(self.shape or []))


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How image files become samples."""

    size: Annotated[str | None, typer.Option(help="Images: HEIGHTxWIDTH. [default: the model's]")] = None
    resize: Annotated[str | None, typer.Option(help="Images: nearest, bilinear, bicubic, lanczos or area.")] = None
    colour: Annotated[str | None, typer.Option(help="Images: rgb, bgr or grey. [default: by the model's channels]")] = (
        None
    )
    scale: Annotated[float | None, typer.Option(help="Images: what 0–255 is multiplied with. [default: 1]")] = None
    offset: Annotated[float | None, typer.Option(help="Images: added after the scale. [default: 0]")] = None
    config: Config = None

    def preprocessing(self, data: str) -> "Preprocessing":
        """With what a quantlab.toml says; raises UsageError as `read_preprocessing`."""
        declared = asdict(self)
        del declared["config"]
        return read_preprocessing(self.config, declared, data=data)


@dataclass(frozen=True, slots=True)
class InsideOptions:
    """What is looked at inside the variants, and whether costs are measured."""

    no_layers: Annotated[bool, typer.Option("--no-layers", help="Do not look inside the variants.")] = False
    layer_samples: Annotated[str, typer.Option(help="Compare layers on this many of the scored samples, or 'all'.")] = (
        "256"
    )
    taps: Annotated[
        str | None, typer.Option(help="Compare only these layers or tensors: names and globs, comma-separated.")
    ] = None
    channels: Annotated[
        str | None, typer.Option(help="Compare these layers or tensors channel by channel too; names and globs.")
    ] = None
    no_costs: Annotated[bool, typer.Option("--no-costs", help="Do not measure load time, milliseconds and memory.")] = (
        False
    )

    @property
    def options(self) -> dict[str, Any]:
        """Fields of `AnalyzeOptions`; raises UsageError for a number of samples that is none."""
        return {
            "layers": not self.no_layers,
            "layer_samples": _layer_samples(self.layer_samples),
            "taps": words(self.taps),
            "channels": words(self.channels) or (),
            "costs": not self.no_costs,
        }


def _layer_samples(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--layer-samples {text} is neither a number from 1 nor 'all'")
    return int(text)


def words(text: str | None) -> tuple[str, ...] | None:
    """The parts of a comma-separated option."""
    return None if text is None else tuple(text.split(","))


def rendering_of(name: str) -> "Callable[[Table], str]":
    """The rendering that `--format` names.

    Raises:
        UsageError: If there is none of that name.
    """
    from quantlab_reports import Reports

    return Reports().rendering(name)
