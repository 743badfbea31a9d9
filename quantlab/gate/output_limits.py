"""Limits of the error of outputs against the model: SQNR, cosine, RMS and largest error, which need no labels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.gate.figures import Towards, near_one, outward
from quantlab.gate.finding import Finding, undecided
from quantlab.gate.kept_scores import RowScores, refuse_scores_only
from quantlab.gate.outputs import NUMBERS, channels_of, described_outputs
from quantlab.npy import mapped
from quantlab.statistics import ErrorRows, Resampling, missing_samples_of, output_figure, zero_discordance_bound
from quantlab.types import (
    ERROR_FIGURES,
    SEVERITY,
    AcceptedOutput,
    Budget,
    Outcome,
    OutputFigure,
    OutputLimit,
    Study,
    Trial,
    limit_of,
)

__all__ = ["accepted_of", "judge_figures", "limited_figures", "most_used", "worse_than_accepted"]

_NAMED = 3
"""Most outputs that a reason names."""


def limited_figures(
    trial: Trial, study: Study, judged: npt.NDArray[np.bool_], budget: Budget, resampling: Resampling
) -> tuple[OutputFigure, ...]:
    """Compute what a budget limits, from the stored outputs of a measured trial.

    A limit without a name applies to every output of numbers that has none of its own.

    Args:
        trial: The trial, with its output files.
        study: The study, with the reference's.
        judged: (n,), whether a sample is judged.
        budget: The limits.
        resampling: Confidence of the bounds, and parameters of the bootstrap.

    Raises:
        StudyError: If an output of the trial has another shape than the reference's.
    """
    if not budget.output_limits:
        return ()
    rows: dict[tuple[str, int | None], ErrorRows] = {}
    figures = []
    for name in ERROR_FIGURES:
        for output, channel, limit in _placed(budget.limits_of(name), study):
            place = (output, channel)
            if place not in rows:
                rows[place] = _rows(trial, study, output, channel, judged)
            figures.append(output_figure(rows[place], limit, output=output, channel=channel, resampling=resampling))
    return tuple(figures)


def _placed(limits: Sequence[OutputLimit], study: Study) -> list[tuple[str, int | None, OutputLimit]]:
    """The outputs and channels to which limits apply, in the order of the model."""
    known, described = channels_of(study), described_outputs(study)
    placed: list[tuple[str, int | None, OutputLimit]] = []
    for output, channels in known.items():
        if described[output][1].kind not in NUMBERS:
            continue
        if (whole := limit_of(output, None, limits)) is not None:
            placed.append((output, None, whole))
        for channel in range(channels) if channels > 1 else ():
            limit = limit_of(output, channel, limits)
            if limit is not None and limit.place not in known:
                placed.append((output, channel, limit))
    return placed


def _rows(trial: Trial, study: Study, output: str, channel: int | None, judged: npt.NDArray[np.bool_]) -> ErrorRows:
    if study.store == "scores":
        if channel is not None:
            refuse_scores_only(study, f"a limit of the channel '{output}[{channel}]'")
        return RowScores.of(trial).error_rows(output, RowScores.of(study.reference))
    try:
        reference, candidate = mapped(study.reference.outputs[output]), mapped(trial.outputs[output])
        return ErrorRows.of(reference, candidate, scored=judged, channel=channel)
    except (OSError, ValueError, EOFError) as error:  # EOFError comes from an empty file
        raise StudyError(
            f"the output '{output}' of {trial.setting} in {trial.runtime} cannot be compared: {error}; run 'quantlab "
            f"analyze' again"
        ) from error


def judge_figures(figures: Sequence[OutputFigure]) -> Finding | None:
    """Judge the figures of one trial: the most severe outcome, with the figures that cause it.

    A figure fits if its bound keeps the limit, and breaks if the other bound is beyond it. The largest error is
    compared as it is, because nothing bounds it on other samples.
    """
    if not figures:
        return None
    outcomes = {figure: _outcome(figure) for figure in figures}
    worst = max(outcomes.values(), key=SEVERITY.__getitem__)
    deciding = sorted((one for one in figures if outcomes[one] == worst), key=lambda one: one.used, reverse=True)
    if worst == "fits":
        return Finding("fits", _kept(deciding[0]))
    if worst == "breaks":
        clauses = [_broken(figure, _limit(figure)) for figure in deciding[:_NAMED]]
        more = [f"and {len(deciding) - _NAMED} more limits are broken"] if len(deciding) > _NAMED else []
        return Finding("breaks", "; ".join([*clauses, *more]))
    missing = [missing_samples_of(figure) for figure in deciding]
    # If no number of samples can decide one limit, there is no number.
    needed = None if None in missing else max(samples or 0 for samples in missing)
    at_limit = any(one.value == one.limit for one in deciding)
    told = undecided(_kept(deciding[0]), deciding[0].n, needed, at_limit=at_limit)
    return Finding("inconclusive", told, needed)


def most_used(figures: Iterable[OutputFigure]) -> float | None:
    """Return how much of the allowed error is used by the figure that is nearest to its limit; None without any."""
    return max((figure.used for figure in figures), default=None)


def _outcome(figure: OutputFigure) -> Outcome:
    kind = ERROR_FIGURES[figure.figure]
    error, allowed = kind.to_error(figure.value), kind.to_error(figure.limit)
    if not math.isfinite(error):
        return "breaks"
    low, high = sorted((kind.to_error(figure.lower), kind.to_error(figure.upper)))
    return "fits" if high <= allowed else "breaks" if low > allowed else "inconclusive"


def _kept(figure: OutputFigure) -> str:
    """Say what the bound shows at least or at most, whether that keeps the limit or not."""
    kind = ERROR_FIGURES[figure.figure]
    if figure.lower == figure.upper and figure.figure == "max_abs_error":
        beyond = 100 * zero_discordance_bound(figure.n, figure.confidence)
        return (
            f"{_subject(figure)} is {_figure(figure, figure.value, 'up')} on {figure.n:,} samples, {_limit(figure)} "
            f"(at most {outward(beyond, 'up', digits=2)} % of all samples exceed it, at {100 * figure.confidence:g} % "
            f"confidence)"
        )
    if kind.higher_is_better:
        return f"{_subject(figure)} is at least {_figure(figure, figure.lower, 'down')}, {_limit(figure)}"
    return f"{_subject(figure)} is at most {_figure(figure, figure.upper, 'up')}, {_limit(figure)}"


def _broken(figure: OutputFigure, limit: str) -> str:
    """Say what the bound shows beyond a limit, which is given in words."""
    kind = ERROR_FIGURES[figure.figure]
    if math.isnan(figure.value):
        return f"{_subject(figure)} has no value, because the output is all zeros in the model or the variant"
    if figure.lower in {-math.inf, figure.upper}:  # nothing bounds it
        return f"{_subject(figure)} is {_figure(figure, figure.value, 'down')}, {limit}"
    if kind.higher_is_better:
        return f"{_subject(figure)} is at most {_figure(figure, figure.upper, 'up')}, {limit}"
    return f"{_subject(figure)} is at least {_figure(figure, figure.lower, 'down')}, {limit}"


def _subject(figure: OutputFigure) -> str:
    return f"{ERROR_FIGURES[figure.figure].words} of '{figure.name}'"


def _limit(figure: OutputFigure) -> str:
    kind = ERROR_FIGURES[figure.figure]
    text = f"{figure.limit:.12g}{kind.unit}".replace("e-0", "e-").replace("-", "−")
    return f"{'required' if kind.higher_is_better else 'allowed'} {text}"


def _figure(figure: OutputFigure, value: float, towards: Towards) -> str:
    kind = ERROR_FIGURES[figure.figure]
    if figure.figure == "cosine" and math.isfinite(value):  # its digits are those of the distance from 1
        return near_one(value, towards, figure.limit)
    return f"{outward(value, towards, figure.limit)}{kind.unit}"


def accepted_of(figures: Iterable[OutputFigure]) -> tuple[AcceptedOutput, ...]:
    """Return what a later gate compares with; figures without bounds are left out, since nothing could break them."""
    return tuple(
        AcceptedOutput(one.figure, one.output, one.channel, one.n, one.value, one.lower, one.upper, one.confidence)
        for one in figures
        if math.isfinite(one.value - one.lower) or one.lower == one.upper
    )


def worse_than_accepted(figures: Iterable[OutputFigure], accepted: Iterable[AcceptedOutput]) -> list[str]:
    """Return a clause for each figure that is surely worse than its accepted bound allows."""
    known = {(one.figure, one.output, one.channel): one for one in accepted}
    clauses = []
    for figure in figures:
        before = known.get((figure.figure, figure.output, figure.channel))
        if before is None:
            continue
        kind = ERROR_FIGURES[figure.figure]
        worst = before.lower if kind.higher_is_better else before.upper
        asked = replace(figure, limit=worst)
        if _outcome(asked) == "breaks":
            clauses.append(_broken(asked, _accepted(asked)))
    return clauses


def _accepted(figure: OutputFigure) -> str:
    towards: Towards = "down" if ERROR_FIGURES[figure.figure].higher_is_better else "up"
    return f"accepted {_figure(figure, figure.limit, towards)}"
