"""`quantlab gate`: passes or fails a build by the figures of a study; runs nothing."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.attest import Attest
from quantlab.cli.attested import artifact_to_check, attested_verdict
from quantlab.cli.budget import BudgetOptions, SettingNames, Studies, folders_of, judged_of, listed
from quantlab.cli.exit_status import BREAKS, COULD_NOT_RUN, INCONCLUSIVE, OK
from quantlab.cli.options import Format, rendering_of
from quantlab.cli.output import print_result, say
from quantlab.cli.policy import Policy, read_policy
from quantlab.cli.spread import spread
from quantlab.errors import QuantlabError, UsageError

if TYPE_CHECKING:
    from quantlab.types import AcceptedFigures, TrialEvidence, Verdict
    from quantlab_reports import Table
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
    attested: Annotated[
        Path | None,
        typer.Option(
            help="Check --artifact by this statement of --attest, without a study: files, outcome and budget."
        ),
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    undecided: Annotated[str, typer.Option(help="With too few samples: fail, or warn and exit with 0.")] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown for a comment on a pull request.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write all figures to a JSON file; - prints them instead of the table.")
    ] = None,
    attest: Annotated[
        Path | None, typer.Option(help="Write an in-toto statement about the artifact, to be signed by other tools.")
    ] = None,
) -> int:
    """Pass or fail a build by the figures of a study.

    The command runs nothing. Every setting named with --setting must fit; without names, one quantized setting that
    fits is enough.
    """
    from quantlab.gate import changed_artifacts, compare_with_lock, read_lock, refuse_unknown_outputs
    from quantlab.store import Store

    result = _Result(rendering_of(format), _undecided(undecided), junit, markdown, json)
    if attested is not None:
        checked = artifact_to_check(study, artifact, {"--lock": lock, "--attest": attest})
        verdict, warned = attested_verdict(attested, checked, budget, setting)
        # A statement that failed with too few samples stays one that failed.
        return (result if warned else replace(result, undecided="fail")).tell([verdict])
    accepted = read_lock(lock) if lock is not None else None
    asked = _policy(budget, study, setting, accepted)
    folders = folders_of(asked)
    option = "--artifact" if artifact is not None else "--attest" if attest is not None else None
    if option is not None and len(folders) > 1:
        raise UsageError(
            f"{option} needs exactly one study, and {listed(folders)} are named; name the study of the artifact"
        )
    # Before a look at one of them is recorded.
    refuse_unknown_outputs(asked.budget, [Store(folder).read_study() for folder in folders])
    judged = [judged_of(folder, asked, artifact, accepted) for folder in folders]
    verdicts = [decided.verdict if accepted is None else compare_with_lock(decided, accepted) for decided in judged]
    changed = [text for decided in judged for text in changed_artifacts(decided, accepted)] if accepted else []
    written = None
    if attest is not None:
        written = Attest.of(attest, replace(judged[0], verdict=verdicts[0]), artifact, result.undecided)
    return replace(result, attest=written).tell(verdicts, [decided.trials for decided in judged], changed)


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


@dataclass(frozen=True, slots=True)
class _Result:
    """Where a result goes."""

    render: Callable[["Table"], str]
    undecided: "Undecided"
    junit: Path | None
    markdown: Path | None
    json: Path | None
    attest: Attest | None = None

    def tell(
        self,
        verdicts: Sequence["Verdict"],
        evidence: Sequence[Sequence["TrialEvidence"]] = (),
        changed: Sequence[str] = (),
    ) -> int:
        """Write the files, print the verdicts and what changed, and return the exit status."""
        from quantlab_reports.verdict_document import render_verdicts
        from quantlab_reports.views.verdict import verdict_table

        # Files first, and the status whatever happens to the text: a build relies on both, and on no reader.
        unwritten = list(self._write_reports(verdicts, evidence))
        if self.json == _STANDARD_OUTPUT:
            print_result(render_verdicts(verdicts, evidence=evidence).rstrip())
        else:
            print_result(self.render(verdict_table(verdicts, evidence=evidence)))
        for text in changed:
            say(f"! {text}")
        for text in unwritten:
            say(f"quantlab: {text}")
        status = _status(verdicts, self.undecided)
        # A build that asked for a file must not go on without it; a verdict against it stays what it is.
        return COULD_NOT_RUN if unwritten and status == OK else status

    def _write_reports(
        self, verdicts: Sequence["Verdict"], evidence: Sequence[Sequence["TrialEvidence"]]
    ) -> Iterator[str]:
        """Write the files that are asked for; gives a sentence for each that cannot be written."""
        from quantlab_reports.junit import render_junit
        from quantlab_reports.pull_request import render_pull_request
        from quantlab_reports.verdict_document import render_verdicts

        if self.junit:
            yield from _write(self.junit, render_junit(verdicts, undecided=self.undecided))
        if self.json and self.json != _STANDARD_OUTPUT:
            yield from _write(self.json, render_verdicts(verdicts, evidence=evidence))
        if self.attest:
            yield from self._write_attestation(self.attest)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if self.markdown or summary:
            text = render_pull_request(verdicts, evidence=evidence)
            if self.markdown:
                yield from _write(self.markdown, text)
            if summary:
                yield from _append(Path(summary), text)

    def _write_attestation(self, attest: Attest) -> Iterator[str]:
        try:
            text = attest.text()
        except QuantlabError as error:
            yield f"'{attest.path}' is not written: {error}"
        else:
            yield from _write(attest.path, text)


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
