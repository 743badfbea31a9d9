"""`quantlab gate --artifact PATH --attested FILE`: an artifact is checked by a statement, without its study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantlab.cli.budget import BudgetOptions, listed
from quantlab.cli.config import read_table
from quantlab.cli.policy import Policy, read_policy
from quantlab.errors import StudyError, UsageError

if TYPE_CHECKING:
    from quantlab.gate import Attestation
    from quantlab.types import Verdict

__all__ = ["artifact_to_check", "attested_verdict"]


def artifact_to_check(studies: Sequence[Path] | None, artifact: Path | None, others: Mapping[str, object]) -> Path:
    """Return the artifact, after a check of the options beside `--attested`.

    Args:
        studies: Studies that the user named.
        artifact: The files to be shipped.
        others: Options that need a study, by name, as they were given.

    Raises:
        UsageError: If the artifact is not named, or something is that needs a study.
    """
    if studies:
        raise UsageError(f"--attested needs no study, and {listed(studies)} is named; leave one of them out")
    if artifact is None:
        raise UsageError("--attested checks files to be shipped; name them with --artifact")
    for name, value in others.items():
        if value is not None:
            raise UsageError(f"{name} needs a study, and --attested reads none; leave one of them out")
    return artifact


def attested_verdict(
    statement: Path, artifact: Path, budget: BudgetOptions, settings: Sequence[str] | None
) -> tuple["Verdict", bool]:
    """Return the verdict of a statement about an artifact, told by its figures, and whether it passed with a warning.

    Args:
        statement: The file of the statement.
        artifact: The files to be shipped.
        budget: What must have been kept; the budget of the statement applies where no limit is asked.
        settings: Names and globs; the artifact must be one of these settings.

    Raises:
        StudyError: If the statement is malformed, or answers another question than is asked.
        ArtifactError: If the artifact has other files than the statement.
        UsageError: If an option is invalid.
    """
    from quantlab.gate import read_attestation, refuse_other_files, told_by_figures

    attestation = read_attestation(statement)
    refuse_other_files(attestation, artifact, statement)
    policy = _policy(budget, settings, attestation)
    _refuse_other_question(attestation, policy, statement)
    return told_by_figures(attestation), attestation.result == "WARNED"


def _policy(budget: BudgetOptions, settings: Sequence[str] | None, attestation: "Attestation") -> Policy:
    """Read what is asked; without a limit or another key that limits refer to, the statement's budget is asked.

    Rules about looks and order are asked for beside either.
    """
    from quantlab.gate import budget_texts

    given = {key: value for key, value in budget.given(None, settings).items() if value is not None}
    asked = {*given, *read_table("budget", budget.policy)}
    own = {key: value for key, value in budget_texts(attestation.verdict.budget).items() if key not in _RULES}
    kept: dict[str, Any] = {} if asked - {"settings", "studies"} - _RULES else own
    return read_policy(budget.policy, {**kept, **given})


_RULES = {"order", "planned_n", "looks"}


def _refuse_other_question(attestation: "Attestation", policy: Policy, statement: Path) -> None:
    from quantlab.gate import looser_limits, name_of, other_rules, unmatched

    verdict = attestation.verdict
    looser = (*looser_limits(verdict, policy.budget), *other_rules(attestation, policy.budget))
    if looser:
        raise StudyError(
            f"'{statement}' was judged by another budget: {'; '.join(looser)}; judge the study by this budget, and "
            f"write the statement again with 'quantlab gate --attest'"
        )
    names = [judged.setting for judged in verdict.settings]
    others = unmatched(policy.settings or (), names)
    if others:
        raise StudyError(
            f"'{statement}' is about the setting {' and '.join(names)}, and {', '.join(others)} is asked; "
            f"give the statement of such a setting"
        )
    studies = [name_of(folder) for folder in policy.studies]
    if studies and verdict.study not in studies:
        raise StudyError(
            f"'{statement}' is about the study '{verdict.study}', and the policy names {', '.join(studies)}; give the "
            f"statement of such a study"
        )
