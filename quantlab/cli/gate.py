"""`quantlab gate`: passes or fails a build by the figures of a study; runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.addresses import judged_places
from quantlab.cli.attest import Attest
from quantlab.cli.attested import artifact_to_check, attested_verdict
from quantlab.cli.budget import BudgetOptions, Places, SettingNames, folders_of, judged_of, listed
from quantlab.cli.options import Format, rendering_of
from quantlab.cli.policy import Policy, read_policy
from quantlab.cli.report import Thumbnails, page_of, refuse_other_page
from quantlab.cli.spread import spread
from quantlab.cli.telling import Page, VerdictFiles
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.types import AcceptedFigures

__all__ = ["gate"]


@spread
def gate(
    study: Places = None,
    *,
    setting: SettingNames = None,
    budget: BudgetOptions,
    lock: Annotated[Path | None, typer.Option(help="Compare with the accepted figures in this file.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="REV|FILE",
            help="Compare with the accepted figures of a revision of git, such as origin/main, or of a file.",
        ),
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(help="Verify that this file or folder is an artifact of the study, and judge only its settings."),
    ] = None,
    attested: Annotated[
        Path | None,
        typer.Option(
            help="Check --artifact by this statement of --attest, without a study: files, outcome and budget."
        ),
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    files: VerdictFiles,
    attest: Annotated[
        Path | None, typer.Option(help="Write an in-toto statement about the artifact, to be signed by other tools.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report as one HTML file, see 'quantlab report'.")] = None,
    thumbnails: Thumbnails = False,
) -> int:
    """Pass or fail a build by the figures of a study.

    The command runs nothing. Every setting named with --setting must fit; without names, one quantized setting that
    fits is enough.
    """
    from quantlab.gate import changed_artifacts, compare_with_lock, refuse_unknown_outputs
    from quantlab.store import Store

    result = files.telling(rendering_of(format))
    if html is not None:
        refuse_other_page(html)
    if attested is not None:
        checked = artifact_to_check(
            study, artifact, {"--lock": lock, "--baseline": baseline, "--attest": attest, "--html": html}
        )
        verdict, warned = attested_verdict(attested, checked, budget, setting)
        # A statement that failed with too few samples stays one that failed.
        return (result if warned else replace(result, undecided="fail")).tell([verdict])
    accepted = _accepted(lock, baseline)
    asked = _policy(budget, study, setting, accepted)
    _refuse_several(folders_of(asked), {"--artifact": artifact, "--attest": attest, "--html": html})
    with judged_places(folders_of(asked)) as folders:
        # Before a look at one of them is recorded.
        refuse_unknown_outputs(asked.budget, [Store(folder).read_study() for folder in folders])
        judged = [judged_of(folder, asked, artifact, accepted) for folder in folders]
    verdicts = [decided.verdict if accepted is None else compare_with_lock(decided, accepted) for decided in judged]
    changed = [text for decided in judged for text in changed_artifacts(decided, accepted)] if accepted else []
    first = replace(judged[0], verdict=verdicts[0])
    written = None if attest is None else Attest.of(attest, first, artifact, result.undecided)
    page = None if html is None else Page(html, lambda: page_of(folders[0], first, pictures=thumbnails))
    return replace(result, attest=written, page=page).tell(verdicts, [decided.trials for decided in judged], changed)


def _accepted(lock: Path | None, baseline: str | None) -> "AcceptedFigures | None":
    """Read the figures that are compared with; None if none are named."""
    from quantlab.cli.baseline import accepted_of
    from quantlab.gate import read_lock

    if lock is not None and baseline is not None:
        raise UsageError("--lock and --baseline both name accepted figures; give one of them")
    if baseline is not None:
        return accepted_of(baseline)
    return read_lock(lock) if lock is not None else None


def _refuse_several(folders: Sequence[Path], options: Mapping[str, Path | None]) -> None:
    """Refuse options that are about one study if several are named."""
    option = next((option for option, value in options.items() if value is not None), None)
    if option is not None and len(folders) > 1:
        raise UsageError(
            f"{option} needs exactly one study, and {listed(folders)} are named; name the study of the artifact"
        )


def _policy(
    budget: BudgetOptions,
    studies: Sequence[Path] | None,
    settings: Sequence[str] | None,
    accepted: "AcceptedFigures | None",
) -> Policy:
    """Read the policy; without one, the budget of the accepted figures applies."""
    try:
        return budget.read(studies, settings)
    except UsageError:
        if accepted is None or budget.policy is not None:
            raise
        given = {key: value for key, value in budget.given(studies, settings).items() if value is not None}
        return read_policy(None, {**accepted.budget, **given})
