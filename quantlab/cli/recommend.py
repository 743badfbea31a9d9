"""`quantlab recommend`: recommends a setting to ship; runs nothing."""

from pathlib import Path

from quantlab.cli.budget import BudgetOptions, listed
from quantlab.cli.exit_status import BREAKS, INCONCLUSIVE, OK
from quantlab.cli.options import AsJson, Format, StudyFolder, rendering_of
from quantlab.cli.output import print_result
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

__all__ = ["recommend"]


@spread
def recommend(
    study: StudyFolder = None,
    *,
    budget: BudgetOptions,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Recommend a setting to ship, say why and how to make it.

    The recommendation is the smallest setting that fits the budget in every runtime that counts. Among settings whose
    sizes differ by less than 5 %, it is the one with the lowest upper bound of the loss. The command runs nothing.
    """
    from quantlab.gate import recommend as choose
    from quantlab.store import find_latest
    from quantlab_reports.views.recommendation import recommendation_table

    render = rendering_of(format, as_json=json)
    asked = budget.read([study] if study else None)
    if len(asked.studies) > 1:
        raise UsageError(
            f"a recommendation needs exactly one study, and the policy names {listed(asked.studies)}; "
            f"name one on the command line"
        )
    folder = asked.studies[0] if asked.studies else find_latest(Path())
    chosen = choose(folder, asked.budget)
    print_result(render(recommendation_table(chosen)))
    if chosen.setting is not None:
        return OK
    return BREAKS if chosen.verdict.outcome == "breaks" else INCONCLUSIVE
