"""Whether the reference itself is finite: on which samples it is not, and which weight or tensor makes it so.

The outputs are looked at in every study, because they are on disk anyway. What is inside the model is read on the
calibration samples, if a setting is calibrated, and where there is something to explain: an output that is not finite.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from quantlab.errors import ModelError, QuantlabError
from quantlab.formats.finite import spoiled_weights
from quantlab.gate import RowScores, are_gone
from quantlab.npy import mapped
from quantlab.runtimes import Job, python
from quantlab.runtimes.protocol import answer
from quantlab.runtimes.requests import NonFiniteWeights
from quantlab.samples import kept_places, kept_subset, names_of
from quantlab.statistics import finite_samples, ranges_of
from quantlab.store import key_of
from quantlab.study.context import Context, model_identity, model_options, read_kept
from quantlab.study.inside.first_non_finite import Cause, first_of_all, first_of_some, rows_with_nan
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.non_finite_words import unsearched_warning
from quantlab.study.reference import batch_size_for
from quantlab.study.scores_only import scores_of
from quantlab.types import InnerRange, KeptOutputs, NonFinite, OpenedModel, SampleSet, Setting, Trial
from quantlab.types.messages import SpoiledWeights

__all__ = [
    "NON_FINITE",
    "PHASE",
    "FiniteCheck",
    "KnownCause",
    "SearchedCalibration",
    "SpoiledRows",
    "spoiled_by_variants",
    "suspect_calibration",
]

NON_FINITE = "non-finite.json"
"""A record of `KnownCause`, `SearchedCalibration` or `SpoiledRows`."""

_ROWS_READ = 16
"""Samples that are read inside to find the first tensor; the others are then read at that tensor alone."""

PHASE = "read calibration samples"
"""The phase of a study in which the reference's tensors are read on the calibration samples, for its progress."""

_STEP = "read tensors of the model on the calibration samples"

_ONE_AT_A_TIME = threading.Lock()
"""Two formats may fail on the same calibration samples at once, and their tensors are read into one file."""


@dataclass(frozen=True, slots=True)
class KnownCause:
    """What was found about some samples, as kept."""

    weights: tuple[str, ...] = ()
    cause: Cause = field(default_factory=Cause)
    """Empty if a weight explains everything, and which samples it spoils is known without it."""


