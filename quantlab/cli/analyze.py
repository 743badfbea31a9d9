"""`quantlab analyze`: converts, runs, scores and prints."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.addresses import here
from quantlab.cli.analysis_options import AnalysisGroup, analyze_options
from quantlab.cli.analyze_table import read_analyze
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import (
    AsJson,
    DataOrTable,
    ImageOptions,
    InsideOptions,
    ModelGroup,
    ModelOrTable,
    Store,
    rendering_of,
)
from quantlab.cli.output import print_result, say
from quantlab.cli.report import refuse_other_page
from quantlab.cli.shard_options import ShardGroup
from quantlab.cli.spread import spread
from quantlab.names import address_of, shown_place, study_folder

if TYPE_CHECKING:
    from quantlab.study import AnalyzeOptions

__all__ = ["analyze", "analyze_and_print", "begin_early"]


@spread
def analyze(
    model: ModelOrTable = None,
    *,
    data: DataOrTable = None,
    asked: AnalysisGroup,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    cut: ShardGroup,
    store: Store = None,
    time_limit: Annotated[
        float | None,
        typer.Option(min=1, help="Stop a converter or runtime that reports nothing for N seconds. [default: 600]"),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report as one HTML file, see 'quantlab report'.")] = None,
    json: AsJson = False,
) -> int:
    """Convert a model, run every variant and print the results.

    What is not given may stand in [analyze] of quantlab.toml, see 'quantlab init'.
    """
    given = {"model": model, "data": data, "store": store, "time_limit": time_limit, **asked.keys, **cut.keys}
    what = read_analyze(image.config, given)
    if html is not None:
        refuse_other_page(html)
    begin_early(what.model, what.study)
    options = analyze_options(what, asked, opening=opening, image=image, inside=inside)
    status = analyze_and_print(what.model, what.data, options, as_json=json)
    if html is not None:
        _write_report(here(what.study or study_folder(what.model)), html)
    return status


def _write_report(folder: Path, html: Path) -> None:
    """Write the report, judged by the budget of a quantlab.toml if there is one."""
    from quantlab.cli.budget import BudgetOptions
    from quantlab.cli.report import subject_of
    from quantlab_reports.page import report_page, write_page

    write_page(report_page(subject_of([folder], BudgetOptions())), html, option="--html")
    say(f"Report written to '{html}'")


def begin_early(model: Path, out: Path | None) -> None:
    """Start importing TensorFlow for the children of a new study while this process imports its own modules."""
    if model.exists() and model.suffix not in {".onnx", ".tflite"} and not (out or study_folder(model)).exists():
        from quantlab.processes.preload import warm_up_workers

        warm_up_workers(onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0")


def analyze_and_print(model: Path, data: str, options: "AnalyzeOptions", *, as_json: bool) -> int:
    """Analyze a model, print the study's table, and return an exit status.

    As text, the table is printed before large artifacts are compressed, and their sizes follow.
    """
    from quantlab.cli.progress import shown
    from quantlab.study import analyze as run
    from quantlab_reports import trial_table

    place = options.out or study_folder(model)
    elsewhere = address_of(place) is not None
    if elsewhere:
        say(f"The study of '{shown_place(place)}' is kept in '{here(place)}' on this machine")
    with shown() as progress:
        # What is measured after the table would not be stored at the address.
        options = replace(options, download_sizes=as_json or elsewhere)
        study = run(model, data=data, options=options, progress=progress)
    print_result(rendering_of("terminal", as_json=as_json)(trial_table(study, wide=False)))
    named = shown_place(place)
    say(f"Study saved in '{named}'. To print all figures: quantlab show {shlex.quote(named)} --wide")
    if not as_json:
        _print_sizes(here(place))
    return OK if study.complete else COULD_NOT_RUN


def _print_sizes(folder: Path) -> None:
    """Compress the artifacts whose download sizes are not known yet, and print these."""
    from quantlab.cli.progress import shown
    from quantlab.study import measure_sizes
    from quantlab_reports.model import Column, table_of

    with shown() as progress:
        variants = measure_sizes(folder, progress=progress)
    if variants:
        columns = [
            Column("setting", lambda variant: variant.name, numeric=False),
            Column("KB", lambda variant: f"{variant.size_bytes / 1e3:,.1f}"),
            Column("gzip KB", lambda variant: f"{variant.gzip_bytes / 1e3:,.1f}"),
            Column("brotli KB", lambda variant: f"{variant.brotli_bytes / 1e3:,.1f}"),
        ]
        print_result(f"\n{rendering_of('terminal')(table_of(columns, variants))}")
