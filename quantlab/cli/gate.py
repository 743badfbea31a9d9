"""`quantlab gate`: passes or fails a build by the figures of a study; runs nothing."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.budget import BudgetOptions, SettingNames, Studies, folders_of, judged_of, listed
from quantlab.cli.exit_status import BREAKS, COULD_NOT_RUN, INCONCLUSIVE, OK
from quantlab.cli.options import Format, rendering_of
from quantlab.cli.output import print_result, say
from quantlab.cli.policy import Policy, read_policy
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.gate import Judged
    from quantlab.types import AcceptedFigures, Verdict
    from quantlab_reports.junit import Undecided

__all__ = ["gate"]


@spread
def gate(
    study: Studies = None,
    *,
    setting: SettingNames = None,
    budget: BudgetOptions,
    lock: Annotated[Path | None, typer.Option(help="Compare with the accepted figures in this file.")] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(help="Verify that this file or folder is an artifact of the study, and judge only its settings."),
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    undecided: Annotated[str, typer.Option(help="With too few samples: fail, or warn and exit with 0.")] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown for a comment on a pull request.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write all figures to a JSON file; - prints them instead of the table.")
    ] = None,
) -> int:
    """Pass or fail a build by the figures of a study.

    The command runs nothing. Every setting named with --setting must fit; without names, one quantized setting that
    fits is enough.
    """
    from quantlab.gate import changed_artifacts, compare_with_lock, read_lock, refuse_unknown_outputs
    from quantlab_reports.verdict_document import render_verdicts
    from quantlab_reports.views.verdict import verdict_table

    render = rendering_of(format)
    allowed = _undecided(undecided)
    accepted = read_lock(lock) if lock is not None else None
    asked = _policy(budget, study, setting, accepted)
    folders = folders_of(asked)
    if artifact is not None and len(folders) > 1:
        raise UsageError(
            f"--artifact needs exactly one study, and {listed(folders)} are named; name the study of the artifact"
        )
    judged = [judged_of(folder, asked, artifact, accepted) for folder in folders]
    refuse_unknown_outputs(asked.budget, [decided.study for decided in judged])
    verdicts = [decided.verdict if accepted is None else compare_with_lock(decided, accepted) for decided in judged]
    evidence = [decided.trials for decided in judged]
    # Files first, and the status whatever happens to the text: a build relies on both, and on no reader.
    files = {"junit": junit, "markdown": markdown, "json": json}
    unwritten = list(_write_reports(verdicts, judged, files, undecided=allowed))
    if json == _STANDARD_OUTPUT:
        print_result(render_verdicts(verdicts, evidence=evidence).rstrip())
    else:
        print_result(render(verdict_table(verdicts, evidence=evidence)))
    if accepted is not None:
        for text in (text for decided in judged for text in changed_artifacts(decided, accepted)):
            say(f"! {text}")
    for text in unwritten:
        say(f"quantlab: {text}")
    status = _status(verdicts, allowed)
    # A build that asked for a file must not go on without it; a verdict against it stays what it is.
    return COULD_NOT_RUN if unwritten and status == OK else status


_STANDARD_OUTPUT = Path("-")


def _undecided(text: str) -> "Undecided":
    if text == "fail":
        return "fail"
    if text == "warn":
        return "warn"
    raise UsageError(f"--undecided is '{text}' and must be 'fail' or 'warn'")


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


def _status(verdicts: Sequence["Verdict"], undecided: "Undecided") -> int:
    outcomes = {verdict.outcome for verdict in verdicts}
    if "breaks" in outcomes:
        return BREAKS
    if "inconclusive" not in outcomes:
        return OK
    if undecided == "warn" and all(verdict.lacks_samples for verdict in verdicts if verdict.outcome == "inconclusive"):
        say("warning: too few samples to decide; --undecided warn lets this pass")
        return OK
    return INCONCLUSIVE


def _write_reports(
    verdicts: Sequence["Verdict"], judged: Sequence["Judged"], files: dict[str, Path | None], *, undecided: "Undecided"
) -> Iterator[str]:
    """Write the files that are asked for; gives a sentence for each that cannot be written."""
    from quantlab_reports.junit import render_junit
    from quantlab_reports.pull_request import render_pull_request
    from quantlab_reports.verdict_document import render_verdicts

    evidence = [decided.trials for decided in judged]
    if path := files["junit"]:
        yield from _write(path, render_junit(verdicts, undecided=undecided))
    if (path := files["json"]) and path != _STANDARD_OUTPUT:
        yield from _write(path, render_verdicts(verdicts, evidence=evidence))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if files["markdown"] or summary:
        text = render_pull_request(verdicts, evidence=evidence)
        if path := files["markdown"]:
            yield from _write(path, text)
        if summary:
            yield from _append(Path(summary), text)


def _append(path: Path, text: str) -> Iterator[str]:
    try:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{text}\n")
    except OSError as error:
        yield f"'{path}' from GITHUB_STEP_SUMMARY cannot be written ({error.strerror}); unset this variable"


def _write(path: Path, text: str) -> Iterator[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text.rstrip()}\n", encoding="utf-8", errors="replace")
    except BrokenPipeError:  # `/dev/stdout`, say, whose reader is gone: no file is missing
        return
    except OSError as error:
        yield f"'{path}' cannot be written ({error.strerror}); name another file"
