"""Where the result of a verdict goes: the terminal, files for other programs, and the exit status."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.attest import Attest
from quantlab.cli.exit_status import BREAKS, COULD_NOT_RUN, INCONCLUSIVE, OK
from quantlab.cli.output import print_result, say
from quantlab.errors import QuantlabError, UsageError

if TYPE_CHECKING:
    from quantlab.types import TrialEvidence, Verdict
    from quantlab_reports import Table
    from quantlab_reports.junit import Undecided

__all__ = ["Page", "Telling", "VerdictFiles"]

_STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Page:
    """A report as an HTML file."""

    path: Path
    text: Callable[[], str]
    """Makes the page; raises QuantlabError if it cannot be made."""


def _undecided(text: str) -> "Undecided":
    if text == "fail":
        return "fail"
    if text == "warn":
        return "warn"
    raise UsageError(f"--undecided is '{text}' and must be 'fail' or 'warn'")


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
class VerdictFiles:
    """Options that say where a verdict is written, and what too few samples mean."""

    undecided: Annotated[str, typer.Option(help="With too few samples: fail, or warn and exit with 0.")] = "fail"
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown for a comment on a pull request.")] = None
    json: Annotated[
        Path | None, typer.Option(help="Write all figures to a JSON file; - prints them instead of the table.")
    ] = None

    def telling(self, render: "Callable[[Table], str]") -> "Telling":
        """Return where a verdict goes; raises UsageError for an unknown word of `--undecided`."""
        return Telling(render, _undecided(self.undecided), self.junit, self.markdown, self.json)


@dataclass(frozen=True, slots=True)
class Telling:
    """Where a result goes."""

    render: Callable[["Table"], str]
    undecided: "Undecided"
    junit: Path | None
    markdown: Path | None
    json: Path | None
    attest: Attest | None = None
    page: Page | None = None

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
        if self.page:
            yield from _write_page(self.page)
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


def _write_page(page: Page) -> Iterator[str]:
    from quantlab_reports.page import write_page

    try:
        write_page(page.text(), page.path, option="--html")
    except QuantlabError as error:
        yield str(error)
    else:
        say(f"Report written to '{page.path}'")


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
