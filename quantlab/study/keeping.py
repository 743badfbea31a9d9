"""Keeps the scores of every row of a study, and removes its outputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from quantlab.gate import (
    JudgedSamples,
    RowScores,
    are_gone,
    candidate_samples,
    finite_rows,
    judged_metrics,
    kept_state,
    reference_samples,
    row_folder,
    values_of_candidate,
    values_of_reference,
    write_row,
)
from quantlab.npy import mapped
from quantlab.statistics import CandidateSamples, PairedMetric, ProbabilitySums, ReferenceSamples, finite_samples
from quantlab.study.compare import Comparison
from quantlab.study.context import Context
from quantlab.study.importing import read_imports
from quantlab.study.inside.look import split_of_outputs
from quantlab.study.scores_only import ScoresOnly, hash_of, partner_hashes, partners, refuse_unfit
from quantlab.study.shards import JOINED
from quantlab.study.task import Scoring
from quantlab.types import FromPython, KeptReference, KeptScores, NonFinite, ReferenceCheck, Scores, Study, Trial

__all__ = [
    "Keeping",
    "KeptFacts",
    "keep_scores",
    "remove_outputs",
    "remove_row",
    "unfit_model",
    "with_kept_scores",
    "with_scores_only",
]


@dataclass(frozen=True, slots=True)
class KeptFacts:
    """What is kept of a study besides what its record tells."""

    reading: str
    """See `KeptScores.reading`."""
    rows: ProbabilitySums | None
    """See `Comparison.rows`."""
    indices: npt.NDArray[Any] | None
    """Samples on which layers are compared; None if they are not."""


def with_scores_only(context: Context, scoring: Scoring, labels_sha256: str) -> Context:
    """The context, with what decides which rows need no outputs, if the study is to keep scores only.

    Raises:
        UsageError: If a figure needs whole outputs.
    """
    if context.options.store == "outputs":
        return context
    refuse_unfit(context.options, scoring, read_imports(context.store))
    return replace(context, scores=ScoresOnly(scoring, labels_sha256))


def with_kept_scores(context: Context, study: Study, comparison: Comparison) -> Study:
    """The study, after the scores of its rows were kept, if that was asked for; its outputs are still there."""
    known = context.scores
    if known is None:
        return study
    if (why := unfit_model(comparison, study.non_finite)) is not None:
        return replace(study, warnings=(*study.warnings, why))
    facts = KeptFacts(known.reading, comparison.rows, known.indices)
    keep_scores(study, facts, context.registries.metrics)
    if (told := _needs_more(study)) is not None:
        context.progress.warn(told)
    return replace(study, store="scores")


def unfit_model(comparison: Comparison, non_finite: Sequence[NonFinite]) -> str | None:
    """Why the outputs of a study are kept although its scores were asked for, as a sentence; None if they are not."""
    if comparison.samples is not None:
        why = "the scored output holds a class for each position, and those are compared in whole outputs"
    elif any(one.among == "scored" and not one.output for one in non_finite):
        why = "the model is NaN inside on some samples, whose outputs decide what is compared"
    else:
        return None
    return f"the outputs are kept, although --store scores was given, because {why}"


def keep_scores(study: Study, facts: KeptFacts, metrics: Mapping[str, PairedMetric]) -> None:
    """Write what is kept of every measured row whose outputs are there, and of the reference.

    Args:
        study: The study, of which some rows may have scores only.
        facts: What its record does not tell.
        metrics: All known metrics.

    Raises:
        StudyError: If outputs are missing or damaged.
        OSError: If the folder cannot be written.
    """
    if are_gone(study.reference.outputs[study.scored_output]):
        return
    keeping = Keeping.of(study, facts, metrics)
    keeping.reference_row()
    for trial in study.trials:
        if trial.status == "measured" and not are_gone(trial.outputs[study.scored_output]):
            keeping.row(trial)


def _needs_more(study: Study) -> str | None:
    """A sentence if the scores of a study need more space than its outputs; None if no row has run now."""
    rows = {row_folder(row): row for row in (study.reference, *study.trials) if row.failure is None and row.outputs}
    # Most outputs were removed while others ran, but not those of the reference, if anything has run.
    if not any(file.is_file() for row in rows.values() for file in row.outputs.values()):
        return None
    outputs = sum(_bytes_of(RowScores.of(row)) for row in rows.values())
    scores = sum(file.stat().st_size for folder in rows for file in folder.glob("scores.*"))
    if scores <= outputs:
        return None
    return (
        f"the scores need {scores / 1e6:,.2f} MB and the outputs {outputs / 1e6:,.2f} MB, because a sample has few "
        f"outputs; --store outputs needs less space"
    )


def _bytes_of(row: RowScores) -> int:
    """Bytes of the outputs of a row of which scores are kept."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in row.described().values())


