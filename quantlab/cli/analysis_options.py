"""The options of `quantlab analyze`, which the tables of `quantlab batch` take as keys, too."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantlab.cli.analyze_table import ANALYZE_KEYS, Analyzed
from quantlab.cli.config import read_float_layers
from quantlab.cli.named import inputs_of, variants_of
from quantlab.cli.options import (
    ClassNames,
    FloatLayers,
    Group,
    ImageOptions,
    InsideOptions,
    Labels,
    Limit,
    ModelGroup,
    Pipeline,
    Runtimes,
    ScoreOutput,
    Serving,
    Settings,
    Slices,
    Tuned,
)

if TYPE_CHECKING:
    from quantlab.study import AnalyzeOptions

__all__ = ["AnalysisGroup", "Scored", "analyze_options"]

Scored = Annotated[
    str,
    typer.Option(
        help="Samples to score: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
        "a glob or a data.toml of them, a folder of images, or module:function."
    ),
]


@dataclass(frozen=True, slots=True)
class AnalysisGroup:
    """Options that say what is measured, on which samples."""

    calibration: Annotated[
        str | None,
        typer.Option(
            help="Calibration samples for static quantization, in a form that --data takes. "
            "[default: 256 samples of --data, which are then not scored]"
        ),
    ] = None
    labels: Labels = None
    ignore_label: Annotated[
        int | None,
        typer.Option(
            help="Label of pixels or steps that are not scored, for example padding. Labels below 0 are never scored."
        ),
    ] = None
    class_names: ClassNames = None
    slices: Slices = None
    group: Group = None
    settings: Settings = None
    float_layers: FloatLayers = None
    tuned: Tuned = None
    runtimes: Runtimes = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the study, or its address s3://BUCKET/NAME, through which workers get what they need. "
            "[default: <model>.study in the current folder]",
        ),
    ] = None
    limit: Limit = None
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for all random sampling. [default: 0]", show_default=False)
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Samples per call, for artifacts that accept any batch size. [default: 32]"),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric to report: auto (chosen from the labels), similarity (no labels), "
            "or a metric of 'quantlab gate': top1, macro-f1, mae, mean-iou, cer, map and others. "
            "[default: auto]"
        ),
    ] = None
    score_output: ScoreOutput = None
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="Also measure your own artifact. NAME=FILE, where FILE is a .tflite or .onnx file, the folder or "
            "model.json of a tfjs model, or the folder of a SavedModel; NAME=FILE@python,node-wasm runs it in these "
            "runtimes only. Repeatable.",
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="Compare MODEL, which is an artifact, with this model or float artifact. [default: MODEL itself]",
            show_default=False,
        ),
    ] = None
    variant_input: Annotated[
        list[str] | None,
        typer.Option(
            "--variant-input",
            help="NAME=raw feeds a uint8 file of --variant the pixels (0 to 255) from which the samples were computed. "
            "Repeatable.",
        ),
    ] = None
    serving: Serving = None
    pipeline: Pipeline = None
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="If a JavaScript backend lacks an op, run the variant on the plain JavaScript backend instead "
            "(node-cpu or chromium-cpu).",
        ),
    ] = False

    @property
    def keys(self) -> dict[str, Any]:
        """What was given of it, by the keys of `[analyze]`; None is an option that was not given."""
        own = {key: getattr(self, key) for key in ANALYZE_KEYS if hasattr(self, key)}
        return {**own, "study": self.out, "slices": self.slices or None}


def analyze_options(
    what: Analyzed, asked: AnalysisGroup, *, opening: ModelGroup, image: ImageOptions, inside: InsideOptions
) -> "AnalyzeOptions":
    """Return the options for the Python API; raises UsageError where one is invalid."""
    from quantlab.study import AnalyzeOptions, read_tuning

    given = variants_of(asked.variant or [])
    return AnalyzeOptions(
        variants=given.files,
        variant_runtimes=given.runtimes,
        variant_inputs=inputs_of(asked.variant_input or []),
        out=what.study,
        fallback=asked.fallback,
        model=opening.options,
        preprocessing=image.preprocessing(what.data),
        float_layers=read_float_layers(image.config, asked.float_layers),
        tuned=None if asked.tuned is None else read_tuning(asked.tuned),
        **what.options,
        **inside.options,
    )
