"""`quantlab tune`: the smallest artifact that keeps a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.analyze import begin_early
from quantlab.cli.budget import BudgetOptions
from quantlab.cli.exit_status import BREAKS, INCONCLUSIVE, OK
from quantlab.cli.options import (
    ClassNames,
    Group,
    ImageOptions,
    InsideOptions,
    Labels,
    Limit,
    Model,
    ModelGroup,
    Pipeline,
    ScoreOutput,
    Seed,
    Settings,
    Slices,
    StudyOut,
    TimeLimit,
    rendering_of,
    words,
)
from quantlab.cli.output import print_result, say
from quantlab.cli.shard_options import ShardGroup, shard_options
from quantlab.cli.spread import spread
from quantlab.names import refuse_address, study_folder

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
            help="Samples: a .npz, .npy, .csv, .jsonl, .tfrecord, .parquet or .tar file, "
            "a glob or a data.toml of them, a folder of images, or module:function. A third of them, at most 1,000, "
            "are searched on; the others are for the verdict."
        ),
    ],
    *,
    budget: BudgetOptions,
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
    labels: Labels = None,
    class_names: ClassNames = None,
    slices: Slices = None,
    group: Group = None,
    settings: Settings = None,
    out: StudyOut = None,
    limit: Limit = None,
    seed: Seed = 0,
    score_output: ScoreOutput = None,
    pipeline: Pipeline = None,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    cut: ShardGroup,
    time_limit: TimeLimit = 600.0,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the table as JSON; 'quantlab show candidates --json' prints the candidates then."
        ),
    ] = False,
) -> int:
    """Search the smallest artifact that keeps a budget.

    Weights of TensorFlow.js are stored in 2 to 8 bits, rounded by the calibration samples. TFLite and ONNX files keep
    some ops in float. What is found is measured beside the official settings, on samples that the search did not see:
    in python and node-wasm, or in --runtimes; with --shards, on several workers. The command continues where it was
    stopped.
    """
    refuse_address(out or study_folder(model))
    begin_early(model, out)
    from quantlab.cli.progress import shown
    from quantlab.study import UNGUIDED, AnalyzeOptions, TuneOptions
    from quantlab.study import tune as run

    asked = budget.read(None, unlimited=UNGUIDED).budget
    options = AnalyzeOptions(
        calibration=calibration,
        labels=labels,
        class_names=class_names,
        slices=tuple(slices or ()),
        group=group,
        settings=words(settings),
        runtimes=words(budget.runtimes),
        out=out,
        limit=limit,
        seed=seed,
        metric=budget.metric or "auto",
        score_output=score_output,
        pipeline=pipeline,
        model=opening.options,
        preprocessing=image.preprocessing(data),
        time_limit=time_limit,
        sharding=shard_options(cut.keys),
        **inside.options,
    )
    with shown() as progress:
        tuned = run(model, data=data, search=TuneOptions(asked, budget_minutes), options=options, progress=progress)
    return _print(tuned, out or study_folder(model), asked, as_json=json)


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
