"""What each setting does to single samples: how many change, how far, and those that change most.

Classes are compared by their top-1. Other outputs are compared by the first metric that has a value for single samples:
the error of a regression, an edit rate, the share of right positions. Where there is none, as without labels, the
samples are those whose outputs moved most.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.gate.kept_scores import RowScores
from quantlab.gate.left_out import JudgedSamples
from quantlab.gate.stored import candidate_samples, finite_rows, judged_metrics, reference_samples
from quantlab.names import choose
from quantlab.statistics import (
    LISTED,
    PAIRED_METRICS,
    CandidateSamples,
    PairedMetric,
    ReferenceSamples,
    SampleMoves,
    clopper_pearson,
    most_changed,
    most_changed_element,
    percentile_with_bounds,
    sample_moves,
)
from quantlab.types import ChangeRow, SampleKind, SampleRow, Study, Trial
from quantlab_reports.changed import ChangedSample, Changes, changes_of, names_of_rows
from quantlab_reports.model import Selection

__all__ = ["LISTED", "TrialChanges", "changes_of_trials", "chosen_trials", "figures_of_classes"]

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TrialChanges:
    """What one trial does to the samples."""

    figures: ChangeRow
    samples: tuple[SampleRow, ...]
    """At most `LISTED` of each kind; those that became worse first, of each kind those that changed most."""
    by_kind: dict[SampleKind, int]
    """Number of samples of each kind, of which some may not be listed."""
    note: str = ""
    """Why no metric of single samples is shown although there is ground truth, as a sentence without a full stop."""


def chosen_trials(study: Study, selection: Selection) -> list[Trial]:
    """The trials of a selection, so that no others are read.

    Raises:
        UsageError: If no setting or runtime of the study matches.
    """
    trials = list(study.trials)
    for field in ("setting", "runtime"):
        asked = getattr(selection, field)
        if asked is not None and trials:
            wanted = choose(field, [asked], list(dict.fromkeys(getattr(trial, field) for trial in trials)))
            trials = [trial for trial in trials if getattr(trial, field) in wanted]
    return trials


def changes_of_trials(study: Study, trials: Iterable[Trial]) -> Iterator[TrialChanges]:
    """Compare the stored outputs of trials with those of the model, sample by sample; failed trials are left out.

    Samples on which the model is not finite are left out, as in every score.

    Raises:
        StudyError: If outputs or labels are missing or damaged.
    """
    measured = [trial for trial in trials if trial.failure is None]
    if not measured:
        return
    if study.classes and not study.positions:
        for trial in measured:
            found = changes_of(trial, study)
            if found is not None:
                yield _of_classes(found, study)
        return
    comparing = _Comparing.of(study)
    for trial in measured:
        yield comparing.changes(trial)


def figures_of_classes(found: Changes, study: Study) -> ChangeRow:
    """How many samples became wrong, as a share with its interval; without labels, how many have another top-1."""
    grouped = bool(study.samples.groups_sha256)
    labelled = study.task == "classification"
    worse = found.count("became wrong") if labelled else len(found.samples)
    share = None if grouped or not found.n else clopper_pearson(worse, found.n)
    return ChangeRow(
        found.setting,
        found.runtime,
        metric="top1" if labelled else "agreement",
        unit="pt",
        n=found.n,
        undefined=study.samples.n - found.n,
        worse=worse,
        better=found.count("became right") if labelled else None,
        worse_percent=100 * worse / found.n if found.n else None,
        worse_percent_lower=None if share is None else 100 * share.lower,
        worse_percent_upper=None if share is None else 100 * share.upper,
        **_NO_PERCENTILES,
    )


def _of_classes(found: Changes, study: Study) -> TrialChanges:
    by_kind: dict[SampleKind, int] = {}
    samples = []
    for sample in found.samples:
        by_kind[sample.kind] = by_kind.get(sample.kind, 0) + 1
        if by_kind[sample.kind] <= LISTED:
            samples.append(_of_answer(sample, found))
    return TrialChanges(figures_of_classes(found, study), tuple(samples), by_kind)


def _of_answer(sample: ChangedSample, found: Changes) -> SampleRow:
    return SampleRow(
        found.setting,
        found.runtime,
        sample.index,
        sample.row,
        sample.file,
        sample.kind,
        label=sample.label or None,
        answer_before=sample.before.name,
        answer_after=sample.after.name,
        probability_before=sample.before.probability,
        probability_after=sample.after.probability,
    )


_PERCENTILE_KEYS = tuple(f"{name}{end}" for name in ("median", "p90") for end in ("", "_lower", "_upper"))
_NO_PERCENTILES: dict[str, float | None] = dict.fromkeys(_PERCENTILE_KEYS)


@dataclass(frozen=True, slots=True)
class _Comparing:
    """The model's side, which is read once for all trials."""

    study: Study
    judged: JudgedSamples
    reference: ReferenceSamples
    metrics: tuple[PairedMetric, ...]
    grouped: bool
    """Whether samples are in groups, so that intervals of independent samples would be too narrow."""
    note: str = ""

    @classmethod
    def of(cls, study: Study) -> Self:
        judged = JudgedSamples(finite_rows(study))
        reference = reference_samples(study, judged)
        note = ""
        try:
            metrics = judged_metrics(reference, study.metric, PAIRED_METRICS) if reference.labels is not None else ()
        except UsageError:  # the user's module is not where the report is made
            metrics, note = (), _unknown(study)
        return cls(study, judged, reference, metrics, bool(study.samples.groups_sha256), note)

    def changes(self, trial: Trial) -> TrialChanges:
        try:
            candidate = candidate_samples(self.study, trial, self.reference, self.judged)
        except ValueError as error:
            raise StudyError(
                f"the outputs of {trial.setting} in {trial.runtime} cannot be compared: {error}; run 'quantlab "
                f"analyze' again"
            ) from error
        note = self.note
        try:
            moves = sample_moves(self.metrics, self.reference, candidate)
        except UsageError:
            moves, note = None, _unknown(self.study)
        if moves is None and self.metrics and not note:
            note = f"the metric {self.metrics[0].name} has no value for a single sample"
        losses = candidate.max_abs if moves is None else moves.losses
        figures = self._figures(trial, moves, losses)
        chosen = most_changed(losses, signed=moves is not None)
        by_kind = {kind: count for kind, (_, count) in chosen.items()}
        return TrialChanges(figures, tuple(self._rows(trial, chosen, moves, candidate)), by_kind, note)

    def _figures(self, trial: Trial, moves: SampleMoves | None, losses: _Array) -> ChangeRow:
        known = losses[~np.isnan(losses)]
        n = len(known)
        worse = None if moves is None else int(np.count_nonzero(known > 0))
        share = None if worse is None or not n or self.grouped else clopper_pearson(worse, n)
        return ChangeRow(
            trial.setting,
            trial.runtime,
            metric="output" if moves is None else moves.metric.name,
            unit="" if moves is None else moves.metric.unit,
            n=n,
            undefined=self.study.samples.n - n,
            worse=worse,
            better=None if moves is None else int(np.count_nonzero(known < 0)),
            worse_percent=None if worse is None or not n else 100 * worse / n,
            worse_percent_lower=None if share is None else 100 * share.lower,
            worse_percent_upper=None if share is None else 100 * share.upper,
            **self._percentiles(known),
        )

    def _percentiles(self, known: _Array) -> dict[str, float | None]:
        if not len(known):
            return _NO_PERCENTILES
        ends = [end for share in (0.5, 0.9) for end in percentile_with_bounds(known, share)]
        found = dict(zip(_PERCENTILE_KEYS, ends, strict=True))
        return {
            key: None if self.grouped and key.endswith(("_lower", "_upper")) else value for key, value in found.items()
        }

    def _rows(
        self, trial: Trial, chosen: "_Chosen", moves: SampleMoves | None, candidate: CandidateSamples
    ) -> Iterator[SampleRow]:
        places = np.flatnonzero(self.judged.finite)
        elements = self._elements(trial, candidate)
        every = np.sort(np.concatenate([these for these, _ in chosen.values()]))
        names = dict(zip(every.tolist(), names_of_rows(self.study.samples, places[every]), strict=True))
        for kind, (these, _) in chosen.items():
            for place in these.tolist():
                index, file = names[place]
                element, target, before, after = elements(place, kind)
                yield SampleRow(
                    trial.setting,
                    trial.runtime,
                    index,
                    int(places[place]),
                    file,
                    kind,
                    element=element,
                    target=target,
                    before=before,
                    after=after,
                    error_before=None if moves is None else float(moves.reference[place]),
                    error_after=None if moves is None else float(moves.candidate[place]),
                    change=float(candidate.max_abs[place] if moves is None else moves.losses[place]),
                )

    def _elements(self, trial: Trial, candidate: CandidateSamples) -> "_Elements":
        """A function from a sample to its element that changed most: where it is, its target, and both outputs."""
        kept = RowScores.of(trial) if self.study.store == "scores" else None
        known = {} if kept is None else kept.listed()

        def of_sample(place: int, kind: SampleKind) -> tuple[tuple[int, ...], float | None, float, float]:
            shape, targets = self.reference.shape[1:], self._targets(place)
            if kept is not None:
                most, before, after = known[place, kind]
            else:
                ones = np.asarray(self.reference.outputs[place], np.float64).reshape(-1)
                others = np.asarray(candidate.outputs[place], np.float64).reshape(-1)
                most = most_changed_element(ones, others, targets, improved=kind == "became better")
                before, after = float(ones[most]), float(others[most])
            where = tuple(int(axis) for axis in np.unravel_index(most, shape)) if math.prod(shape) > 1 else ()
            return where, None if targets is None else float(targets[most]), before, after

        return of_sample

    def _targets(self, place: int) -> _Array | None:
        """(elements,): the targets of a sample; None if outputs are compared with the reference alone."""
        if self.reference.errors is None or self.reference.labels is None:
            return None
        return np.asarray(self.reference.labels[place], np.float64).reshape(-1)


_Elements = Callable[[int, SampleKind], tuple[tuple[int, ...], float | None, float, float]]


def _unknown(study: Study) -> str:
    """A sentence for pages that are passed on, so without the paths that the error names."""
    return f"the metric '{study.metric}' cannot be computed here, and 'quantlab gate' says why"


_Chosen = dict[SampleKind, tuple[_Array, int]]
"""Kind → positions of the samples that changed most, most first, and how many there are of the kind."""
