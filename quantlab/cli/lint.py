"""`quantlab lint`: hazards of models and artifacts, without samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import BREAKS, COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, Format, print_json, rendering_of, terminal_width
from quantlab.cli.output import print_result, say
from quantlab.errors import UsageError
from quantlab.names import joined

if TYPE_CHECKING:
    from quantlab.types.lint import LintResult

__all__ = ["lint"]

_IDS = "Ids, beginnings of ids and globs, separated by commas."
_ALL = "all"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MODEL|ARTIFACT|STUDY...",
            help="Models, artifacts and studies, in any number.",
            show_default=False,
        ),
    ] = None,
    *,
    select: Annotated[
        list[str] | None,
        typer.Option(help=f"Look for these hazards only. {_IDS} [default: all]", show_default=False),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help=f"Leave these hazards out. {_IDS}")] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            help="Signature of a SavedModel; of a study, its own is taken. [default: the only one, or serving_default]",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Explain one hazard: what happens, how to see it, what to do. 'all' lists the ids."
        ),
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Find hazards in models and artifacts, without samples.

    Reads weights, layers, ops and scales, and runs nothing. Each finding says what will go wrong and where; an error
    is a wrong result or a file that does not load, a warning a likely loss, and a note a property to know. Of a study,
    its model and all its artifacts are examined, and findings have what the study measured. The exit status is 1 if
    there is an error, and 2 if a file could not be read.
    """
    if explain is not None:
        print_result(_explained(explain))
        return OK
    if not paths:
        raise UsageError("'quantlab lint' needs a model or an artifact; give one or several paths")
    render = rendering_of(format)  # checked first, because this takes no time
    from quantlab_reports.hazards import hazard_table, lint_document

    result = _examine(paths, select or (), ignore or (), signature)
    if json:
        print_json(lint_document(result))
    else:
        print_result(render(hazard_table(result)))
    for unread in result.unread:
        say(f"quantlab: {unread.reason}")
    if junit is not None:
        _write_junit(junit, result)
    if result.unread:
        return COULD_NOT_RUN
    return BREAKS if result.counts["error"] else OK


def _examine(
    paths: Sequence[Path], select: Sequence[str], ignore: Sequence[str], signature: str | None
) -> "LintResult":
    """Examine files, and studies with all that they hold, in the order in which they are given."""
    from quantlab.lint import lint as examine_files
    from quantlab.types.lint import LintResult

    result = LintResult((), ())
    for path in dict.fromkeys(paths):
        if (path / "study.json").is_file():
            from quantlab.study import baselines_left_out, lint_study

            left_out = baselines_left_out(path)
            if left_out:
                say(
                    f"Not examined in '{path}': {joined(left_out)}; what is wrong with a float32 baseline is told of "
                    f"the model and of the settings that were made from it"
                )
            result += lint_study(path, select=select, ignore=ignore)
        else:
            result += examine_files([path], select=select, ignore=ignore, signature=signature)
    return result


def _write_junit(path: Path, result: "LintResult") -> None:
    from quantlab_reports.hazards import render_lint_junit

    try:
        path.write_text(render_lint_junit(result), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"'{path}' could not be written ({error.strerror}); give another path with --junit") from error


def _explained(name: str) -> str:
    """The sentences of one hazard, or a line for each, in the width of the terminal.

    Raises:
        UsageError: If there is no such hazard.
    """
    from quantlab.lint import HAZARDS, nearest_hazard
    from quantlab_reports.renderings.fitting import wrapped

    if name == _ALL:
        return _listed()
    hazard = HAZARDS.get(name.upper())
    if hazard is None:
        raise UsageError(f"there is no hazard '{name}'; {nearest_hazard(name)}")
    parts: Sequence[str] = (
        f"{hazard.id} ({hazard.severity}): {hazard.title}.",
        hazard.happens,
        f"How to see it: {hazard.see}",
        f"What to do: {hazard.remedy}",
        f"Looked for in: {', '.join(hazard.kinds)}.",
    )
    width = terminal_width()
    return "\n".join(line for part in parts for line in wrapped(part, width))


def _listed() -> str:
    """A line for each hazard: its id, severity and title."""
    from quantlab.lint import HAZARDS

    widest = max(map(len, HAZARDS))
    return "\n".join(f"{hazard.id:{widest}}  {hazard.severity:7}  {hazard.title}" for hazard in HAZARDS.values())
