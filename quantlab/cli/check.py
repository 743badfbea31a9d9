"""`quantlab check`: analyzes, judges, reports, and writes the artifact only if it fits."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from quantlab.cli.analyze_table import Analyzed, read_analyze
from quantlab.cli.budget import BudgetOptions
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import (
    ClassNames,
    DataOrTable,
    ImageOptions,
    InsideOptions,
    Labels,
    Limit,
    ModelGroup,
    ModelOrTable,
    Pipeline,
    Serving,
    Settings,
    rendering_of,
)
from quantlab.cli.output import say
from quantlab.cli.report import Thumbnails, refuse_other_page
from quantlab.cli.spread import spread
from quantlab.cli.telling import Page, VerdictFiles
from quantlab.names import refuse_address, study_folder

__all__ = ["check"]


@spread
def check(
    model: ModelOrTable = None,
    *,
    data: DataOrTable = None,
    budget: BudgetOptions,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write the artifact to, if it fits: a folder <setting> in it.")
    ] = Path("artifacts"),
    study: Annotated[Path | None, typer.Option(help="Folder of the study. [default: <model>.study]")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="Calibration samples for static quantization, in a form that --data takes.")
    ] = None,
    labels: Labels = None,
    class_names: ClassNames = None,
    settings: Settings = None,
    limit: Limit = None,
    pipeline: Pipeline = None,
    serving: Serving = None,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    html: Annotated[Path, typer.Option(help="Report to write as one HTML file.")] = Path("report.html"),
    thumbnails: Thumbnails = False,
    files: VerdictFiles,
) -> int:
    """Analyze a model and judge it, in one command.

    The command recommends a setting, writes a report, and writes the artifact only if it fits the budget. Model,
    samples and budget may stand in [analyze] and [budget] of quantlab.toml, so that the command needs no option there.
    The exit status is that of 'quantlab gate': 1 or 3, and no artifact, if nothing fits.
    """
    given = {
        "model": model, "data": data, "study": study, "calibration": calibration, "labels": labels,
        "class_names": class_names, "settings": settings, "runtimes": budget.runtimes, "limit": limit,
        "pipeline": pipeline, "serving": serving,
    }  # fmt: skip
    asked = budget.read(None).budget
    what = read_analyze(image.config, given)
    folder = what.study or study_folder(what.model)
    refuse_address(folder)
    refuse_other_page(html)
    _analyze(
        what, folder, {"model": opening.options, "preprocessing": image.preprocessing(what.data), **inside.options}
    )

    from quantlab.gate import gather_of, recommendation_of, refuse_unknown_outputs
    from quantlab.store import Store
    from quantlab_reports.page import report_page
    from quantlab_reports.subject import Subject
    from quantlab_reports.views.recommendation import recommendation_table

    store = Store(folder)
    refuse_unknown_outputs(asked, [store.read_study()])  # before the look at the study is recorded
    judged = gather_of(store, asked)
    chosen = recommendation_of(store, judged)
    say(rendering_of("terminal")(recommendation_table(chosen)))
    subject = replace(Subject.of(store, asked, recommendation=chosen), pictures=thumbnails)
    page = Page(html, lambda: report_page(subject))
    telling = replace(files.telling(rendering_of("terminal")), page=page)
    status = telling.tell([judged.verdict], [judged.trials])
    if not judged.verdict.fits or chosen.setting is None:
        none = "no quantized setting" if chosen.setting or chosen.baselines else "nothing"
        say(f"No artifact is written to '{out}', because {none} fits{_left(out)}.")
        return status
    own = next((trial.variant for trial in judged.study.trials if trial.setting == chosen.setting), None)
    if own is not None and own.given:
        say(f"{chosen.setting} fits, and is not written to '{out}': it is your own file '{own.path}'")
        return status
    return _write_artifact(chosen.setting, folder, out) or status


def _analyze(what: Analyzed, folder: Path, others: dict[str, Any]) -> None:
    """Make the study, or complete the one that is there."""
    from quantlab.cli.analyze import begin_early
    from quantlab.cli.progress import shown
    from quantlab.study import AnalyzeOptions, analyze

    begin_early(what.model, folder)
    options = AnalyzeOptions(out=folder, **what.options, **others)
    with shown() as progress:
        analyze(what.model, data=what.data, options=options, progress=progress)


def _left(out: Path) -> str:
    from quantlab.study import CHECKED

    return "; what is there is of an earlier check" if (out / CHECKED).is_file() else ""


def _write_artifact(setting: str, folder: Path, out: Path) -> int:
    """Write the artifact of a setting, in place of one that an earlier check wrote; returns an exit status."""
    from quantlab.study import replace_artifact
    from quantlab.types import Failure

    made = replace_artifact(folder, setting, out=out)
    if isinstance(made, Failure):
        say(f"quantlab: the artifact of {setting} is not written: {made.reason}")
        return COULD_NOT_RUN
    say(f"{setting} fits and is written to '{made}'")
    return OK
