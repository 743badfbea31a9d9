"""`quantlab report`: writes one HTML file about a study; runs nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.addresses import brought
from quantlab.cli.budget import BudgetOptions, Places, folders_of, listed
from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import say
from quantlab.cli.policy import has_limits, read_unlimited
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.gate import Judged
    from quantlab_reports.subject import Subject

__all__ = ["Thumbnails", "page_of", "refuse_other_page", "report", "subject_of"]

Thumbnails = Annotated[
    bool, typer.Option("--thumbnails", help="Put pictures of changed samples into the HTML file; it may be passed on.")
]


@spread
def report(
    study: Places = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path("report.html"),
    budget: BudgetOptions,
    json: AsJson = False,
) -> int:
    """Write a report about a study as one HTML file.

    The file needs no network. With a budget, the page begins with a recommendation; without one, it shows what was
    measured. The command runs nothing.
    """
    from quantlab_reports.page import report_page, write_page

    write_page(report_page(subject_of(study, budget)), out)
    say(f"Report written to '{out}'")
    if json:
        print_json({"written": str(out)})
    return OK


def page_of(folder: Path, judged: "Judged", *, pictures: bool) -> str:
    """The report of a study that was judged, with the outcome of that verdict."""
    from quantlab.gate import recommendation_of
    from quantlab.store import Store
    from quantlab_reports.page import report_page
    from quantlab_reports.subject import Subject

    store = Store(folder)
    chosen = recommendation_of(store, judged)
    return report_page(replace(Subject.of(store, judged.verdict.budget, recommendation=chosen), pictures=pictures))


def refuse_other_page(html: Path) -> None:
    """Refuse, before long work, a file for a report that is something else; see `refuse_other_file`."""
    if html.exists():  # most runs need no more of the reports yet
        from quantlab_reports.page import refuse_other_file

        refuse_other_file(html, option="--html")


def subject_of(study: Sequence[Path] | None, budget: BudgetOptions) -> "Subject":
    """Read the one study that is named, and judge it if the options or a policy file limit anything.

    Without a limit, the target decides which size is shown; other options of the budget are refused.
    """
    from quantlab.gate import target_named
    from quantlab.store import Store, find_latest
    from quantlab_reports.subject import Subject

    if has_limits(budget.policy, budget.given(study)):
        asked = budget.read(study)
        return Subject.of(Store(brought(_only(folders_of(asked)))), asked.budget)
    unlimited = read_unlimited(budget.policy, budget.given(study))
    target = target_named(unlimited.target)
    folder = brought(_only(unlimited.studies or (find_latest(Path()),)))
    return replace(Subject.of(Store(folder)), target=target)


def _only(folders: Sequence[Path]) -> Path:
    if len(folders) > 1:
        raise UsageError(f"a report is about exactly one study, and {listed(folders)} are named; name one")
    return folders[0]
