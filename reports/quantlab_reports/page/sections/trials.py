"""The table: every setting in every runtime, with the loss as a whisker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.gate import size
from quantlab.names import counted, joined
from quantlab.types import Interval, Study, Trial
from quantlab_reports.figures import EMPTY, fixed
from quantlab_reports.losses import ShownLoss, figure_of, loss_of, severity
from quantlab_reports.page.contract import Content
from quantlab_reports.page.tables import notes_of_rows
from quantlab_reports.subject import Subject

__all__ = ["trials_section"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and the number by which the column is sorted."""

    text: str
    sort: float | str = math.inf
    whisker: "Whisker | None" = None


@dataclass(frozen=True, slots=True)
class Whisker:
    """An interval as parts of the width of its cell, from 0 to 1."""

    left: float
    right: float
    at: float
    zero: float


@dataclass(frozen=True, slots=True)
class Row:
    """A trial."""

    setting: str
    runtime: str
    format: str
    recommended: bool
    cells: tuple[Cell, ...]
    outcome: str


def trials_section(subject: Subject) -> Content:
    """All trials, and which of them lose something that the samples show."""
    study = subject.study
    losses = [loss for trial in study.trials if (loss := loss_of(trial)) is not None]
    scale = _Scale.of(losses)
    rows = [_row(trial, subject, scale) for trial in study.trials]
    headings = _headings(losses, subject)
    kept = [place for place in range(len(headings)) if any(row.cells[place].text != EMPTY for row in rows)]
    values = {
        "headings": [headings[place] for place in kept],
        "columns": kept,
        "rows": rows,
        "judged": any(row.outcome for row in rows),
        "notes": notes_of_rows([(trial.setting, trial.runtime, _notes(trial)) for trial in study.trials]),
        "formats": sorted({row.format for row in rows if row.format}),
        "runtimes": list(dict.fromkeys(row.runtime for row in rows)),
        "reference": _reference(study),
    }
    return Content(_conclusion(study), "trials.html.jinja", values)


def _conclusion(study: Study) -> str:
    """Which settings lose, each in the runtime where it loses most; first those whose loss is no finite number."""
    measured = [(trial, loss) for trial in study.trials if (loss := loss_of(trial)) is not None]
    known = [one for one in measured if one[1].interval or not math.isfinite(one[1].value)]
    if not known:
        return f"{counted(len(study.trials), 'trial')}; no figure of the loss has an interval here."
    worst: dict[str, _Worst] = {}
    for trial, loss in known:
        if trial.setting not in worst or _order(loss) > _order(worst[trial.setting][1]):
            worst[trial.setting] = trial, loss
    endless = [one for one in worst.values() if not math.isfinite(one[1].value)]
    shown = [one for one in worst.values() if one not in endless and _lower(one[1]) > 0]
    settings, name = counted(len(worst), "setting"), known[0][1].name
    told = [f"The loss of {name} is not finite for {_named(endless)}."] if endless else []
    if shown:
        told.append(f"Of {settings}, the samples show a loss of {name} for {len(shown)}: {_named(shown)}.")
    elif len(endless) < len(worst):
        rest = counted(len(worst) - len(endless), "other setting" if endless else "setting")
        told.append(f"For none of {rest} do the samples show a loss of {name}: no interval is above 0.")
    if len([one for one in known if one[1].interval]) > 1:
        told.append("Each interval has 95 % by itself, not for all rows together.")
    return " ".join(told)


_Worst = tuple[Trial, ShownLoss]
"""A setting in the runtime where the samples show most of a loss."""


def _order(loss: ShownLoss) -> tuple[bool, float]:
    """Losses that are shown come before larger ones that are not."""
    return _lower(loss) > 0, severity(loss)


def _lower(loss: ShownLoss) -> float:
    if not math.isfinite(loss.value):
        return math.inf
    return -math.inf if loss.interval is None else loss.interval.lower


def _named(found: Sequence[_Worst]) -> str:
    """Settings with their losses, intervals and runtimes."""
    return joined(
        [
            f"{trial.setting} ({_loss_text(loss)}{' pt' if loss.unit == 'pt' and loss.interval else ''} in "
            f"{trial.runtime})"
            for trial, loss in found
        ]
    )


