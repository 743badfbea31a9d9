"""`quantlab tune`: the smallest artifact that keeps a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.analyze import begin_early
from quantlab.cli.exit_status import BREAKS, INCONCLUSIVE, OK
from quantlab.cli.options import (
    AsJson,
    ImageOptions,
    InsideOptions,
    Model,
    ModelGroup,
    Runtimes,
    Seed,
    Settings,
    TimeLimit,
    rendering_of,
    words,
)
from quantlab.cli.output import print_result, say
from quantlab.cli.policy import read_policy
from quantlab.cli.spread import spread
from quantlab.names import study_folder

if TYPE_CHECKING:
    from quantlab.study import Tuned
    from quantlab.types import Budget

__all__ = ["tune"]


@spread
def tune(
    model: Model,
    data: Annotated[
        str,
        typer.Option(
            help="Samples: .npz, .npy, a folder of images, or module:function. A third of them, at most 1,000, are "
            "searched on; the others are for the verdict."
        ),
    ],
    *,
    target: Annotated[
        str | None,
        typer.Option(
            help="Where the model will run: web, web-mobile, node, android or any; it decides which formats are tuned "
            "and which size counts. [default: any]"
        ),
    ] = None,
    max_accuracy_loss: Annotated[
        str | None,
        typer.Option(help="Largest allowed loss of the metric: 0.5pt (percentage points) or 0.5% (relative)."),
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Largest allowed size, as the target transfers it: 500KB, 2MiB.")
    ] = None,
    min_agreement: Annotated[
        str | None, typer.Option(help="Smallest allowed share of samples with the same top-1 as the model: 99%.")
    ] = None,
    min_sqnr: Annotated[
        list[str] | None,
        typer.Option("--min-sqnr", metavar="DB", help="Smallest allowed SQNR against the model, without labels: 40dB."),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="One-sided confidence of the bounds that decide. [default: 0.95]")
    ] = None,
    leave_out_non_finite: Annotated[
        bool | None,
        typer.Option(
            "--leave-out-non-finite",
            help="Judge without samples on which the model itself is NaN or infinite; otherwise they are an error.",
        ),
    ] = None,
    allow_poor_reference: Annotated[
        bool | None,
        typer.Option("--allow-poor-reference", help="Judge although the model itself is no better than guessing."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a [budget] table. [default: quantlab.toml in the current folder, if it exists]"
        ),
    ] = None,
    budget_minutes: Annotated[
        float, typer.Option(min=0.01, help="End the search after N minutes with the best so far.")
    ] = 10.0,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Samples by which weights are rounded, and for static quantization; labels are not needed. "
            "[default: 256 samples of --data, which are then not scored]"
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels for data without labels: a .npy, .txt or .csv file.")
    ] = None,
    settings: Settings = None,
    runtimes: Runtimes = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the study. [default: <model>.study in the current folder]"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Score at most N samples: a random sample, stratified by label.")
    ] = None,
    seed: Seed = 0,
    metric: Annotated[str, typer.Option(help="Metric of the loss, as for 'quantlab analyze'.")] = "auto",
    score_output: Annotated[
        str | None, typer.Option(help="Name of the output to score. Required if the model has several outputs.")
    ] = None,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    time_limit: TimeLimit = 600.0,
    json: AsJson = False,
) -> int:
    """Search the smallest artifact that keeps a budget.

    Weights of TensorFlow.js are stored in 2 to 8 bits, rounded by the calibration samples. TFLite and ONNX files keep
    some ops in float. What is found is measured beside the official settings, on samples that the search did not see.
    The command continues where it was stopped.
    """
    begin_early(model, out)
    from quantlab.cli.progress import shown
    from quantlab.study import AnalyzeOptions, TuneOptions
    from quantlab.study import tune as run

    given = {
        "target": target,
        "max_accuracy_loss": max_accuracy_loss,
        "max_size": max_size,
        "min_agreement": min_agreement,
        "min_sqnr": min_sqnr,
        "confidence": confidence,
        "runtimes": runtimes,
        "leave_out_non_finite": leave_out_non_finite,
        "allow_poor_reference": allow_poor_reference,
    }
    budget = read_policy(policy, given).budget
    options = AnalyzeOptions(
        calibration=calibration,
        labels=labels,
        settings=words(settings),
        runtimes=words(runtimes),
        out=out,
        limit=limit,
        seed=seed,
        metric=metric,
        score_output=score_output,
        model=opening.options,
        preprocessing=image.preprocessing(data),
        time_limit=time_limit,
        **inside.options,
    )
    with shown() as progress:
        tuned = run(model, data=data, search=TuneOptions(budget, budget_minutes), options=options, progress=progress)
    return _print(tuned, out or study_folder(model), budget, as_json=json)


def _print(tuned: "Tuned", folder: Path, budget: "Budget", *, as_json: bool) -> int:
    """Print what was tried, the table and the verdict; return the exit status of the verdict about what was tuned."""
    from quantlab.gate import judge
    from quantlab_reports import Selection, trial_table
    from quantlab_reports.views.candidates import candidate_table

    render = rendering_of("terminal", as_json=as_json)
    if as_json:
        print_result(render(trial_table(tuned.study, wide=False)))
    else:
        print_result(f"{render(candidate_table(tuned.tuning, Selection()))}\n")
        print_result(render(trial_table(tuned.study, wide=False)))
    for text in tuned.notes:
        say(text)
    say(f"Study saved in '{folder}', with every decision in '{folder / 'tune.json'}'.")
    smallest = judge(folder, budget).recommended
    verdict = judge(folder, budget, settings=tuned.chosen)
    for judged in verdict.settings:
        say(f"{judged.setting}: {judged.outcome}: {judged.reason}")
    if smallest is not None and smallest not in tuned.chosen:
        say(f"On the samples of the verdict, {smallest} fits, and 'quantlab recommend' chooses it.")
    return {"fits": OK, "breaks": BREAKS}.get(verdict.outcome, INCONCLUSIVE)
