"""`quantlab plan`: how many samples decide about a margin; runs nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, Format, StudyFolder, rendering_of
from quantlab.cli.output import print_result
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.statistics import Pilot

__all__ = ["plan"]


def plan(
    study: StudyFolder = None,
    *,
    margin: Annotated[str, typer.Option(help="Allowed loss: 0.5pt (percentage points), or 0.5% of the reference.")],
    setting: Annotated[
        list[str] | None, typer.Option("--setting", help="Plan for this setting: a name or glob. Repeatable.")
    ] = None,
    pilot: Annotated[
        str | None,
        typer.Option(
            metavar="WRONG,RIGHT,N", help="Counts of a pilot instead of a study: 3,2,500.", show_default=False
        ),
    ] = None,
    discordance: Annotated[
        str | None, typer.Option(help="Share of changed answers that is taken as known, instead of a pilot: 1%.")
    ] = None,
    expected_loss: Annotated[
        str | None, typer.Option(help="Loss that is taken as known, with --discordance. [default: 0pt]")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Also print what a study of N samples decides.")] = None,
    power: Annotated[str, typer.Option(help="Asked probability of a decision.")] = "80%",
    confidence: Annotated[float, typer.Option(help="One-sided confidence of the bounds that decide.")] = 0.95,
    looks: Annotated[
        str | None, typer.Option(help="any: the study will be judged at any number of samples, with wider bounds.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric of the study to plan for. [default: that of the study]")
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Say how many samples decide whether a margin is kept.

    What is known comes from a study, from the counts of a pilot, or from a share of changed answers. A pilot is
    uncertain, so the probability is a mean over all shares that it leaves plausible.
    """
    from quantlab.gate.plan import Asked, plan_after, plan_for
    from quantlab.statistics import Expected
    from quantlab.store import Store, find_latest
    from quantlab.types import Budget, Margin
    from quantlab_reports.planned import plan_table

    if sum(one is not None for one in (study, pilot, discordance)) > 1:
        raise UsageError("give one of a study, --pilot and --discordance, since each says what is known")
    _refuse_without_effect(
        {"--setting": setting, "--metric": metric},
        None if pilot is discordance is None else "--discordance" if pilot is None else "--pilot",
    )
    if discordance is None:
        _refuse_without_effect({"--expected-loss": expected_loss}, "--pilot" if pilot is not None else "a study")
    if looks not in {None, "any"}:
        raise UsageError(f"--looks '{looks}' is not known; write any, or leave it out")
    allowed = Margin.parse(margin, of="--margin")
    asked = Asked(confidence, looks, _power(power), samples)
    if pilot is not None:
        planned = plan_for(_pilot(pilot), allowed, asked)
    elif discordance is not None:
        try:
            known = Expected(_share(discordance, "--discordance"), _points(expected_loss or "0pt") / 100)
        except ValueError as error:
            raise UsageError(f"{error}; correct --discordance or --expected-loss") from error
        planned = plan_for(known, allowed, asked)
    else:
        budget = Budget(max_accuracy_loss=allowed, confidence=confidence, metric=metric)
        settings = tuple(setting) if setting else None
        planned = plan_after(Store(study or find_latest(Path())), budget, asked, settings=settings)
    print_result(rendering_of(format, as_json=json)(plan_table(planned)))
    return OK


def _refuse_without_effect(options: Mapping[str, object], known: str | None) -> None:
    """Refuse options that say nothing beside what is known; none if nothing is."""
    given = next((option for option, value in options.items() if value), None)
    if known is None or given is None:
        return
    instead = "give it with --discordance" if given == "--expected-loss" else "give it with a study"
    raise UsageError(f"{given} has no effect with {known}; {instead}, or leave it out")


def _power(text: str) -> float:
    try:
        power = _share(text, "--power")
    except UsageError:
        power = 0.0
    if not 0 < power < 1:
        raise UsageError(f"--power '{text}' is not a probability between 0% and 100%; write for example 80%")
    return power


def _points(text: str) -> float:
    from quantlab.types import Margin

    sign, size = (-1, text.strip()[1:]) if text.strip().startswith(("-", "−")) else (1, text)
    margin = Margin.parse(size, of="--expected-loss")
    if margin.unit != "pt":
        raise UsageError(f"--expected-loss '{text}' must be in points, for example 0.1pt")
    return sign * margin.value


def _pilot(text: str) -> "Pilot":
    """Read `WRONG,RIGHT,N`.

    Raises:
        UsageError: If it is no such text, or the counts exceed n.
    """
    from quantlab.statistics import Pilot

    match = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", text)
    if match is None:
        raise UsageError(
            f"--pilot '{text}' is not of the form WRONG,RIGHT,N; write 3,2,500 for 500 samples of which 3 became wrong "
            f"and 2 became right"
        )
    try:
        return Pilot(*(int(part) for part in match.groups()))
    except ValueError as error:
        raise UsageError(f"--pilot '{text}': {error}") from error


def _share(text: str, option: str) -> float:
    """Read `1%` as 0.01.

    Raises:
        UsageError: If it is no percentage from 0 to 100.
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*%\s*", text)
    if match is None or float(match[1]) > 100:
        raise UsageError(f"{option} '{text}' is not a share of samples; write a percentage, for example 1%")
    return float(match[1]) / 100
