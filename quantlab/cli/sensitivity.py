"""`quantlab sensitivity`: which ops cause the error of a setting."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, Format, ImageOptions, ModelGroup, Seed, TimeLimit, rendering_of
from quantlab.cli.output import print_result
from quantlab.cli.spread import spread
from quantlab.errors import UsageError
from quantlab.names import joined

if TYPE_CHECKING:
    from quantlab.progress import Progress

__all__ = ["sensitivity"]


@spread
def sensitivity(
    subject: Annotated[
        Path, typer.Argument(metavar="MODEL|STUDY", help="Folder of a study, or a model.", show_default=False)
    ],
    *,
    setting: Annotated[
        str | None,
        typer.Option(
            help="The setting. [default for a study: the one whose outputs differ most; a model needs a name]"
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Samples to score; only for a model.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="Calibration samples for static quantization; only for a model.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the study that is made of a model. [default: <model>-sensitivity.study in the current "
            "folder]",
        ),
    ] = None,
    score_output: Annotated[
        str | None,
        typer.Option(help="Name of the output to score, if the model has several outputs; only for a model."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Measure errors on at most N samples: a random sample, stratified by label.")
    ] = 500,
    seed: Seed = 0,
    keep: Annotated[int, typer.Option(min=1, help="Name what keeps the N most sensitive ops in float.")] = 3,
    budget_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Begin no further op after N minutes. [default: no limit]")
    ] = None,
    opening: ModelGroup,
    image: ImageOptions,
    time_limit: TimeLimit = 600.0,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Measure which ops cause the error of a setting.

    Each op is quantized alone, and each alone is kept in float, with the format's own converter. The outputs in Python
    are compared with those of the float32 artifact. The command continues where it was stopped.
    """
    from quantlab.cli.progress import shown
    from quantlab.models import identify
    from quantlab.study import AnalyzeOptions, SensitivityOptions, analyze, measure_sensitivity, refuse_setting
    from quantlab_reports.views.sensitivity import sensitivity_table

    render = rendering_of(format, as_json=json)
    options = SensitivityOptions(setting, limit, seed, budget_minutes, keep, time_limit, opening.unsafe)

    def made(progress: "Progress") -> Path:
        if setting is None or data is None:
            identify(subject, opening.options)  # says what is wrong with it, if it is no model either
            raise UsageError(
                f"'{subject}' is no study, and for a model --setting and --data are needed: "
                f"quantlab sensitivity MODEL --data DATA --setting tflite-int8"
            )
        refuse_setting(setting)
        folder = out or Path(f"{subject.stem}-sensitivity.study")
        wanted = AnalyzeOptions(
            calibration=calibration,
            settings=(setting,),
            runtimes=("python",),
            out=folder,
            seed=seed,
            score_output=score_output,
            model=opening.options,
            preprocessing=image.preprocessing(data),
            layers=False,
            costs=False,
            time_limit=time_limit,
        )
        analyze(subject, data=data, options=wanted, progress=progress)
        return folder

    is_study = (subject / "study.json").is_file()
    if is_study:
        named = {"data": data, "calibration": calibration, "out": out, "score_output": score_output}
        opens = {name: value for name, value in asdict(opening).items() if name != "unsafe"}
        _refuse_options_of_models({**named, **opens, **asdict(image)})
    with shown() as progress:
        study = subject if is_study else made(progress)
        sensitivity = measure_sensitivity(study, options=options, progress=progress)
    print_result(render(sensitivity_table(sensitivity)))
    return COULD_NOT_RUN if any(part.reason is not None for part in sensitivity.parts) else OK


def _refuse_options_of_models(options: Mapping[str, object]) -> None:
    # 0 is a value of --scale.
    named = [name for name, value in options.items() if value is not None and value is not False and value != []]
    given = [f"--{name.replace('_', '-')}" for name in named]
    if given:
        raise UsageError(
            f"{joined(given)} {'is' if len(given) == 1 else 'are'} only for a model, and a study has its own; leave "
            f"{'it' if len(given) == 1 else 'them'} out, or name the model instead of the study"
        )
