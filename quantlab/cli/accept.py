"""`quantlab accept`: writes figures and hashes that a later gate compares with; runs nothing."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.budget import BudgetOptions, SettingNames, Studies, folders_of, judged_of
from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, rendering_of
from quantlab.cli.output import print_result, say
from quantlab.cli.spread import spread
from quantlab.errors import StudyError, UsageError
from quantlab.names import counted

if TYPE_CHECKING:
    from quantlab.gate import Judged

__all__ = ["accept"]


@spread
def accept(
    study: Studies = None,
    *,
    setting: SettingNames = None,
    budget: BudgetOptions,
    lock: Annotated[Path, typer.Option(help="File to write.")] = Path("quantlab.lock"),
    json: AsJson = False,
) -> int:
    """Write figures and hashes that a later gate compares with.

    The command runs nothing. It accepts the settings that fit the budget; settings named with --setting are accepted
    whatever they lose.
    """
    from quantlab.gate import accepted_figures, refuse_unknown_outputs, write_lock
    from quantlab.store import Store
    from quantlab_reports.views.verdict import verdict_table

    asked = budget.read(study, setting)
    folders = folders_of(asked)
    # Before a look at one of them is recorded.
    refuse_unknown_outputs(asked.budget, [Store(folder).read_study() for folder in folders])
    judged = [judged_of(folder, asked) for folder in folders]
    names = [_accepted(decided) for decided in judged]
    if lock.is_dir():
        raise UsageError(f"'{lock}' is a folder, and --lock takes a file; name the file to write")
    write_lock(lock, accepted_figures(judged, names, asked.texts))
    render = rendering_of("terminal", as_json=json)
    print_result(render(verdict_table([decided.verdict for decided in judged])))
    say(f"Accepted figures written to '{lock}': {', '.join(name for accepted in names for name in accepted)}")
    return OK


def _refuse_unaccountable(judged: "Judged", names: Sequence[str]) -> None:
    """Refuse settings that failed or gave NaN where it counts: a later loss could not be compared with theirs."""
    asked = judged.verdict.budget.runtimes
    for row in judged.trials:
        trial, evidence = row.trial, row.evidence
        if asked is not None and not any(fnmatch.fnmatchcase(trial.runtime, name) for name in asked):
            continue
        if trial.setting in names and trial.requested and (evidence is None or evidence.non_finite):
            spoiled = evidence.non_finite if evidence else 0
            values = f"{counted(spoiled, 'output value is', 'output values are')} NaN or infinite"
            why = "it failed" if evidence is None else values
            raise StudyError(
                f"'{trial.setting}' cannot be accepted: {why} in {trial.runtime}; "
                f"accept only settings with finite outputs"
            )


def _accepted(judged: "Judged") -> list[str]:
    verdict = judged.verdict
    names = [
        setting.setting
        for setting in verdict.settings
        if (verdict.named or setting.outcome == "fits") and setting.size_bytes is not None
    ]
    _refuse_unaccountable(judged, names)
    if not names:
        raise StudyError(
            f"no setting of '{verdict.study}' fits the budget, so none is accepted; to accept a setting anyway, "
            f"name it with --setting"
        )
    return names
