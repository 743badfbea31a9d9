"""The samples of a setting whose outputs are no classes: those whose error grew and shrank most, or that moved most."""

from dataclasses import dataclass

import numpy as np

from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.samples import kept_subset, place_in_kept
from quantlab.types import ChangeRow, SampleRow, Study, Trial
from quantlab_reports.figures import EMPTY, fixed, number, with_sign
from quantlab_reports.page.contract import Content
from quantlab_reports.pictures import picture_of
from quantlab_reports.sample_changes import TrialChanges, changes_of_trials
from quantlab_reports.subject import Subject
from quantlab_reports.views.samples import change_of, value_of

__all__ = ["kept_pictures", "left_out_in_words", "moved_samples", "picture_of_row", "share_in_words"]

_MOST_CARDS = 60
_MOST_BETTER = 20
"""Cards of samples that became better, where more became worse than there is room for."""


@dataclass(frozen=True, slots=True)
class MovedCard:
    """A sample with its picture and figures."""

    sample: SampleRow
    picture: str
    """Address of the picture; empty if there is none."""
    what: str
    """What happened, in words."""
    lines: tuple[tuple[str, str], ...]
    """Names and figures."""
    places: tuple[tuple[str, float], ...]
    """`target`, `before` and `after` in percent of the width of a line; empty without a target, or if not all are
    finite."""


def moved_samples(trial: Trial, subject: Subject) -> Content:
    """The section for one trial.

    Raises:
        StudyError: If outputs or labels are missing or damaged.
    """
    study = subject.study
    (found,) = changes_of_trials(study, [trial])
    worse = [sample for sample in found.samples if sample.kind != "became better"]
    better = [sample for sample in found.samples if sample.kind == "became better"]
    room = max(_MOST_CARDS - len(worse), _MOST_BETTER)
    shown = [*worse[: _MOST_CARDS - min(len(better), room)], *better[:room]]
    rest = [sample for sample in found.samples if sample not in shown]
    return Content(
        _conclusion(found.figures, study),
        "moved.html.jinja",
        {
            "about": f"{trial.setting} in {trial.runtime}",
            "order": "those that became worse first" if better and worse else "",
            "cards": [_card(sample, found, subject) for sample in shown],
            "rest": [(sample, *_cells(sample)) for sample in rest],
            "unlisted": sum(found.by_kind.values()) - len(found.samples),
            "unit": _in(found.figures, study),
            "element": any(sample.element for sample in found.samples),
            "with_target": any(sample.target is not None for sample in found.samples),
            "signed": found.figures.worse is not None,
            "note": found.note,
            "grouped": bool(study.samples.groups_sha256),
            "kept": kept_pictures(subject),
        },
    )


def kept_pictures(subject: Subject) -> int:
    """Number of samples of which there can be pictures, if it is not that of all; else 0."""
    few = subject.study.samples.few
    return few.n if subject.pictures and few is not None and few.n < subject.study.samples.n else 0


def picture_of_row(subject: Subject, row: int) -> str:
    """Address of a picture of the first input of a scored sample that can be shown; empty if there is none."""
    samples = kept_subset(subject.study.samples)
    place = place_in_kept(subject.study.samples, row)
    files = [samples.input_file(spec.name) for spec in samples.inputs] if subject.pictures and place is not None else []
    pictures = (picture_of(np.asarray(mapped(file)[place])) for file in files if file.is_file())
    return next((picture for picture in pictures if picture is not None), "")


def _conclusion(figures: ChangeRow, study: Study) -> str:
    if not figures.n or figures.median is None:
        return f"No sample can be compared. {left_out_in_words(figures)}"
    left_out = f" {left_out_in_words(figures)}" if figures.undefined else ""
    return f"{_changes(figures, study)}.{left_out}"


def left_out_in_words(figures: ChangeRow) -> str:
    """How many samples have no figure, as a sentence."""
    are = "is" if figures.undefined == 1 else "are"
    return (
        f"{counted(figures.undefined, 'sample')} {are} left out: the model is NaN or infinite there, or its metric is "
        f"not defined."
    )


def share_in_words(figures: ChangeRow) -> str:
    """The share of samples that became worse, with its interval where there is one."""
    share = f"{fixed(figures.worse_percent, 1)} %"
    if figures.worse_percent_lower is None:
        return share
    between = f"{fixed(figures.worse_percent_lower, 1)} to {fixed(figures.worse_percent_upper, 1)}"
    return f"{share}, 95 % interval {between}"