def _headings(losses: list[ShownLoss], subject: Subject) -> list[str]:
    loss = losses[0] if losses else None
    unit = "" if loss is None or loss.unit != "pt" else ", points"
    name = "loss" if loss is None else f"loss of {loss.name}{unit}"
    return [f"size, {subject.target.size_word}", f"{name} [95 %]", "agreement % [95 %]", "SQNR dB", "ms/sample"]


def _row(trial: Trial, subject: Subject, scale: "_Scale") -> Row:
    scores, loss = trial.scores, loss_of(trial)
    size_bytes = subject.size_of(trial.variant)
    milliseconds = trial.timing.ms_per_sample if trial.timing else None
    agreement = scores.agreement if scores else None
    grouped = bool(subject.study.samples.groups_sha256)
    interval = None if scores is None or grouped else scores.agreement_interval
    sqnr = scores.sqnr_db if scores else None
    cells = (
        Cell(EMPTY) if size_bytes is None else Cell(size(size_bytes), size_bytes),
        Cell(_loss_text(loss), math.inf if loss is None else severity(loss), scale.whisker(loss)),
        Cell(_with_ends(agreement, interval), _descending(agreement)),
        Cell(fixed(sqnr, 1), _descending(sqnr)),
        Cell(fixed(milliseconds, 3), math.inf if milliseconds is None else milliseconds),
    )
    return Row(
        trial.setting,
        trial.runtime,
        trial.variant.format if trial.variant else "",
        trial.setting == subject.recommended,
        cells,
        _outcome(trial, subject),
    )


def _descending(value: float | None) -> float:
    """The number by which a column is sorted whose larger figures are better."""
    return math.inf if value is None else -value


def _notes(trial: Trial) -> tuple[str, ...]:
    return (trial.failure.reason,) if trial.failure else trial.notes


def _loss_text(loss: ShownLoss | None) -> str:
    return EMPTY if loss is None else loss.figures


def _with_ends(percent: float | None, interval: Interval | None) -> str:
    """A figure in percent and its interval."""
    text = fixed(percent, 2)
    return text if interval is None else f"{text} [{fixed(interval.lower, 2)}, {fixed(interval.upper, 2)}]"


def _outcome(trial: Trial, subject: Subject) -> str:
    chosen = subject.recommendation
    if chosen is None:
        return ""
    found = [
        one.outcome
        for judged in chosen.verdict.settings
        if judged.setting == trial.setting
        for one in judged.judgements
        if one.runtime == trial.runtime
    ]
    return found[0] if found else ""


def _reference(study: Study) -> str:
    """The metric of the model itself with its interval; empty without one."""
    scores = study.reference.scores
    figure = None if scores is None else figure_of(scores, grouped=bool(study.samples.groups_sha256))
    if scores is None or figure is None:
        return ""
    interval = "" if figure.interval is None else ", 95 % interval"
    return f"The model itself: {figure.text}{interval}, n = {scores.n:,}."


@dataclass(frozen=True, slots=True)
class _Scale:
    """Losses as parts of the width of a cell; linear near 0 and logarithmic beyond."""

    lowest: float
    highest: float
    linear: float

    @classmethod
    def of(cls, losses: list[ShownLoss]) -> "_Scale":
        ends = [0.0]
        for loss in losses:
            ends += [loss.value] if loss.interval is None else [loss.interval.lower, loss.interval.upper]
        ends = [end for end in ends if math.isfinite(end)]
        typical = sorted(map(abs, ends))[len(ends) // 2] or 1.0
        return cls(min(ends), max(ends), typical)

    def whisker(self, loss: ShownLoss | None) -> Whisker | None:
        """Where the interval begins and ends."""
        if loss is None or loss.interval is None or not math.isfinite(loss.value):
            return None
        return Whisker(*map(self._part, (loss.interval.lower, loss.interval.upper, loss.value, 0.0)))

    def _part(self, value: float) -> float:
        low, high, bent = (
            math.copysign(math.log1p(abs(one) / self.linear), one) for one in (self.lowest, self.highest, value)
        )
        return (bent - low) / (high - low) if high > low else 0.5
