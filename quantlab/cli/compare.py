"""`quantlab compare`: studies beside each other, before and after a change; runs nothing."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, Format, rendering_of
from quantlab.cli.output import print_result

__all__ = ["compare"]


def compare(
    study: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY STUDY...",
            help="Folders of at least two studies. The others are compared with the first.",
            show_default=False,
        ),
    ],
    *,
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare by, as for 'quantlab gate'. [default: that of the studies]")
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Compare several models, or one before and after a change.

    For each setting and runtime: the metric and the size in each study. Where all samples are the same, the answers of
    two studies are compared sample by sample, and the difference has an interval. Otherwise no difference is shown.
    Without labels it is how like the answers of two studies are. The command runs nothing.
    """
    from quantlab.gate.comparison import compare_studies
    from quantlab_reports.compared import comparison_table

    render = rendering_of(format, as_json=json)  # check names first, because this takes no time
    print_result(render(comparison_table(compare_studies(study, metric=metric))))
    return OK
