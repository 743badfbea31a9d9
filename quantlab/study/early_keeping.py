"""Keeps the scores of rows while others still run, so that few outputs are on disk at the same time.

A row is compared with its float32 and its Python baseline, see `partners`. As soon as they have run, its scores are
kept. Its outputs are removed when no other row has them, or is to be compared with them. The reference's stay until the
end.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from quantlab.gate import are_gone, row_folder
from quantlab.study.compare import Comparison
from quantlab.study.context import Context
from quantlab.study.conversions import ConversionResult
from quantlab.study.inside.samples import draw_layer_samples
from quantlab.study.keeping import Keeping, KeptFacts, remove_row, unfit_model
from quantlab.study.task import NO_LOSS
from quantlab.types import PYTHON, REFERENCE, KeptOutputs, ModelDescription, NonFinite, SampleSet, Study, Trial

__all__ = ["EarlyKeeping", "Place", "early_keeping", "know_reference"]

Place = tuple[str, str]
"""Setting and runtime of a row."""


@dataclass(slots=True)
class EarlyKeeping:
    """The rows of an analysis that keeps scores only."""

    context: Context
    comparison: Comparison
    draft: Study
    """The study without rows."""
    fallback: bool = False
    """Whether a row may turn out to have the outputs of another runtime."""
    _partners: dict[Place, frozenset[Place]] = field(default_factory=dict)
    """Every planned row, and those that it is compared with."""
    _done: dict[Place, Trial] = field(default_factory=dict)
    _kept: set[Place] = field(default_factory=set)
    _keeping: Keeping | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, conversion: ConversionResult, runtimes: Iterable[str]) -> None:
        """Announce rows before any of those starts that are compared with them."""
        variant, setting = conversion.variant, conversion.setting
        for runtime in runtimes:
            named = {(setting, PYTHON)} | (set() if variant is None else {(variant.float32, PYTHON)})
            self._partners[setting, runtime] = frozenset(named - {(setting, runtime)})

    def add(self, trial: Trial) -> None:
        """Take a row that has run, and keep and remove what nothing else waits for."""
        with self._lock:
            self._done[trial.setting, trial.runtime] = trial
            for place, row in self._done.items():
                if place not in self._kept and self._is_complete(place, row):
                    self._keep(row)
                    self._kept.add(place)
                elif row.status == "measured" and are_gone(row.outputs[self.draft.scored_output]):
                    self._kept.add(place)  # by an earlier analysis
            for place in self._kept:
                waiting = [other for other in self._partners if self._uses(other, place)]
                if all(other in self._kept or self._failed(other) for other in waiting):
                    remove_row(self._done[place])

    def _uses(self, other: Place, place: Place) -> bool:
        """Whether a planned row is compared with the outputs of a row that has run, or has or may have the same."""
        if place in self._partners[other]:
            return True
        row = self._done.get(other)
        if row is None:
            return self.fallback and other[0] == place[0]
        return row.status == "measured" and row_folder(row) == row_folder(self._done[place])

    def _failed(self, place: Place) -> bool:
        return place in self._done and self._done[place].failure is not None

    def _is_complete(self, place: Place, row: Trial) -> bool:
        """Whether all rows have run that a measured row is compared with, and all of their outputs are there.

        A row that is NaN or infinite stays: it may turn out that the model is, too, on samples that then do not count.
        """
        if row.status != "measured" or row.scores is None or row.scores.non_finite:
            return False
        rows = [row]
        for partner in self._partners.get(place, ()):
            if partner in self._partners and partner not in self._done:
                return False
            if partner in self._done and self._done[partner].failure is None:
                rows.append(self._done[partner])
        output = self.draft.scored_output
        return not any(are_gone(one.outputs[output]) for one in (self.draft.reference, *rows))

    def _keep(self, row: Trial) -> None:
        measured = tuple(one for one in self._done.values() if one.status == "measured")
        study, output = replace(self.draft, trials=measured), row.outputs[self.draft.scored_output]
        values = self.comparison.values
        if self._keeping is None:
            known = self.context.scores
            assert known is not None  # noqa: S101 (the caller keeps scores only)
            facts = KeptFacts(known.reading, self.comparison.rows, known.indices)
            self._keeping = Keeping.of(study, facts, self.context.registries.metrics)
            self._keeping.reference_row()
        python = self._done.get((row.setting, PYTHON))
        pair = (row,) if python is None or python is row else (python, row)
        candidate = None if values is None else values.of(output)
        replace(self._keeping, study=study).row(self.comparison.with_python(pair)[-1], candidate)
        if values is not None:
            values.forget(output)


def know_reference(context: Context, samples: SampleSet, comparison: Comparison, reference: KeptOutputs) -> None:
    """Tell what kept scores must belong to, before a row is taken from its scores, if the study keeps scores only."""
    known, options = context.scores, context.options
    if known is None:
        return
    known.reading = known.reading_of(reference)
    if options.layers and comparison.finite.any():
        known.indices = draw_layer_samples(context, samples, options.layer_samples, comparison.finite).indices


def early_keeping(
    context: Context,
    model: ModelDescription,
    samples: SampleSet,
    comparison: Comparison,
    reference: KeptOutputs,
    non_finite: Sequence[NonFinite],
) -> EarlyKeeping | None:
    """What keeps scores while rows run; None if it is not asked for, or outputs may be needed again.

    They are where variants of the user are compared with baselines that are not known yet, and where it is not sure yet
    which samples count, because the model is NaN or infinite on some.
    """
    options = context.options
    unfit = bool(non_finite) or not comparison.finite.all() or unfit_model(comparison, non_finite) is not None
    if context.scores is None or options.variants or unfit:
        return None
    draft = Study(
        model=model,
        samples=samples,
        calibration=None,
        task=comparison.scoring.task,
        scored_output=comparison.scoring.output.name,
        classes=comparison.classes,
        probabilities=comparison.probabilities,
        batch_size=options.batch_size,
        seed=options.seed,
        reference=Trial(REFERENCE, PYTHON, outputs=reference.files),
        trials=(),
        metric=None if options.metric in NO_LOSS else options.metric,
    )
    return EarlyKeeping(context, comparison.with_values(), draft, fallback=options.fallback)
