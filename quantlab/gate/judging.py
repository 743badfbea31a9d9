"""Judges the settings of a study from its stored outputs; runs nothing."""

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.gate.left_out import JudgedSamples
from quantlab.gate.looks import budget_at, evidence_at, look_at, read_looks, record_look
from quantlab.gate.output_limits import limited_figures
from quantlab.gate.outputs import refuse_unknown_outputs, with_outputs
from quantlab.gate.plausible import refuse_implausible
from quantlab.gate.poor_reference import refuse_poor_reference
from quantlab.gate.preprocessing_part import with_preprocessing_part
from quantlab.gate.stored import candidate_samples, finite_rows, judged_metrics, mapped_file, reference_samples
from quantlab.gate.verdict import budget_of_each, decide
from quantlab.names import study_folder
from quantlab.registries import REAL, Registries
from quantlab.samples import read_groups
from quantlab.statistics import (
    CandidateSamples,
    PairedMetric,
    ReferenceSamples,
    Resampling,
    compressed,
    evidence,
)
from quantlab.store import TUNING, Store
from quantlab.types import (
    KEEPS_FLOAT,
    Budget,
    Evidence,
    Looks,
    Loss,
    OpenedModel,
    Setting,
    Study,
    Trial,
    TrialEvidence,
    Verdict,
)
from quantlab_converters import RecipeRequest

__all__ = [
    "Judged",
    "JudgedReference",
    "gather",
    "gather_of",
    "judge",
    "name_of",
    "opened_model",
    "recipe",
]