@dataclass(frozen=True, slots=True)
class SpoiledRows:
    """Samples on which a tensor inside is NaN, as kept."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SearchedCalibration:
    """What was found about the calibration samples, as kept."""

    known: KnownCause
    ranges: tuple[InnerRange, ...]
    """Of each tensor of floats inside the reference, in order of execution."""


_Answer = TypeVar("_Answer", KnownCause, SearchedCalibration, SpoiledRows)


@dataclass(frozen=True, slots=True)
class FiniteCheck:
    """The questions about one reference; each answer is kept, as everything is."""

    context: Context
    model: OpenedModel

    def of_outputs(self, samples: SampleSet, kept: KeptOutputs) -> tuple[NonFinite, ...]:
        """One entry for each of the reference's outputs that is NaN or infinite on a scored sample."""
        if any(map(are_gone, kept.files.values())):
            return _of_outputs_kept(kept)
        finite = {name: finite_samples(mapped(path)) for name, path in kept.files.items()}
        return tuple(self._of_output(samples, name, rows) for name, rows in finite.items() if not rows.all())

    def _of_output(self, samples: SampleSet, output: str, finite: npt.NDArray[np.bool_]) -> NonFinite:
        places = kept_places(samples)
        spoiled, fine = np.flatnonzero(~finite[places])[:1], np.flatnonzero(finite[places])[:1]
        known = self._of_some(kept_subset(samples), spoiled.tolist(), int(fine[0]) if len(fine) else None)
        return _finding(samples, np.flatnonzero(~finite), known, output=output)

    def search_calibration(self, calibration: SampleSet) -> str | None:
        """Search the calibration samples, for `of_calibration`; return a warning if the model cannot be read inside."""
        try:
            self._search_calibration(calibration)
        except QuantlabError as error:
            return unsearched_warning(str(error))
        return None

    def of_calibration(self, calibration: SampleSet, *, suspect: bool = True) -> NonFinite | None:
        """Which calibration samples make a tensor inside the model NaN or infinite; None if none, or if unreadable.

        All tensors of all calibration samples are read, which takes about as long as a calibration.

        Args:
            calibration: The samples.
            suspect: Whether a conversion or a row gives a reason to ask. Otherwise infinity on all samples is not told
                of: it may be a mask that is meant, and that the converter coped with.
        """
        known = self._of_calibration(calibration)
        if known is None or not known.cause.rows:
            return None
        rows = np.arange(calibration.n) if known.weights else np.asarray(known.cause.rows)
        meant = len(rows) == calibration.n and not known.weights and known.cause.nan is None
        return _finding(calibration, rows, known, among="calibration") if suspect or not meant else None

    def ranges_inside(self, calibration: SampleSet) -> tuple[InnerRange, ...]:
        """The range of each tensor of floats inside the model on the calibration samples; empty if unreadable."""
        try:
            return self._search_calibration(calibration).ranges
        except QuantlabError:
            return ()

    def of_inside(
        self, samples: SampleSet, calibration: SampleSet | None, spoiled: npt.NDArray[np.bool_], fine: int | None
    ) -> NonFinite | None:
        """Scored samples on which the model is NaN inside, though its output is finite.

        A ReLU may turn NaN into 0 in one library and keep it in another. Then the variants are not at fault.

        Args:
            samples: The scored samples.
            calibration: Calibration samples that are known to make the model infinite inside; None if there are none.
            spoiled: (n,), samples on which a variant's output is not finite and the reference's is.
            fine: A sample on which everything is finite; None if there is none.
        """
        if samples.few is not None and not spoiled.any():
            return None
        if samples.few is not None:
            self.context.progress.warn(
                f"variants are NaN or infinite on samples on which the model is not, and whether the model is so "
                f"inside cannot be known from the {samples.few.n:,} samples that are kept; leave --keep-samples few out"
            )
            return None
        rows = [int(row) for row in np.flatnonzero(spoiled)[:_ROWS_READ]]
        known = [self._inside_of_some(samples, rows, fine) if rows else None]
        known.append(self._of_calibration(calibration) if calibration else None)
        causes = [one.cause for one in known if one is not None and one.cause.nan is not None]
        names = sorted({str(cause.nan) for cause in causes})
        places = self._rows_with_nan(samples, names) if names else None
        if places is None or not places.any():
            return None
        weights = next((one.weights for one in known if one is not None and one.weights), ())
        return _finding(samples, np.flatnonzero(places), KnownCause(weights, causes[0]))

    def _inside_of_some(self, samples: SampleSet, rows: Sequence[int], other: int | None) -> KnownCause | None:
        """The tensors, even if a weight explains them: it does not tell which samples it spoils."""

        def look() -> KnownCause:
            weights = self._weights()
            cause = first_of_some(self._inputs(samples), self.model, rows, other)
            return KnownCause(weights if _certain(weights) else (), cause)

        return self._kept(samples, {"inside": list(rows), "other": other}, KnownCause, look)

    def _of_some(self, samples: SampleSet, rows: Sequence[int], other: int | None) -> KnownCause | None:
        asked = {"rows": list(rows), "other": other}
        return self._kept(samples, asked, KnownCause, lambda: self._look(samples, rows, other))

    def _look(self, samples: SampleSet, rows: Sequence[int], other: int | None) -> KnownCause:
        weights = self._weights()
        if _certain(weights) or (weights and other is None):
            return KnownCause(weights)
        if not rows:  # few samples are kept, and none of these is among them
            return KnownCause()
        return KnownCause((), first_of_some(self._inputs(samples), self.model, rows, other))

    def _of_calibration(self, calibration: SampleSet) -> KnownCause | None:
        """What the calibration samples do to the model; None if it cannot be read inside."""
        try:
            return self._search_calibration(calibration).known
        except QuantlabError:
            return None

    def _search_calibration(self, calibration: SampleSet) -> SearchedCalibration:
        seed = self.context.options.seed

        def look() -> SearchedCalibration:
            progress, outcome = self.context.progress, "the tensors cannot be read"
            progress.begin(_STEP)
            try:
                cause, ranges = first_of_all(self._inputs(calibration), self.model, seed=seed)
                # Listing the weights opens the model once more, which takes longer than reading a small one's tensors.
                weights = self._weights() if cause.rows else ()
                outcome = "done"
            finally:
                progress.end(_STEP, outcome)
            return SearchedCalibration(KnownCause(weights if _certain(weights) else (), cause), ranges)

        return self._found(calibration, {"calibration": "all", "halves": seed}, SearchedCalibration, look)

    def _rows_with_nan(self, samples: SampleSet, names: Sequence[str]) -> npt.NDArray[np.bool_] | None:
        def look() -> SpoiledRows:
            rows = np.flatnonzero(rows_with_nan(self._inputs(samples), self.model, names))
            return SpoiledRows(ranges_of(rows.tolist()))

        kept = self._kept(samples, {"nan": list(names)}, SpoiledRows, look)
        if kept is None:
            return None
        places = np.zeros(samples.n, np.bool_)
        for start, stop in kept.ranges:
            places[start:stop] = True
        return places

    def _kept(
        self, samples: SampleSet, asked: Mapping[str, Any], kind: type[_Answer], look: Callable[[], _Answer]
    ) -> _Answer | None:
        """The same as `_found`; None where the model cannot be read inside, which is tried again."""
        try:
            return self._found(samples, asked, kind, look)
        except QuantlabError:
            return None

    def _found(
        self, samples: SampleSet, asked: Mapping[str, Any], kind: type[_Answer], look: Callable[[], _Answer]
    ) -> _Answer:
        """What was found before, or is found now."""
        context = self.context
        batch = batch_size_for(context, self.model)
        key = key_of({"samples": samples.sha256, "batch": batch, **model_identity(context), **asked})
        record = context.store.model_folder(key) / NON_FINITE
        with _ONE_AT_A_TIME:
            kept = read_kept(context, record, kind, "the model is searched again for what is not finite")
            if kept is None:
                kept = look()
                context.store.write(record, kept)
        return kept

    def _inputs(self, samples: SampleSet) -> SessionInputs:
        return SessionInputs(
            self.context, samples, self.model.description.outputs, batch_size_for(self.context, self.model)
        )

    def _weights(self) -> tuple[str, ...]:
        """The model's weights with NaN or infinity, as `spoiled_weights` names them."""
        context, model = self.context, self.model
        if model.format is not None:
            listed = context.registries.formats[model.format].weights(model.source)
            return tuple(spoiled_weights((weight.name, weight.values) for weight in listed))
        job = Job("", "", "", 1, 0, 0, (), (), model_options(context), python.REFERENCE)
        return answer(python.HOST, NonFiniteWeights(job), SpoiledWeights, context.pool, error=ModelError).weights


