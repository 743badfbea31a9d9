"""`quantlab preprocessing`: shows the declared preprocessing, or writes its code for an application."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, ImageOptions, ModelGroup, print_json
from quantlab.cli.output import print_result, say
from quantlab.cli.spread import spread
from quantlab.errors import UsageError
from quantlab.names import listed, nearest

if TYPE_CHECKING:
    from quantlab.types import Pipeline, Preprocessing, TensorSpec

__all__ = ["preprocessing"]

_SHOW, _EXPORT = "show", "export"


@spread
def preprocessing(
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION", help="show (the steps of the pipeline) or export (its code).", show_default=False
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Model whose input the pipeline fits. [default: float32, of the size that is declared]",
            show_default=False,
        ),
    ] = None,
    *,
    to: Annotated[
        str | None, typer.Option(help="export: what to write: js, js-canvas, python, kotlin or swift.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="export: new folder to write to. [default: preprocessing-<TO>]")
    ] = None,
    image: ImageOptions,
    opening: ModelGroup,
    json: AsJson = False,
) -> int:
    """Show the declared preprocessing, or write its code.

    The code comes with test vectors: images, and the tensors that quantlab makes of them. The pipeline is that of the
    options and of [preprocessing] in quantlab.toml.
    """
    from quantlab.preprocessing import pipeline_for, steps_of
    from quantlab.preprocessing.exporters import EXPORTERS, write_export

    if action not in {_SHOW, _EXPORT}:
        raise UsageError(f"there is no action '{action}'; {nearest(action, [_SHOW, _EXPORT])}")
    if action == _SHOW and (to, out) != (None, None):
        raise UsageError("--to and --out are for 'quantlab preprocessing export'; leave them out")
    if action == _EXPORT and to is None:
        raise UsageError(f"name what to write with --to: {', '.join(EXPORTERS)}")
    if to is not None and to not in EXPORTERS:
        raise UsageError(f"there is no export '{to}'; {nearest(to, EXPORTERS)}")
    declared = image.preprocessing(".")  # the current folder, so that its quantlab.toml counts
    pipeline = pipeline_for(declared, _input_of(model, opening) if model else _declared_input(declared))
    if to is None:
        _show(pipeline, steps_of(pipeline), json=json)
        return OK
    exported = write_export(EXPORTERS[to], pipeline, out or Path(f"preprocessing-{to}"))
    exporter = EXPORTERS[to]
    todo = "test it there with" if exporter.runs_alone else "add it to your application's project, and test it with"
    say(f"Preprocessing written to '{exported.folder}'; {todo} '{exporter.test}'")
    if json:
        print_json({"folder": str(exported.folder), "files": exported.files, "pipeline_sha256": pipeline.sha256})
    return OK


def _show(pipeline: "Pipeline", steps: list[str], *, json: bool) -> None:
    if json:
        print_json({**asdict(pipeline), "sha256": pipeline.sha256})
        return
    print_result("\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1)))


def _input_of(model: Path, opening: ModelGroup) -> "TensorSpec":
    from quantlab.cli.progress import shown
    from quantlab.study import model_inputs

    with shown() as progress:
        inputs = model_inputs(model, options=opening.options, progress=progress)
    if len(inputs) != 1:
        names = listed([spec.name for spec in inputs])
        raise UsageError(f"'{model}' has {len(inputs)} inputs ({names}), and a pipeline fills one; leave the model out")
    return inputs[0]


def _declared_input(declared: "Preprocessing") -> "TensorSpec":
    """The input that the declaration itself describes."""
    from quantlab.types import TensorSpec

    if declared.size is None:
        raise UsageError("the size of the input is not known; give --size HEIGHTxWIDTH, or the model")
    channels = 1 if declared.colour == "grey" else 3
    size = (channels, *declared.size) if declared.layout == "channels-first" else (*declared.size, channels)
    return TensorSpec("input", (None, *size), declared.dtype or "float32")
