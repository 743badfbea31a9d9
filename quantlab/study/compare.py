"""Scores from stored outputs: each trial against the reference, each runtime against Python."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.gate import RowScores, are_gone
from quantlab.npy import mapped, selected
from quantlab.samples import named
from quantlab.statistics import (
    CandidateSamples,
    ClassificationSums,
    ClassSamples,
    GroupedAnswers,
    OddSample,
    ProbabilitySums,
    ReferenceSamples,
    blocks,
    compressed,
    count_answers,
    count_equal_places,
    find_positions,
    grouped_equivalence,
    losing_classes,
    probability_rows,
    reference_metric_scores,
    reference_position_scores,
    reference_scores,
    reference_sums,
    rows_of_classes,
    rows_of_shares,
    runtime_equivalence,
    scored_samples,
    sum_outputs,
    sum_samples,
    with_metric,
    with_positions,
)
from quantlab.study.kept_comparison import (
    kept_classes,
    losing_of_answers,
    with_kept_difference,
)
from quantlab.study.row_values import RowValues
from quantlab.study.task import Scoring
from quantlab.types import PYTHON, ClassLoss, Equivalence, KeptOutputs, NonFinite, Scores, Trial

__all__ = ["Comparison"]


_NAMED_CLASSES = 3


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reference's scored output, and how a candidate is compared with it."""

    scoring: Scoring
    reference: Path
    classes: bool
    probabilities: bool
    finite: npt.NDArray[np.bool_]
    """(n,): whether the reference is finite; samples where it is not are left out of every score."""
    samples: ReferenceSamples | None = None
    """The reference with its positions, or with what a metric reads; None if it has neither."""
    rows: ProbabilitySums | None = None
    """How many rows look like probabilities; None if that decides nothing."""
    answers: ClassSamples | None = None
    """What the reference answered, if its outputs were removed when this was opened."""
    values: RowValues | None = None
    """The values of rows that are computed for their scores and needed again; None if they are not needed."""

    @classmethod
    def open(cls, scoring: Scoring, kept: KeptOutputs, non_finite: Iterable[NonFinite] = ()) -> "Comparison":
        """Decide from the reference's outputs alone whether they are classes and probabilities.

        Args:
            scoring: What is scored.
            kept: The reference's outputs.
            non_finite: Where the reference is known to be NaN inside.
        """
        path = kept.files[scoring.output.name]
        if are_gone(path):
            return cls._of_scores(scoring, path)
        finite = scored_samples(_mapped(path), non_finite)
        outputs = _scored(path, finite)
        labels = scoring.labels if scoring.labels is None or finite.all() else np.asarray(scoring.labels)[finite]
        if scoring.task == "metric":
            shares = rows_of_shares(outputs)
            samples = ReferenceSamples.of(outputs, labels, task="metric", probabilities=shares.most, classes=False)
            return cls(scoring, path, False, shares.most, finite, samples, rows=shares)
        where = find_positions(outputs, labels, task=scoring.task)
        if where is not None:
            samples = ReferenceSamples.of(
                outputs, labels, task=scoring.task, probabilities=where.probabilities, classes=False, positions=True
            )
            binary = rows_of_classes(outputs, binary=True) if where.kind == "binary" else None
            rows = None if binary is None else probability_rows(binary)
            return cls(scoring, path, False, where.probabilities, finite, samples, rows=rows)
        rows = probability_rows(outputs) if outputs.ndim == 2 and outputs.dtype.kind == "f" else None
        probabilities = rows is not None and rows.most
        similar = probabilities and outputs.shape[1] > 1
        classes = scoring.task == "classification" or (scoring.task == "similarity" and similar)
        return cls(scoring, path, classes, probabilities, finite, rows=rows if classes else None)

    @classmethod
    def _of_scores(cls, scoring: Scoring, path: Path) -> "Comparison":
        """The same from what is kept of the reference's outputs."""
        row = RowScores.read(path.parent, "the model itself")
        told = row.record.reference
        if told is None:
            raise StudyError(f"'{path.parent}' has no scores of the model itself; run 'quantlab analyze' again")
        rows = None if told.distributions is None else ProbabilitySums(*told.distributions)
        return cls(
            scoring, path, told.classes, told.probabilities, np.array(row.judged), rows=rows, answers=row.answers()
        )

    def with_values(self) -> "Comparison":
        """The same, with values of rows that are needed again, if samples have classes and all are scored."""
        if not self.classes or self.left_out or are_gone(self.reference):
            return self
        labels = self.labels if self.scoring.task == "classification" else None
        reference = ReferenceSamples.of(
            _mapped(self.reference), labels, task=self.scoring.task, probabilities=self.probabilities, classes=True
        )
        return replace(self, values=RowValues(reference))

    @property
    def kept(self) -> RowScores | None:
        """What is kept of the reference; None if its outputs are there."""
        return RowScores.read(self.reference.parent, "the model itself") if are_gone(self.reference) else None

    @property
    def labels(self) -> npt.NDArray[Any] | None:
        """The labels of the scored samples; None without labels."""
        labels = self.scoring.labels
        return labels if labels is None or self.left_out == 0 else np.asarray(labels)[self.finite]

    @property
    def of_positions(self) -> bool:
        """Whether samples have several positions, each with a class."""
        where = self.samples.positions if self.samples is not None else None
        return where is not None and not where.single

    @property
    def threshold(self) -> float | None:
        """The value above which one score is a yes: 0.5 of probabilities, 0 of logits; None if nothing is so read."""
        where = None if self.samples is None else self.samples.positions
        metric = self.scoring.metric
        binary = where.kind == "binary" if where is not None else self.classes and self._width == 1
        if not binary and (metric is None or "{threshold" not in metric.reads):
            return None
        return 0.5 if self.probabilities else 0.0

    @property
    def _width(self) -> int:
        if (kept := self.kept) is not None:
            sizes = kept.record.outputs[self.scoring.output.name].shape
        else:
            sizes = _mapped(self.reference).shape[1:]
        return sizes[-1] if sizes else 1

    @property
    def positions(self) -> bool:
        """Whether the output has a class for each position, or class numbers."""
        return self.samples is not None and self.samples.positions is not None

    @property
    def labels_of_samples(self) -> npt.NDArray[Any] | None:
        """The labels if each sample has a class: (n,) integers."""
        labels = self.labels
        classes = self.scoring.task in {"classification", "positions"} and labels is not None and labels.ndim == 1
        return labels if classes else None

    @property
    def left_out(self) -> int:
        """Number of samples that no score includes."""
        return len(self.finite) - int(np.count_nonzero(self.finite))

    @property
    def _own_labels(self) -> npt.NDArray[Any] | None:
        """The labels that `sum_outputs` takes: none of positions, which are counted for each sample."""
        return None if self.samples is not None else self.labels

    @property
    def _how(self) -> dict[str, Any]:
        """How `sum_outputs` compares; of classes of positions, the error alone."""
        task = "similarity" if self.samples is not None else self.scoring.task
        return {"task": task, "probabilities": self.probabilities, "classes": self.classes}

    def of_reference(self) -> Scores:
        """The reference's own scores."""
        if (kept := self.kept) is not None:
            return kept.record.scores
        if self.values is not None:
            return reference_sums(self.values.reference).reference_scores()
        scores = reference_scores(_scored(self.reference, self.finite), self._own_labels, **self._how)
        if self.samples is not None and self.positions:
            scores = reference_position_scores(scores, self.samples)
        elif self.samples is not None and self.scoring.metric is not None:
            with self._naming():
                scores = reference_metric_scores(scores, self.scoring.metric, self.samples)
        if not self.left_out:
            return scores
        outputs = _mapped(self.reference)
        non_finite = sum(int(np.count_nonzero(~np.isfinite(outputs[rows]))) for rows in blocks(outputs))
        return replace(scores, non_finite=non_finite, left_out=self.left_out)

    def of(self, candidate: Path) -> Scores:
        """A candidate's scores against the reference."""
        if are_gone(candidate):
            return RowScores.read(candidate.parent, "the row").record.scores
        if self.values is not None:
            return sum_samples(self.values.reference, self.values.of(candidate)).scores()
        outputs = _scored(candidate, self.finite)
        scores = sum_outputs(_scored(self.reference, self.finite), outputs, self._own_labels, **self._how).scores()
        if self.samples is not None and self.positions:
            scores = with_positions(scores, self.samples, CandidateSamples.of(self.samples, outputs))
        elif self.samples is not None and self.scoring.metric is not None:
            compared = CandidateSamples.of(self.samples, outputs)
            with self._naming():
                scores = with_metric(scores, self.scoring.metric, self.samples, compared)
        if not self.left_out:
            return scores
        equal = count_equal_places(_mapped(self.reference), _mapped(candidate), self.finite)
        return replace(scores, left_out=self.left_out, left_out_equal=equal)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name a sample by its origin in an error about one of those that are scored."""
        try:
            yield
        except OddSample as error:
            if self.scoring.samples is None:
                raise
            row = int(np.flatnonzero(self.finite)[error.place])
            raise error.named(named(self.scoring.samples, row)) from error

    def notes(self, candidate: Path) -> tuple[str, ...]:
        """Notes for the row: classes with a significant loss of accuracy, even if the total has none."""
        if self.scoring.task != "classification" or self.labels is None or not self.finite.any():
            return ()
        losing = self._losing(candidate, self.labels)
        names = self.scoring.class_names
        return tuple(
            f"class {replace(one, name=names[one.label] if one.label < len(names) else '').number_and_name} loses "
            f"{one.loss:.1f} points ({one.right_to_wrong} lost, {one.wrong_to_right} gained of {one.n:,}; p = "
            f"{one.p_holm:.1g}, Holm)"
            for one in sorted(losing, key=lambda class_loss: class_loss.p_holm)[:_NAMED_CLASSES]
        )

    @property
    def _answers(self) -> ClassSamples | None:
        """What the reference answered, for rows of which scores are kept."""
        return self._classes_in(self.reference) if self.answers is None else self.answers

    def _classes_in(self, file: Path) -> ClassSamples | None:
        """The classes that an output answered, from its scores if it was removed; None if it has none."""
        if are_gone(file):
            return kept_classes(file)
        if not self.classes:
            return None
        return ReferenceSamples.of(
            _scored(file, self.finite),
            self.labels if self.scoring.task == "classification" else None,
            task=self.scoring.task,
            probabilities=self.probabilities,
            classes=True,
        ).classes

    def _losing(self, candidate: Path, labels: npt.NDArray[Any]) -> Sequence[ClassLoss]:
        if are_gone(candidate):
            return losing_of_answers(self._answers, kept_classes(candidate), labels)
        if self.values is not None:
            return losing_of_answers(self.values.reference.classes, self.values.of(candidate).classes, labels)
        return losing_classes(
            _scored(self.reference, self.finite),
            _scored(candidate, self.finite),
            labels,
            probabilities=self.probabilities,
        )

    def with_python(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        """The trials, with the difference between each output and that of the same artifact in `python`."""
        name = self.scoring.output.name
        in_python = {trial.setting: trial.outputs[name] for trial in trials if trial.in_python}
        compared = [
            trial.runtime != PYTHON and trial.status == "measured" and trial.setting in in_python for trial in trials
        ]
        settings = Counter(trial.runtime for trial, is_compared in zip(trials, compared, strict=True) if is_compared)
        return tuple(
            self._from_python(trial, in_python[trial.setting], settings[trial.runtime]) if is_compared else trial
            for trial, is_compared in zip(trials, compared, strict=True)
        )

    def _from_python(self, trial: Trial, in_python: Path, settings: int) -> Trial:
        if are_gone(trial.outputs[self.scoring.output.name]):
            return self._kept_from_python(trial, in_python, settings)
        labelled = self.scoring.task == "classification"
        baseline = _scored(in_python, self.finite)
        outputs = _scored(trial.outputs[self.scoring.output.name], self.finite)
        sums = sum_outputs(
            baseline,
            outputs,
            self.labels if labelled else None,
            task="classification" if labelled else "similarity",
            probabilities=self.probabilities,
            classes=self.classes,
        )
        return replace(
            trial,
            max_abs_from_python=sums.error.max_abs,
            mean_abs_from_python=sums.error.mean_abs,
            different_from_python=sums.error.different / sums.error.count if sums.error.count else None,
            flips_from_python=sums.n - sums.classification.same if self.classes else None,
            equivalence=self._grouped(baseline, outputs, settings) or _equivalence(sums.classification, settings),
        )

    def _kept_from_python(self, trial: Trial, in_python: Path, settings: int) -> Trial:
        """The same for outputs that were removed."""
        compared = with_kept_difference(trial, self.scoring.output.name)
        # A baseline that ran again for a new row has outputs, and no scores yet.
        python, there = (self._classes_in(file) for file in (in_python, trial.outputs[self.scoring.output.name]))
        if python is None or there is None:
            return compared
        counts = count_answers(python, there)
        codes = self._codes
        grouped = (
            None if codes is None else grouped_equivalence(GroupedAnswers.of(python, there, codes), settings=settings)
        )
        return replace(
            compared,
            flips_from_python=counts.n - counts.same,
            equivalence=grouped or _equivalence(counts, settings),
        )

    @property
    def _codes(self) -> npt.NDArray[np.int64] | None:
        """(n,): group of each scored sample; None if samples are independent."""
        return None if self.scoring.groups is None else compressed(self.scoring.groups[self.finite])

    def _grouped(self, baseline: npt.NDArray[Any], outputs: npt.NDArray[Any], settings: int) -> Equivalence | None:
        """Bounds of what changes from Python to another runtime by groups; None without groups or classes."""
        codes = self._codes
        if codes is None or not self.classes:
            return None
        labels = self.labels if self.scoring.task == "classification" else None
        expected = ReferenceSamples.of(
            baseline, labels, task=self.scoring.task, probabilities=self.probabilities, classes=True
        )
        actual = CandidateSamples.of(expected, outputs)
        if expected.classes is None or actual.classes is None:
            return None
        return grouped_equivalence(GroupedAnswers.of(expected.classes, actual.classes, codes), settings=settings)


def _equivalence(counts: ClassificationSums, settings: int) -> Equivalence | None:
    """Bounds of what changes from Python to another runtime; None without classes or samples."""
    if not counts.n:
        return None
    labelled = counts.labelled > 0
    return runtime_equivalence(
        counts.n - counts.same,
        n=counts.n,
        became_wrong=counts.became_wrong if labelled else None,
        became_right=counts.became_right if labelled else None,
        settings=settings,
    )


def _scored(path: Path, finite: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """The samples of an output that are scored: all, where the reference is finite everywhere."""
    return _mapped(path) if finite.all() else selected(_mapped(path), finite)


def _mapped(path: Path) -> npt.NDArray[Any]:
    outputs: npt.NDArray[Any] = mapped(path)
    return outputs