def _of_outputs_kept(kept: KeptOutputs) -> tuple[NonFinite, ...]:
    """What was found about outputs that were removed."""
    told = RowScores.read(next(iter(kept.files.values())).parent, "the model itself").record.reference
    return () if told is None else tuple(one for one in told.non_finite if one.among == "scored" and one.output)


def _certain(weights: Sequence[str]) -> bool:
    """Whether a weight holds NaN, which explains everything; infinity may be a mask that is meant."""
    return any("NaN" in text.rpartition(": ")[2] for text in weights)


def _finding(
    samples: SampleSet,
    rows: npt.NDArray[Any],
    known: KnownCause | None,
    *,
    output: str = "",
    among: Literal["scored", "calibration"] = "scored",
) -> NonFinite:
    known = known or KnownCause()
    return NonFinite(
        among=among,
        output=output,
        samples=len(rows),
        of=samples.n,
        names=names_of(samples, rows),
        weights=known.weights,
        first_tensor=known.cause.tensor,
        first_layer=known.cause.layer,
        ranges=ranges_of(rows.tolist()) if among == "scored" else (),
    )


def spoiled_by_variants(
    trials: Sequence[Trial], output: str, finite: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], int | None]:
    """Samples on which a measured trial is not finite and the reference is, (n,), and one on which all are finite."""
    all_finite = finite.copy()
    for trial in trials:
        if trial.status == "measured" and trial.scores is not None and trial.scores.non_finite:
            kept = scores_of(trial)
            all_finite &= finite_samples(mapped(trial.outputs[output])) if kept is None else kept.array("finite")
    return finite & ~all_finite, int(all_finite.argmax()) if all_finite.any() else None


def suspect_calibration(
    trials: Sequence[Trial], non_finite: Sequence[NonFinite], settings: Mapping[str, Setting]
) -> bool:
    """Whether a calibrated row gives a reason to read the model on the calibration samples.

    These are a failed conversion, an output that is NaN, infinite or hardly like the reference's, and a reference that
    is not finite on scored samples, unless a weight has explained that already.
    """
    if any(finding.weights for finding in non_finite):
        return False
    calibrated = [trial for trial in trials if (known := settings.get(trial.setting)) and known.calibrated]
    return bool(calibrated) and (bool(non_finite) or any(_strays(trial) for trial in calibrated))


def _strays(trial: Trial) -> bool:
    if trial.failure is not None:
        return trial.failure.stage == "conversion"
    scores = trial.scores
    return scores is not None and (bool(scores.non_finite) or (scores.sqnr_db or 0.0) < _HARDLY_ALIKE_DB)


_HARDLY_ALIKE_DB = 3.0
"""An SQNR below this means that the error is about as large as the output: ranges that make no sense cause that."""
