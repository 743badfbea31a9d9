"""`quantlab recommend`: which setting to ship; nothing is run."""

from pathlib import Path

from quantlab.cli.budget import BudgetOptions, listed
from quantlab.cli.exit_status import BREAKS, INCONCLUSIVE, OK
from quantlab.cli.options import StudyFolder
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

__all__ = ["recommend"]


@spread
def recommend(
    study: StudyFolder = None,
    *,
    budget: BudgetOptions,
) -> int:
    """Say which setting to ship, why, and how to make it.

    It is the smallest that fits in every runtime that counts. Nothing is run again.
    """
    from quantlab.gate import recommend as choose
    from quantlab.store import find_latest
    from quantlab_reports.verdict_text import render_recommendation

    asked = budget.read([study] if study else None)
    if len(asked.studies) > 1:
        raise UsageError(f"a recommendation is of one study and the policy names {listed(asked.studies)}; name it")
    folder = asked.studies[0] if asked.studies else find_latest(Path())
    found = choose(folder, asked.budget)
    print(render_recommendation(found))
    if found.setting is not None:
        return OK
    return BREAKS if found.verdict.outcome == "breaks" else INCONCLUSIVE
