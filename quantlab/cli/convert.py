"""`quantlab convert`: makes artifacts and measures nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.config import read_float_layers, read_preprocessing
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, Config, FloatLayers, ModelGroup, Seed, TimeLimit, Tuned, print_json, words
from quantlab.cli.output import print_result
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.types import Failure

__all__ = ["convert"]


@spread
def convert(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A .keras, .h5, .hdf5, .onnx or .tflite file, a SavedModel folder, or a TensorFlow.js model; none "
            "with --from.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to: one folder for each setting.")],
    study: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="STUDY", help="Write the artifacts of this study, instead of converting a model."
        ),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            "--settings",
            "--setting",
            help="Settings to make: comma-separated names and globs, or 'all'. [default: all that need no samples]",
        ),
    ] = None,
    float_layers: FloatLayers = None,
    tuned: Tuned = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Calibration samples for static quantization: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or "
            ".tar file, a glob or a data.toml of them, a folder of images, or module:function."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Calibrate on at most N samples: a random sample. [default: 256]")
    ] = None,
    seed: Seed = 0,
    opening: ModelGroup,
    config: Config = None,
    time_limit: TimeLimit = 600.0,
    json: AsJson = False,
) -> int:
    """Convert a model to artifacts, or write those of a study.

    They are ready to serve. The command runs and scores nothing.
    """
    from quantlab.cli.progress import shown
    from quantlab.study import AnalyzeOptions, copy_artifacts, read_tuning
    from quantlab.study import convert as run
    from quantlab.types import Failure

    if study is not None and model is None:
        _refuse_conversion(float_layers, tuned, calibration)
        made = copy_artifacts(study, words(settings), out=out)
    elif study is not None or model is None:
        raise UsageError("give either a model to convert, or --from STUDY to write the artifacts of a study")
    else:
        options = AnalyzeOptions(
            calibration=calibration,
            settings=words(settings),
            float_layers=read_float_layers(config, float_layers),
            tuned=None if tuned is None else read_tuning(tuned),
            limit=limit,
            seed=seed,
            model=opening.options,
            preprocessing=read_preprocessing(config, {}, data=calibration),
            time_limit=time_limit,
        )
        with shown() as progress:
            made = run(model, out=out, options=options, progress=progress)
    if json:
        print_json([_row(name, result) for name, result in made.items()])
    else:
        lines = [
            f"failed  {name}  {result.reason}" if isinstance(result, Failure) else f"made    {name}  {result}"
            for name, result in made.items()
        ]
        print_result("\n".join(lines))
    return COULD_NOT_RUN if any(isinstance(result, Failure) for result in made.values()) else OK


def _refuse_conversion(*options: object) -> None:
    if any(option is not None for option in options):
        raise UsageError(
            "--float-layers, --tuned and --calibration are for converting a model, and --from writes what a study has; "
            "leave them out, or give the model"
        )


def _row(name: str, result: "Path | Failure") -> dict[str, str | None]:
    """Return the result of one setting for `--json`."""
    if isinstance(result, Path):
        return {"setting": name, "path": str(result), "reason": None}
    return {"setting": name, "path": None, "reason": result.reason}
