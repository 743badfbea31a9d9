"""What changed: samples that became wrong and right, the pairs of classes, and the classes.

Outputs that are no classes are in `moved_samples`.
"""

import math
from dataclasses import dataclass

from quantlab.errors import StudyError
from quantlab.names import counted
from quantlab.types import ChangeRow, Study
from quantlab_reports.changed import Answer, ChangedSample, Changes, changes_of, shown_trial
from quantlab_reports.charts import CHARTS, for_page
from quantlab_reports.figures import fixed, with_sign
from quantlab_reports.page.contract import Content
from quantlab_reports.page.markup import safe
from quantlab_reports.page.moved_samples import (
    kept_pictures,
    left_out_in_words,
    moved_samples,
    picture_of_row,
    share_in_words,
)
from quantlab_reports.sample_changes import figures_of_classes
from quantlab_reports.subject import Subject

__all__ = ["changes_section"]

MOST_CARDS = 60
_MOST_LISTED = 500
"""Samples without a picture in the list below the cards: thousands would be megabytes."""
_MOST_PAIRS = 12
_MOST_CLASSES = 40


@dataclass(frozen=True, slots=True)
class Card:
    """A sample with its picture."""

    sample: ChangedSample
    picture: str
    """Address of the picture; empty if there is none."""
    before: int | None
    """Probability in percent; None if the row is no distribution."""
    after: int | None


def changes_section(subject: Subject) -> Content:
    """The changed samples of the setting that the page is about, or else of the one in which most changed."""
    trial = shown_trial(subject)
    if trial is None:
        return Content("No quantized setting was measured, so no answer changed.")
    try:
        found = changes_of(trial, subject.study)
        if found is None:
            return moved_samples(trial, subject)
    except StudyError as error:
        return Content(f"{str(error)[:1].upper()}{str(error)[1:]}.")
    return _of_classes(found, subject)


def _of_classes(found: Changes, subject: Subject) -> Content:
    study = subject.study
    classes = _classes(found, study)
    values = {
        "about": f"{found.setting} in {found.runtime}",
        "cards": [_card(sample, subject) for sample in found.samples[:MOST_CARDS]],
        "more": len(found.samples) - MOST_CARDS,
        "rest": found.samples[MOST_CARDS : MOST_CARDS + _MOST_LISTED],
        "unlisted": len(found.samples) - MOST_CARDS - _MOST_LISTED,
        "pairs": [(label, answer, with_sign(fixed(count, 0))) for label, answer, count in found.pairs[:_MOST_PAIRS]],
        "more_pairs": len(found.pairs) - _MOST_PAIRS,
        "grouped": bool(study.samples.groups_sha256),
        "kept": kept_pictures(subject),
        "chart": None if (drawn := for_page(CHARTS["classes"], subject)) is None else safe(drawn),
        "classes": classes[:_MOST_CLASSES],
        "more_classes": len(classes) - _MOST_CLASSES,
    }
    return Content(_conclusion(found, study), "changes.html.jinja", values)


def _conclusion(found: Changes, study: Study) -> str:
    figures = figures_of_classes(found, study)
    left_out = "" if not figures.undefined else f" {left_out_in_words(figures)}"
    return f"{_answers(found, figures)}.{left_out}"


def _answers(found: Changes, figures: ChangeRow) -> str:
    if not found.samples:
        return f"{found.setting} gives the model's answer on all {found.n:,} samples"
    wrong, right = found.count("became wrong"), found.count("became right")
    others = len(found.samples) - wrong - right
    start = f"Of {found.n:,} samples, {found.setting} answers {counted(len(found.samples), 'sample')} differently"
    if not found.classes:
        share = share_in_words(figures)
        return f"{start} ({share}); without labels it is not known which answer is right"
    rest = f", and {others:,} {'is' if others == 1 else 'are'} wrong both times" if others else ""
    return f"{start}: {wrong:,} became wrong ({share_in_words(figures)}), {right:,} became right{rest}"


def _card(sample: ChangedSample, subject: Subject) -> Card:
    return Card(sample, picture_of_row(subject, sample.row), _percent(sample.before), _percent(sample.after))


def _percent(answer: Answer) -> int | None:
    return None if math.isnan(answer.probability) else round(100 * answer.probability)


def _classes(found: Changes, study: Study) -> list[tuple[str, str, str, str]]:
    """Classes whose answers changed, the largest loss first."""
    names = study.samples.classes
    changed = [one for one in found.classes if one.right_to_wrong or one.wrong_to_right]
    changed.sort(key=lambda one: (-one.loss, one.label))
    return [
        (
            names[one.label] if one.label < len(names) else f"class {one.label}",
            f"{one.n:,}",
            f"{one.right_to_wrong:,}/{one.wrong_to_right:,}",
            f"{fixed(one.loss, 1)} [{fixed(one.lower, 1)}, {fixed(one.upper, 1)}]",
        )
        for one in changed
    ]
