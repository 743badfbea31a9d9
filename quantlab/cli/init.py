"""`quantlab init`: writes a commented quantlab.toml for a model; runs nothing."""

import json as json_format
import shlex
from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, Model, print_json
from quantlab.cli.output import say
from quantlab.errors import UsageError

__all__ = ["config_text", "init"]


def init(
    model: Model,
    data: Annotated[
        str | None,
        typer.Option(
            help="Samples to score: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
            "a glob or a data.toml of them, a folder of images, or module:function."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("quantlab.toml"),
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Allow a model that does more than compute, see 'quantlab analyze'.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Write a commented quantlab.toml for a model.

    'quantlab analyze', 'gate', 'recommend' and 'check' read this file in the current folder. The command opens neither
    model nor samples, and does not write over a file.
    """
    from quantlab.models import ModelOptions, identify

    if out.exists():
        raise UsageError(f"'{out}' exists and is not written over; edit it, or name another file with --out")
    kind = identify(model, ModelOptions(unsafe=unsafe)).kind
    if data is not None:
        _refuse_absent(data)
    try:
        out.write_text(config_text(model, kind, data), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file with --out") from error
    say(f"Configuration written to '{out}'; {_next(data, out)}")
    if json:
        print_json({"written": str(out)})
    return OK


def _refuse_absent(data: str) -> None:
    """Refuse samples that are not there; a loader, `module:function`, is looked up when it is used."""
    from quantlab.samples import is_pattern

    if ":" not in data and not Path(data).exists() and not is_pattern(data):
        raise UsageError(f"there are no samples at '{data}'; give a file, a folder of images, or module:function")


def _next(data: str | None, out: Path) -> str:
    named = shlex.quote(str(out))
    config = "" if out == Path("quantlab.toml") else f" --config {named}"
    policy = "" if out == Path("quantlab.toml") else f" --policy {named}"
    filled = "name the samples in it as 'data', and" if data is None else "next:"
    return f"{filled} run 'quantlab analyze{config}' and 'quantlab gate{policy}'"


def config_text(model: Path, kind: str, data: str | None) -> str:
    """Return the content of a quantlab.toml.

    Args:
        model: Path of the model, as it is written into the file.
        kind: Kind of the model, as `Keras 3`.
        data: Samples; None leaves a line to fill in.
    """
    from quantlab.study import AnalyzeOptions
    from quantlab.study.chosen_settings import settings_for

    images = data is None or Path(data).is_dir()
    return _TEMPLATE.format(
        kind=kind,
        model=_quoted(str(model)),
        data=f"data = {_quoted(data)}" if data is not None else '# data = "test.npz"',
        settings=json_format.dumps([setting.name for setting in settings_for(AnalyzeOptions(), kind)]),
        preprocessing=_PREPROCESSING.format(mode=_mode(model, kind)) if images else "",
    )


def _mode(model: Path, kind: str) -> str:
    """The line for the key `mode`: as an example, or as what the layers and names of a Keras model suggest."""
    from quantlab.models import read_keras_config
    from quantlab.preprocessing import suggested_mode

    keras = kind.startswith("Keras") and model.is_file()
    suggestion = suggested_mode(read_keras_config(model).layers) if keras else None
    if suggestion is None:
        return '# mode = "tf"  # in place of scale and offset: also torch, caffe, or a family such as mobilenet_v2\n'
    return f"# mode = {_quoted(suggestion.mode)}  # not applied; suggested because {suggestion.reason}\n"


def _quoted(text: str) -> str:
    """Write text as a string of TOML, which has the escapes of JSON.

    Raises:
        UsageError: If it is a name of bytes that are no text, which TOML cannot hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"'{text}' is not valid UTF-8, which a TOML file needs; rename it") from error
    return json_format.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


_TEMPLATE = """\
# Read by 'quantlab analyze', 'gate', 'recommend' and 'check' in this folder; options override these keys.
# A line that begins with '# key =' shows a default or an example: remove '# ' to use it.

[analyze]
model = {model}  # {kind}
# Samples to score: a .npz file with the inputs and labels 'y', another file or a glob of several, a folder of images,
# or "module:function".
{data}
# Samples from which static quantization takes its ranges. Default: 256 of the samples, which are then not scored.
# calibration = "calibration.npz"
# labels = "labels.csv"  # if the samples have none
# The settings to measure: names and globs, see 'quantlab settings'.
# settings = {settings}
# Where to run them: 'chromium-webgl' and others need a browser, see 'quantlab doctor'.
# runtimes = ["python", "node-wasm"]
# limit = 2000  # at most so many samples, drawn at random
# seed = 0
# metric = "auto"  # from the labels
# score_output = "probabilities"  # if the model has several outputs

{preprocessing}[convert]
# Layers that stay in float: names and globs.
# float_layers = ["stem", "head*"]

[budget]
# What 'quantlab gate' allows. A loss of the metric needs labels; without them, limit the agreement or the SQNR instead.
max_accuracy_loss = "0.5pt"  # percentage points; "0.5%" is relative, "0.2mae" in the unit of a metric
# max_class_loss = "2pt"  # of any class
# min_agreement = "99%"  # samples with the same top-1 as the model
# min_sqnr = "40dB"  # of every output, against the model
# max_size = "500KB"  # as the target transfers it
target = "any"  # or "web", "web-mobile", "node", "android"
"""

_PREPROCESSING = """\
[preprocessing]
# How files of images become inputs; arrays are fed as they are.
# size = "224x224"  # height and width; default: those of the model's input
# resize = "bilinear"  # or nearest, bicubic, lanczos, area, none
# resizer = "pillow"  # whose resize: or torchvision, tf, tf-antialias, opencv, tfjs, tfjs-half-pixel, …
# aspect = "stretch"  # or crop (the centre), pad (the borders)
# colour = "rgb"  # or bgr, grey
# scale = 0.00392156862745098  # factor for pixel values from 0 to 255
# offset = 0.0  # added after scaling
{mode}# decoder = "pillow"  # or tf, opencv
# classes = ["cat", "dog"]  # names of the folders in the order of the outputs; default: sorted

"""
