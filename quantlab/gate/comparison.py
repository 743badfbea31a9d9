"""Compares the studies of several models, or of one model before and after a change; runs nothing.

The answers of two studies are compared sample by sample if both have the same samples: the unit is a pair of answers to
one sample, as between a model and its variant. Otherwise each study has its own figures, and there is no difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantlab.errors import StudyError, UsageError
from quantlab.gate.judging import name_of
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.gate.left_out import JudgedSamples
from quantlab.gate.plausible import refuse_implausible
from quantlab.gate.stored import judged_metrics, mapped_file, reference_samples
from quantlab.registries import REAL, Registries
from quantlab.samples import read_groups, why_other_samples
from quantlab.statistics import (
    CandidateSamples,
    PairedMetric,
    ReferenceSamples,
    Resampling,
    compressed,
    likeness,
    paired_loss,
    reference_value,
)
from quantlab.store import Store
from quantlab.types import Loss, Study, TensorSpec, Trial

__all__ = ["ComparedRow", "ComparedStudies", "ComparedStudy", "Difference", "Likeness", "Side", "compare_studies"]

_CONFIDENCE = 0.975
"""One-sided, so that both bounds form an interval of 95 % as in the table of a study."""


@dataclass(frozen=True, slots=True)
class ComparedStudy:
    """A study and its place among the others."""

    name: str
    """Its folder without `.study`; the folder as the user wrote it if two have the same name."""
    study: Study
    unpaired: str = ""
    """Why its answers are not compared with those of the first study, as a clause; empty if they are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a study loses against the first one, in a row: its answers compared sample by sample."""

    loss: Loss
    """Its reference is the first study, its candidate this one; the bounds form a 95 % interval."""
    together: Loss
    """The same with bounds that hold with 95 % for all differences of the comparison together (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the answers of a study and of the first one are, in a row, without labels that say which are better."""

    loss: Loss
    """Agreement (its reference, 100 %, is a study that agrees with itself), or for outputs without classes `output`:
    the mean over samples of the largest absolute difference. The bounds form a 95 % interval."""
    together: Loss
    """The same with bounds that hold with 95 % for all rows of the comparison together (Bonferroni)."""
    divergence: Loss | None
    """Mean KL divergence from the first study in nats; None if the outputs have no classes of samples."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one study has in a row."""

    trial: Trial | None
    """None if the study has no such row."""
    value: float | None = None
    """The metric; in percent if it is a share. None if nothing was measured."""
    difference: Difference | None = None
    """None for the first study, without labels, and if the answers are not compared."""
    likeness: Likeness | None = None
    """None for the first study, with labels, and if the answers are not compared."""

    @property
    def size_bytes(self) -> int | None:
        """The bytes of the artifact; None for the model itself."""
        return None if self.trial is None or self.trial.variant is None else self.trial.variant.size_bytes

    @property
    def gzip_bytes(self) -> int | None:
        """The bytes of the artifact after gzip; None for the model itself."""
        return None if self.trial is None or self.trial.variant is None else self.trial.variant.gzip_bytes


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One setting in one runtime, in every study."""

    setting: str
    runtime: str
    sides: tuple[Side, ...]
    """One for each study, in their order."""


@dataclass(frozen=True, slots=True)
class ComparedStudies:
    """Several studies beside each other."""

    studies: tuple[ComparedStudy, ...]
    rows: tuple[ComparedRow, ...]
    metric: str
    """Name of the metric; `agreement` with the own model or `sqnr` without labels."""
    unit: str
    """`pt` for shares, which are in percent; `dB`; empty for the metric's own unit."""
    labelled: bool
    """Whether answers are compared with labels; otherwise each figure is about the study's own model."""

    @property
    def differences(self) -> list[tuple[ComparedStudy, ComparedRow, Difference]]:
        """All differences, by study, then by row."""
        return [
            (study, row, side.difference)
            for place, study in enumerate(self.studies)
            for row in self.rows
            if (side := row.sides[place]).difference is not None
        ]


def compare_studies(
    folders: Sequence[str | Path], *, metric: str | None = None, registries: Registries = REAL
) -> ComparedStudies:
    """Compare studies with the first of them, from their stored outputs.

    Args:
        folders: At least two studies; the first is what the others are compared with.
        metric: Name of the metric; None is that of the studies.
        registries: All formats, runtimes and converters.

    Raises:
        UsageError: If fewer than two studies are named, or they score different outputs, tasks or metrics.
        StudyError: If a study is missing, damaged or being made.
    """
    named = list(zip(_names([Path(folder) for folder in folders]), map(_read, folders), strict=True))
    first = named[0][1]
    _refuse_others(named)
    judged = [_judged_metric(study, metric, registries) for _, study in named]
    _refuse_other_metrics([name for name, _ in named], judged)
    chosen = judged[0]
    studies = tuple(ComparedStudy(name, study, _why_unpaired(first, study, chosen)) for name, study in named)
    places = dict.fromkeys(place for _, study in named for place in _places(study))
    trials = [_places(study) for _, study in named]
    pairs = sum(
        _measured(trials[0].get(place)) and _measured(of_study.get(place)) and not study.unpaired
        for place in places
        for of_study, study in zip(trials[1:], studies[1:], strict=True)
    )
    comparing = _Comparing(chosen, studies, _resampling(first), max(pairs, 1))
    rows = [ComparedRow(*place, comparing.sides([one.get(place) for one in trials])) for place in places]
    if chosen is None:
        shares = first.classes or first.positions
        return ComparedStudies(
            studies, tuple(rows), "agreement" if shares else "sqnr", "pt" if shares else "dB", labelled=False
        )
    return ComparedStudies(studies, tuple(rows), chosen.name, chosen.unit, labelled=True)


def _read(folder: str | Path) -> Study:
    store = Store(Path(folder))
    store.refuse_running()
    study = store.read_study()
    refuse_implausible(study, name_of(store.root))
    return study


def _names(folders: Sequence[Path]) -> list[str]:
    """Names by which studies are told apart.

    Raises:
        UsageError: If there are fewer than two folders, or one is named twice.
    """
    if len(folders) < 2:
        raise UsageError("a comparison needs at least two studies; name for example before.study after.study")
    resolved = [folder.resolve() for folder in folders]
    for place, folder in enumerate(resolved):
        if folder in resolved[:place]:
            raise UsageError(f"the study '{folders[place]}' is named twice; name each study once")
    names = [name_of(folder) for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _refuse_others(named: Sequence[tuple[str, Study]]) -> None:
    """Refuse studies whose figures are about different things."""
    (first_name, first), *others = named
    for name, study in others:
        if study.task != first.task:
            raise UsageError(
                f"'{first_name}' is a study of the task {first.task}, and '{name}' of {study.task}, so their figures "
                f"cannot be compared; name studies of one task"
            )
        mine, theirs = _scored(first), _scored(study)
        if mine.name != theirs.name and (_has(first, theirs.name) or _has(study, mine.name)):
            raise UsageError(
                f"'{first_name}' scores the output '{mine.name}', and '{name}' the output '{theirs.name}'; analyze "
                f"both with the same --score-output"
            )
        if study.task != "metric" and not _fit(mine.shape, theirs.shape):
            raise UsageError(
                f"the scored output of '{first_name}' has the shape {_shape(mine)}, and that of '{name}' "
                f"{_shape(theirs)}; name studies whose scored outputs have the same shape"
            )


def _scored(study: Study) -> TensorSpec:
    """The scored output; its name is another one in each model that Keras named itself."""
    found = [spec for spec in study.model.outputs if spec.name == study.scored_output]
    if not found:
        raise StudyError(
            f"the study of '{study.model.path}' has no output '{study.scored_output}'; run 'quantlab analyze' again"
        )
    return found[0]


def _has(study: Study, output: str) -> bool:
    return any(spec.name == output for spec in study.model.outputs)


def _fit(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    return len(one) == len(other) and all(
        None in sizes or sizes[0] == sizes[1] for sizes in zip(one[1:], other[1:], strict=True)
    )


def _shape(spec: TensorSpec) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in spec.shape[1:])}) for each sample"


