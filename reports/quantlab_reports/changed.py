"""Which samples changed: their names, labels, and the answers before and after."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.gate.left_out import JudgedSamples
from quantlab.gate.stored import candidate_samples, finite_rows, reference_samples
from quantlab.samples import names_of
from quantlab.statistics import ClassSamples, ReferenceSamples, class_losses
from quantlab.types import NAMED_SAMPLES, ClassLoss, SampleSet, Study, Trial
from quantlab_reports.subject import Subject

__all__ = ["Answer", "ChangedSample", "Changes", "changes_of", "names_of_rows", "shown_trial"]

Array = npt.NDArray[Any]

Kind = Literal["became wrong", "became right", "changed"]
"""`changed`: another answer, which is wrong both times, or there is no label."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A top-1 class and its probability."""

    name: str
    """Name of the class, or its number; `none` of a row that contains NaN."""
    probability: float
    """0 to 1; NaN of a row that is no distribution."""


@dataclass(frozen=True, slots=True)
class ChangedSample:
    """A sample whose top-1 is another one than the model's."""

    row: int
    """Position among the scored samples, from 0."""
    index: int
    """Position in the user's source, from 0."""
    file: str
    """Name of its file below the source; empty if samples are no files."""
    kind: Kind
    label: str
    """Name of the true class, or its number; empty without labels."""
    before: Answer
    after: Answer


@dataclass(frozen=True, slots=True)
class Changes:
    """All samples that changed in one trial, and what that does to classes."""

    setting: str
    runtime: str
    n: int
    samples: tuple[ChangedSample, ...]
    """Those that became wrong first; of each kind, first where the model was most sure."""
    classes: tuple[ClassLoss, ...] = ()
    """Loss of each class in percentage points; empty without labels."""

    def count(self, kind: Kind) -> int:
        """Number of samples of a kind."""
        return sum(sample.kind == kind for sample in self.samples)

    @property
    def pairs(self) -> list[tuple[str, str, int]]:
        """Label, answer, and how many samples more are confused so than by the model; the most frequent first.

        Negative where fewer are.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for sample in self.samples:
            if sample.label:
                counts[sample.label, sample.after.name] += sample.after.name != sample.label
                counts[sample.label, sample.before.name] -= sample.before.name != sample.label
        found = [(label, answer, count) for (label, answer), count in counts.items() if count]
        return sorted(found, key=lambda pair: (-pair[2], pair))


def shown_trial(subject: Subject) -> Trial | None:
    """The trial whose changes a report shows: where most changed, of the setting that it is about if there is one."""
    trials = [trial for trial in subject.study.trials if trial.failure is None and not trial.is_float32]
    own = [trial for trial in subject.study.trials if trial.setting == subject.shown and trial.failure is None]
    return min(own or trials, key=_likeness, default=None)


def _likeness(trial: Trial) -> float:
    """How like the model a trial answers: the agreement, or else the SQNR; both are of one kind within a study."""
    scores = trial.scores
    likeness = None if scores is None else scores.sqnr_db if scores.agreement is None else scores.agreement
    return math.inf if likeness is None else -math.inf if math.isnan(likeness) else likeness


def changes_of(trial: Trial, study: Study) -> Changes | None:
    """Compare the stored outputs of a trial with those of the reference; None if they hold no classes.

    Samples on which the reference is not finite are left out, as in every score.

    Raises:
        StudyError: If outputs or labels are missing or damaged.
    """
    if not study.classes or trial.failure is not None or study.positions:
        return None
    with reading(f"the outputs of {trial.setting} in {trial.runtime}", StudyError, "run 'quantlab analyze' again"):
        return _changes(trial, study)


def _changes(trial: Trial, study: Study) -> Changes | None:
    judged = JudgedSamples(finite_rows(study))
    reference = reference_samples(study, judged)
    candidate = candidate_samples(study, trial, reference, judged)
    if reference.classes is None or candidate.classes is None:
        return None
    places = np.flatnonzero(judged.finite)
    samples = _samples(reference, candidate.classes, places, study)
    samples.sort(key=_rank)
    return Changes(trial.setting, trial.runtime, reference.n, tuple(samples), _classes(reference, candidate.classes))


def _rank(sample: ChangedSample) -> tuple[int, float, int]:
    """Became wrong first, then where the model was most sure; a row that is no distribution is last of its kind."""
    order = {"became wrong": 0, "became right": 1, "changed": 2}
    probability = sample.before.probability
    return order[sample.kind], math.inf if math.isnan(probability) else -probability, sample.index


def names_of_rows(samples: SampleSet, rows: Array) -> list[tuple[int, str]]:
    """Position in the source and file of every row; `names_of` names only so many at a time.

    Args:
        samples: A written set.
        rows: Ascending positions in the set.
    """
    named: list[tuple[int, str]] = []
    for first in range(0, len(rows), NAMED_SAMPLES):
        names = names_of(samples, rows[first : first + NAMED_SAMPLES])
        named += zip(names.indices, names.files or [""] * len(names.indices), strict=True)
    return named


def _samples(reference: ReferenceSamples, candidate: ClassSamples, places: Array, study: Study) -> list[ChangedSample]:
    before = reference.classes
    assert before is not None  # noqa: S101 (checked by the caller)
    changed = np.flatnonzero(before.top1 != candidate.top1)
    rows = places[changed]
    classes = study.samples.classes
    samples = []
    for place, row, (index, file) in zip(changed, rows, names_of_rows(study.samples, rows), strict=True):
        kind: Kind = "changed"
        if before.right is not None and candidate.right is not None and before.right[place] != candidate.right[place]:
            kind = "became wrong" if before.right[place] else "became right"
        label = "" if reference.labels is None else _name(int(reference.labels[place]), classes)
        samples.append(
            ChangedSample(
                int(row),
                index,
                file,
                kind,
                label,
                Answer(_name(int(before.top1[place]), classes), float(before.confidence[place])),
                Answer(_name(int(candidate.top1[place]), classes), float(candidate.confidence[place])),
            )
        )
    return samples


def _classes(reference: ReferenceSamples, candidate: ClassSamples) -> tuple[ClassLoss, ...]:
    right = reference.classes.right if reference.classes is not None else None
    if reference.labels is None or right is None or candidate.right is None:
        return ()
    return class_losses(np.asarray(reference.labels), right, candidate.right, confidence=0.95)


def _name(number: int, classes: tuple[str, ...]) -> str:
    if number < 0:
        return "none"
    return classes[number] if number < len(classes) else f"class {number}"