def _changes(figures: ChangeRow, study: Study) -> str:
    samples = counted(figures.n, "sample")
    if figures.worse is None:
        labels = "Without labels no error is known: the" if study.task == "similarity" else "The"
        if figures.median == 0 == figures.p90:
            return f"{labels} outputs of {figures.setting} are those of the model in at least nine in ten of {samples}"
        median, p90 = _figure(figures, "median"), _figure(figures, "p90")
        return (
            f"{labels} outputs of {figures.setting} differ from those of the model by at most {median} in half of "
            f"{samples}, and by at most {p90} in nine of ten"
        )
    if not figures.worse and not figures.better:
        return f"{figures.setting} has the model's {_measure(figures)} in all {samples}"
    share = share_in_words(figures)
    return (
        f"Of {samples}, {figures.setting} has {_worse(figures)} in {figures.worse:,} ({share}), and {_better(figures)} "
        f"in {figures.better:,}. The median change is {_figure(figures, 'median')} {_in(figures, study)}, and nine "
        f"in ten lose at most {_figure(figures, 'p90')}"
    )


_ERRORS = {"mae": "absolute error", "rmse": "root mean square error"}
"""Metrics that are errors of numbers, in words for one sample."""


def _measure(figures: ChangeRow) -> str:
    return _ERRORS.get(figures.metric, figures.metric)


def _worse(figures: ChangeRow) -> str:
    return f"a larger {_measure(figures)}" if figures.metric in _ERRORS else f"a worse {figures.metric}"


def _better(figures: ChangeRow) -> str:
    return "a smaller one" if figures.metric in _ERRORS else "a better one"


def _unit(figures: ChangeRow, study: Study) -> str:
    if figures.unit == "pt":
        return "percentage points"
    return "unit of the target" if study.task == "regression" else f"unit of the {figures.metric}"


def _in(figures: ChangeRow, study: Study) -> str:
    unit = _unit(figures, study)
    return unit if figures.unit == "pt" else f"in the {unit}"


def _figure(figures: ChangeRow, name: str) -> str:
    """A percentile with its interval; the sign of a change is told."""
    value, lower, upper = (getattr(figures, f"{name}{end}") for end in ("", "_lower", "_upper"))
    told = with_sign(number(value)) if value and figures.worse is not None else number(value)
    if lower is None and upper is None:
        return told
    ends = ["…" if end is None else number(end) for end in (lower, upper)]
    return f"{told} [{', '.join(ends)}]"


def _card(sample: SampleRow, found: TrialChanges, subject: Subject) -> MovedCard:
    what = {"became worse": "error grew", "became better": "error shrank"}.get(sample.kind, "moved")
    if sample.kind != "moved" and found.figures.metric not in _ERRORS:
        what = sample.kind
    lines = []
    if sample.element:
        lines.append(("element", ", ".join(map(str, sample.element))))
    if sample.target is not None:
        lines.append(("target", value_of(sample, "target")))
    lines += [("before", value_of(sample, "before")), ("after", value_of(sample, "after"))]
    if sample.error_before is not None and (sample.target is None or sample.element):
        between = f"{value_of(sample, 'error_before')} → {value_of(sample, 'error_after')}"
        lines.append((found.figures.metric, between))
    lines.append(("change", change_of(sample)))
    return MovedCard(sample, picture_of_row(subject, sample.row), what, tuple(lines), _places(sample))


def _places(sample: SampleRow) -> tuple[tuple[str, float], ...]:
    if sample.target is None:
        return ()
    known = [(name, value) for name in ("target", "before", "after") if (value := getattr(sample, name)) is not None]
    values = [value for _, value in known]
    if not np.isfinite(values).all() or min(values) == max(values):
        return ()
    low, whole = min(values), max(values) - min(values)
    return tuple((name, round(4 + 92 * (value - low) / whole, 1)) for name, value in known)


def _cells(sample: SampleRow) -> tuple[str, ...]:
    target = EMPTY if sample.target is None else value_of(sample, "target")
    return (
        sample.kind,
        ", ".join(map(str, sample.element)),
        target,
        value_of(sample, "before"),
        value_of(sample, "after"),
        change_of(sample),
    )