def _why_unpaired(first: Study, study: Study, metric: PairedMetric | None) -> str:
    if why := why_other_samples(first.samples, study.samples):
        return f"other samples: {why}"
    answers = metric is not None and metric.of_answers and first.classes and study.classes
    if not answers and _reading(first) != _reading(study):
        return "one output holds probabilities and the other does not, so they are read in different ways"
    return ""


def _reading(study: Study) -> tuple[bool, float | None]:
    """How the scored output is read."""
    return study.probabilities, study.threshold


def _judged_metric(study: Study, asked: str | None, registries: Registries) -> PairedMetric | None:
    """The metric by which a study is compared; None if it has no labels, or ground truth without a metric."""
    if study.task == "similarity":
        if asked is not None:
            raise UsageError(
                f"the metric '{asked}' needs labels, and the study of '{study.model.path}' compares with its model "
                f"only; leave --metric out, or analyze labelled samples"
            )
        return None
    metrics = judged_metrics(_values_of(study, study.reference), asked or study.metric, registries.metrics)
    return metrics[0] if metrics else None


def _refuse_other_metrics(names: Sequence[str], metrics: Sequence[PairedMetric | None]) -> None:
    for name, metric in zip(names, metrics, strict=True):
        if (metric and metric.name) != (metrics[0] and metrics[0].name):
            raise UsageError(
                f"'{names[0]}' is scored by {_metric_name(metrics[0])}, and '{name}' by {_metric_name(metric)}; name "
                f"one metric for all with --metric"
            )