_AT_ONCE = 2
_NO_METRIC = (
    "the budget limits the loss to {}, and the ground truth of the samples has no metric of its own; name one with "
    "--metric, for example cer, or a function: module:function:higher"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, with the study and the evidence behind it."""

    study: Study
    verdict: Verdict
    trials: tuple[TrialEvidence, ...]
    each: Budget
    """The budget with the confidence of the bounds in the evidence."""


def judge(
    study: Study | str | Path,
    budget: Budget,
    *,
    settings: Sequence[str] | None = None,
    registries: Registries = REAL,
) -> Verdict:
    """Judge whether the settings of a study keep a budget, from its stored outputs.

    >>> import quantlab
    >>> verdict = quantlab.judge("model.study", quantlab.Budget(max_accuracy_loss="0.5pt"))  # doctest: +SKIP
    >>> assert verdict.fits, verdict.explain()  # doctest: +SKIP

    Args:
        study: A study, or its folder.
        budget: The limits, and the target and runtimes that count.
        settings: Names and globs of the settings that must fit; None means that any quantized setting is enough.
        registries: All formats, runtimes and converters.

    Raises:
        UsageError: If a name is unknown in the study, or a limit cannot be judged, for example a loss without labels.
        StudyError: If the study is missing or incomplete, or has too few samples.
    """
    if isinstance(study, Study):
        refuse_unknown_outputs(budget, [study])
        return gather(study, budget, settings=settings, registries=registries).verdict
    store = Store(Path(study))
    refuse_unknown_outputs(budget, [store.read_study()])  # before the look at the study is recorded
    return gather_of(store, budget, settings=settings, registries=registries).verdict


def gather_of(
    store: Store, budget: Budget, *, settings: Sequence[str] | None = None, registries: Registries = REAL
) -> Judged:
    """Return the verdict about a study on disk with its evidence, and record that it was judged; see `judge`.

    A verdict about a study counts as a look at its samples, see `quantlab.gate.looks`.
    """
    store.refuse_running()
    study, looks = store.read_study(), read_looks(store)
    judged = gather(study, budget, settings=settings, name=name_of(store.root), looks=looks, registries=registries)
    return replace(judged, verdict=record_look(store, looks, study, judged.verdict))


def name_of(folder: Path) -> str:
    """Return the name of a study: its folder without `.study`."""
    return folder.resolve().name.removesuffix(".study")


def gather(
    study: Study,
    budget: Budget,
    *,
    settings: Sequence[str] | None = None,
    name: str = "",
    looks: Looks | None = None,
    registries: Registries = REAL,
) -> Judged:
    """Return the verdict with its evidence; see `judge`.

    Args:
        study: The study.
        budget: The limits, and the target and runtimes that count.
        settings: Names and globs of the settings that must fit; None means that any quantized setting is enough.
        name: The name of the study; empty for that of its model.
        looks: What was judged before; None to judge as if nothing was.
        registries: All formats, runtimes and converters.
    """
    refuse_implausible(study, name)
    look = None if looks is None else look_at(looks, study, budget)
    each = budget_of_each(study.trials, budget, settings=settings, registries=registries)
    each = budget_at(look, looks or Looks(), study, each)
    compared = JudgedReference.of(study, each, registries)

    def seen(trial: Trial) -> TrialEvidence:
        found = compared.of_trial(trial)
        if found is not None:
            limited = limited_figures(trial, study, compared.samples.finite, each, compared.resampling)
            found = evidence_at(look, replace(found, figures=limited), each)
        return TrialEvidence(trial, found)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        trials = tuple(pool.map(seen, study.trials))
    name = name or name_of(study_folder(Path(study.model.path)))
    verdict = decide(trials, budget, study=name, settings=settings, each=each, registries=registries)
    verdict = with_preprocessing_part(verdict, study, compared.loss_of_pipeline())
    refuse_poor_reference(study, compared.reference, budget, compared.metrics)
    warnings = (*compared.samples.warning(), *study.warnings)
    return Judged(study, replace(verdict, look=look, warnings=warnings), trials, each)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedReference:
    """The reference of a study, with which trials and other outputs are compared."""

    study: Study
    samples: JudgedSamples
    reference: ReferenceSamples
    metrics: tuple[PairedMetric, ...]
    resampling: Resampling

    @classmethod
    def of(cls, study: Study, budget: Budget, registries: Registries = REAL) -> Self:
        """Read the reference's outputs.

        Raises:
            UsageError: If a limit cannot be judged, for example a loss without labels.
            StudyError: If the outputs are missing or damaged.
        """
        samples = JudgedSamples.of(finite_rows(study), study, budget)
        reference = reference_samples(study, samples)
        metrics = judged_metrics(reference, budget.metric or study.metric, registries.metrics)
        if not metrics and reference.labels is not None and budget.margin is not None:
            raise UsageError(_NO_METRIC.format(budget.margin))
        codes = read_groups(study.samples)
        groups = None if codes is None else compressed(samples.rows(codes))
        resampling = Resampling(confidence=budget.confidence, seed=study.seed, groups=groups)
        return cls(study, samples, reference, metrics, resampling)

    def of_trial(self, trial: Trial) -> Evidence | None:
        """The evidence of a trial, and about its other outputs; None if it was not measured."""
        if trial.failure is not None:
            return None
        candidate = candidate_samples(self.study, trial, self.reference, self.samples)
        compared = self._evidence(candidate, setting=trial.setting, runtime=trial.runtime)
        numbered = self.samples.identified(self.samples.numbered(compared), self.study)
        return with_outputs(numbered, trial, self.study, self.samples.finite)

    def of_itself(self) -> Evidence:
        """The evidence about a variant that gives the reference's own outputs."""
        row = self.study.reference
        return self._evidence(self.reference.itself(), setting=row.setting, runtime=row.runtime)

    def loss_of_pipeline(self) -> Loss | None:
        """What the reference loses on the samples of an app's pipeline; None if the study has none."""
        fed = self.study.fed_reference
        return (
            None
            if fed is None
            else self.of_outputs(
                mapped_file(fed.outputs[self.study.scored_output]), setting=fed.setting, runtime=fed.runtime
            ).loss
        )

    def of_outputs(self, outputs: npt.NDArray[Any], *, setting: str, runtime: str) -> Evidence:
        """The evidence about a scored output that an artifact gives for the samples of the study."""
        expected = (len(self.samples.finite), *self.reference.shape[1:])
        if outputs.shape != expected:
            raise StudyError(
                f"the outputs of {setting} in {runtime} have the shape {outputs.shape}, and those of the reference "
                f"{expected}; run 'quantlab analyze' again"
            )
        candidate = CandidateSamples.of(self.reference, self.samples.rows(outputs))
        return self._evidence(candidate, setting=setting, runtime=runtime)

    def _evidence(self, candidate: CandidateSamples, *, setting: str, runtime: str) -> Evidence:
        return evidence(
            self.reference,
            candidate,
            setting=setting,
            runtime=runtime,
            metrics=self.metrics,
            resampling=self.resampling,
        )


def opened_model(store: Store, study: Study) -> OpenedModel | None:
    """Return the model of a study as it was opened; None if the record is missing or damaged."""
    records = sorted((store.root / "model").glob("*/opened.json"))
    kept = (store.read(record, OpenedModel) for record in records)
    return next((opened for opened in kept if opened and opened.description == study.model), None)


def recipe(store: Store, study: Study, name: str | None, registries: Registries = REAL) -> str | None:
    """Return the command or program that makes an artifact with the official tools; None for a given variant."""
    setting, opened = registries.settings.get(name or ""), opened_model(store, study)
    if setting is None or opened is None:
        return None
    scheme, calibrated = setting.scheme, setting.calibrated
    if setting.tuned:
        decided = store.read_tuning().formats.get(setting.format)
        base = registries.settings.get(decided.setting or "") if decided is not None else None
        if base is None:
            return _made_again(store, study, setting)
        scheme, calibrated = f"{base.scheme}{KEEPS_FLOAT}", base.calibrated
    calibration = study.calibration if calibrated else None
    return registries.converters[setting.format].recipe(
        RecipeRequest(
            setting=setting.name,
            scheme=scheme,
            source=_as_written(opened.source),
            format=opened.format,
            signature=opened.signature,
            input_shapes={spec.name: tuple(int(size or 0) for size in spec.shape[1:]) for spec in study.samples.inputs},
            calibration={spec.name: _as_written(calibration.input_file(spec.name)) for spec in calibration.inputs}
            if calibration
            else {},
            model=_as_written(Path(opened.description.path)),
            float_layers=_float_layers(study, setting.name),
        )
    )


def _made_again(store: Store, study: Study, setting: Setting) -> str:
    """The command that makes a tuned artifact from the model and the decisions about its weights."""
    words = ["quantlab", "convert", study.model.path, "--tuned", str(_as_written(store.root.absolute() / TUNING))]
    if study.model.signature not in {None, "serving_default"}:
        words += ["--signature", str(study.model.signature)]
    return shlex.join([*words, "--settings", setting.name, "--out", f"{setting.name}-again"])


def _float_layers(study: Study, name: str) -> tuple[str, ...]:
    return next(
        (trial.variant.float_layers for trial in study.trials if trial.setting == name and trial.variant is not None),
        (),
    )


def _as_written(path: Path) -> Path:
    """Return a relative path if it is below the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