def remove_outputs(study: Study) -> None:
    """Remove the outputs of all rows whose scores are kept."""
    for row in (study.reference, *study.trials):
        if row.failure is None and row.outputs:
            remove_row(row)


def remove_row(row: Trial) -> None:
    """Remove the outputs of a measured row, if its scores are kept."""
    if not any(file.is_file() for file in row.outputs.values()) or kept_state(row_folder(row)) != "intact":
        return
    for file in row.outputs.values():
        file.unlink(missing_ok=True)
    # The shards that were joined there cannot be taken from outputs that are gone.
    (row_folder(row) / JOINED).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps the scores of rows, one after another."""

    study: Study
    """With outputs."""
    facts: KeptFacts
    samples: JudgedSamples
    reference: ReferenceSamples
    metrics: tuple[PairedMetric, ...]
    errors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    """What each sample adds to the errors of the reference, see `write_row`; known once its row was written."""

    @classmethod
    def of(cls, study: Study, facts: KeptFacts, metrics: Mapping[str, PairedMetric]) -> Self:
        """Read the reference of a study; its outputs are there."""
        whole = replace(study, store="outputs")
        samples = JudgedSamples(finite_rows(whole))
        reference = reference_samples(whole, samples)
        return cls(whole, facts, samples, reference, judged_metrics(reference, study.metric, metrics))

    def reference_row(self) -> None:
        """Write what is kept of the reference."""
        study = self.study
        told = KeptReference(
            classes=study.classes,
            probabilities=study.probabilities,
            distributions=None if self.facts.rows is None else (self.facts.rows.n, self.facts.rows.distributions),
            non_finite=study.non_finite,
            check=study.reference_check or ReferenceCheck(0.0, 0.0),
        )
        arrays = {"judged": self.samples.finite, **values_of_reference(self.reference)}
        errors = write_row(
            row_folder(study.reference),
            self._record(study.reference, reference=told),
            arrays,
            self._pairs(study.reference),
            known={},
        )
        self.errors.update(errors)

    def row(self, trial: Trial, candidate: CandidateSamples | None = None) -> None:
        """Write what is kept of a row.

        Args:
            trial: The row.
            candidate: Its values, if they are computed already.
        """
        outputs = mapped(trial.outputs[self.study.scored_output])
        candidate = candidate or candidate_samples(self.study, trial, self.reference, self.samples)
        arrays = {
            "judged": self.samples.finite,
            "finite": finite_samples(outputs),
            **values_of_candidate(self.reference, candidate, self.metrics),
        }
        if self.facts.indices is not None:
            arrays |= {"layers/indices": self.facts.indices, "layers/outputs": np.asarray(outputs[self.facts.indices])}
        measured = {(one.setting, one.runtime): one for one in self.study.trials if one.status == "measured"}
        record = self._record(
            trial,
            from_python=self._from_python(trial, measured),
            split=split_of_outputs(self.study, trial),
            split_of=partner_hashes(trial, measured, self.study.scored_output),
        )
        write_row(row_folder(trial), record, arrays, self._pairs(trial), known=self.errors)

    def _record(self, trial: Trial, **more: Any) -> KeptScores:
        scores = trial.scores or Scores(n=self.reference.n)
        n = len(self.samples.finite)
        return KeptScores("", self.facts.reading, n, self.reference.n, {}, scores, **more)

    def _from_python(self, trial: Trial, rows: Mapping[tuple[str, str], Trial]) -> FromPython | None:
        _, python = partners(trial, rows)
        apart, mean = trial.max_abs_from_python, trial.mean_abs_from_python
        if python is None or apart is None or mean is None:
            return None
        return FromPython(hash_of(python, self.study.scored_output), apart, mean, trial.different_from_python)

    def _pairs(self, trial: Trial) -> dict[str, tuple[Path, Path]]:
        """Output → the files of the reference and of a row."""
        return {name: (self.study.reference.outputs[name], file) for name, file in trial.outputs.items()}