def _metric_name(metric: PairedMetric | None) -> str:
    return "no metric" if metric is None else metric.name


def _places(study: Study) -> dict[tuple[str, str], Trial]:
    """(setting, runtime) → trial, the model itself first."""
    return {(trial.setting, trial.runtime): trial for trial in (study.reference, *study.trials)}


def _measured(trial: Trial | None) -> bool:
    return trial is not None and trial.failure is None


def _similar(trial: Trial | None) -> Side:
    """A side without labels: how far a variant is from its own model."""
    scores = None if trial is None else trial.scores
    if scores is None:
        return Side(trial)
    return Side(trial, scores.sqnr_db if scores.agreement is None else scores.agreement)


def _values_of(study: Study, trial: Trial) -> ReferenceSamples:
    """The values of a trial on all samples; rows that are NaN or infinite count as what they are."""
    everything = JudgedSamples(np.ones(study.samples.n, np.bool_))
    return reference_samples(replace(study, reference=trial), everything)


def _resampling(study: Study) -> Resampling:
    codes = read_groups(study.samples)
    return Resampling(confidence=_CONFIDENCE, seed=study.seed, groups=None if codes is None else compressed(codes))


@dataclass(frozen=True, slots=True)
class _Comparing:
    """How the rows are compared."""

    metric: PairedMetric | None
    """None without labels."""
    studies: tuple[ComparedStudy, ...]
    resampling: Resampling
    pairs: int
    """Number of differences, for bounds that hold for all of them together."""

    def sides(self, trials: Sequence[Trial | None]) -> tuple[Side, ...]:
        """The sides of a row, of which the first study's is read once."""
        first, *others = trials
        base = None if first is None or not _measured(first) else _values_of(self.studies[0].study, first)
        sides = [self._alone(self.studies[0], first, base)]
        for named, trial in zip(self.studies[1:], others, strict=True):
            if trial is None or not _measured(trial) or base is None or named.unpaired:
                sides.append(self._alone(named, trial))
            elif self.metric is None:
                alike = self._likeness(base, self._candidate(base, named, trial))
                sides.append(replace(_similar(trial), likeness=alike))
            else:
                found = self._difference(self.metric, base, self._candidate(base, named, trial))
                sides.append(Side(trial, found.loss.candidate, found))
        return tuple(sides)

    def _alone(self, named: ComparedStudy, trial: Trial | None, values: ReferenceSamples | None = None) -> Side:
        """A side that is compared with no other."""
        if self.metric is None:
            return _similar(trial)
        if trial is None or not _measured(trial):
            return Side(trial)
        return Side(trial, reference_value(self.metric, values or _values_of(named.study, trial)))

    def _candidate(self, base: ReferenceSamples, named: ComparedStudy, trial: Trial) -> CandidateSamples:
        if self.studies[0].study.store == "scores" or named.study.store == "scores":
            return self._of_answers(named, trial)
        outputs = mapped_file(trial.outputs[named.study.scored_output])
        if outputs.shape != base.shape:
            raise StudyError(
                f"the outputs of {trial.setting} in {trial.runtime} have the shape {outputs.shape} in '{named.name}', "
                f"and {base.shape} in '{self.studies[0].name}'; name studies whose outputs have the same shape"
            )
        candidate = CandidateSamples.of(base, outputs)
        if _reading(named.study) != _reading(self.studies[0].study):
            candidate = replace(candidate, classes=_values_of(named.study, trial).classes)
        return candidate

    def _of_answers(self, named: ComparedStudy, trial: Trial) -> CandidateSamples:
        """The answers or errors of a row alone, where a study keeps scores only: metrics of labels need no more.

        Raises:
            StudyError: Without labels: what then is compared are whole outputs.
        """
        if self.metric is None:
            for one in (self.studies[0], named):
                refuse_scores_only(one.study, f"a comparison without labels with '{one.name}'")
        values = _values_of(named.study, trial)
        nothing = np.zeros(values.n)
        return CandidateSamples(nothing, 0, values.classes, None, values.errors, whole=values.whole)

    @property
    def _together(self) -> Resampling:
        return replace(self.resampling, confidence=1 - (1 - _CONFIDENCE) / self.pairs)

    def _difference(self, metric: PairedMetric, base: ReferenceSamples, candidate: CandidateSamples) -> Difference:
        return Difference(
            paired_loss(metric, base, candidate, self.resampling), paired_loss(metric, base, candidate, self._together)
        )

    def _likeness(self, base: ReferenceSamples, candidate: CandidateSamples) -> Likeness:
        loss, divergence = likeness(base, candidate, self.resampling)
        together, _ = likeness(base, candidate, self._together)
        return Likeness(loss, together, divergence)
