"""`quantlab report`: writes one HTML file about a study; runs nothing."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.budget import BudgetOptions, Studies, folders_of, listed
from quantlab.cli.exit_status import OK
from quantlab.cli.output import say
from quantlab.cli.policy import has_limits
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

__all__ = ["report"]


@spread
def report(
    study: Studies = None,
    *,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    budget: BudgetOptions,
) -> int:
    """Write a report about a study as one HTML file that needs no network.

    With a budget, the page begins with a recommendation; without one, it shows what was measured. The command runs
    nothing.
    """
    from quantlab.store import Store, find_latest
    from quantlab_reports.page import report_page, write_page
    from quantlab_reports.subject import Subject

    given = budget.given(study)
    asked = budget.read(study) if has_limits(budget.policy, given) else None
    folders = folders_of(asked) if asked is not None else tuple(study or [find_latest(Path())])
    if len(folders) > 1:
        raise UsageError(f"a report is about exactly one study, and {listed(folders)} are named; name one")
    subject = Subject.of(Store(folders[0]), None if asked is None else asked.budget)
    write_page(report_page(subject), out)
    say(f"Report written to '{out}'")
    return OK
