"""What may be shipped of a study, from the outputs it kept; nothing is run."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.formats import Format
from quantlab.gate.recommendation import choose
from quantlab.gate.verdict import decide
from quantlab.npy import mapped
from quantlab.registries import REAL, Registries
from quantlab.statistics import (
    CandidateSamples,
    PairedMetric,
    ReferenceSamples,
    Resampling,
    default_metrics,
    evidence,
    paired_metric,
    speed_note,
)
from quantlab.store import Store
from quantlab.types import Budget, Evidence, OpenedModel, Recommendation, Study, Trial, TrialEvidence, Verdict
from quantlab_converters import RecipeRequest

__all__ = ["Judged", "gather", "judge", "name_of", "recipe", "recommend"]

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and all that it was made of."""

    study: Study
    verdict: Verdict
    trials: tuple[TrialEvidence, ...]


def judge(
    study: Study | str | Path,
    budget: Budget,
    *,
    settings: Sequence[str] | None = None,
    registries: Registries = REAL,
) -> Verdict:
    """Decide whether the settings of a study keep a budget, from its stored outputs.

    >>> import quantlab
    >>> verdict = quantlab.judge("model.study", quantlab.Budget(max_accuracy_loss="0.5pt"))  # doctest: +SKIP
    >>> assert verdict.fits, verdict.explain()  # doctest: +SKIP

    Args:
        study: A study, or its folder.
        budget: What may be lost, and where.
        settings: Those that must fit, names and globs; None is all, of which one quantized one is enough.
        registries: The formats, runtimes and converters there are.

    Raises:
        UsageError: If a name is none of the study's, or a limit cannot be judged, as a loss without labels.
        StudyError: If there is no study, it is not whole, or too small to follow anything from.
    """
    if isinstance(study, Study):
        return gather(study, budget, settings=settings, registries=registries).verdict
    store = Store(Path(study))
    store.refuse_running()
    judged = gather(store.read_study(), budget, settings=settings, name=name_of(store.root), registries=registries)
    return judged.verdict


def name_of(folder: Path) -> str:
    """How a study is called: its folder without `.study`."""
    return folder.resolve().name.removesuffix(".study")


def gather(
    study: Study,
    budget: Budget,
    *,
    settings: Sequence[str] | None = None,
    name: str = "",
    registries: Registries = REAL,
) -> Judged:
    """The verdict with its evidence; see `judge`."""
    reference = _reference(study)
    metrics = _metrics(reference, budget.metric or study.metric, registries.metrics)
    resampling = Resampling(confidence=budget.confidence, seed=study.seed)

    def look(trial: Trial) -> TrialEvidence:
        return TrialEvidence(trial, _evidence(study, trial, reference, metrics, resampling))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        trials = tuple(pool.map(look, study.trials))
    name = name or Path(study.model.path).stem
    verdict = decide(trials, budget, study=name, settings=settings, registries=registries)
    return Judged(study, replace(verdict, warnings=study.warnings), trials)


def recommend(study: str | Path, budget: Budget, *, registries: Registries = REAL) -> Recommendation:
    """Choose the smallest setting that keeps a budget in every runtime that counts, from a study's stored outputs.

    Args:
        study: The study's folder.
        budget: What may be lost, and where.

    Returns:
        With a reason for each other setting, and the command or code that makes what is chosen.

    Raises:
        UsageError: As `judge`.
        StudyError: As `judge`.
    """
    store = Store(Path(study))
    store.refuse_running()
    judged = gather(store.read_study(), budget, name=name_of(store.root), registries=registries)
    recommendation = choose(judged.trials, budget, study=judged.verdict.study, registries=registries)
    return replace(
        recommendation,
        verdict=replace(recommendation.verdict, warnings=judged.study.warnings),
        no_faster=_no_faster(store, judged.study, recommendation, registries.formats),
        minimum_runtime=_minimum_runtime(judged.study, recommendation.setting),
        reproduce=recipe(store, judged.study, recommendation.setting, registries),
    )


def _no_faster(store: Store, study: Study, recommendation: Recommendation, formats: Mapping[str, Format]) -> str | None:
    """From the costs that were measured of the very artifact, in the runtimes that count."""
    if recommendation.setting is None or not (store.root / "costs.json").is_file():
        return None
    counting = {judgement.runtime for judgement in recommendation.verdict.of(recommendation.setting).judgements}
    variant = next(trial.variant for trial in study.trials if trial.setting == recommendation.setting and trial.variant)
    rows = store.read_costs().rows
    float32 = {cost.runtime: cost for cost in rows if cost.setting == variant.float32}
    notes = {
        cost.runtime: note
        for cost in rows
        if (cost.setting, cost.sha256) == (recommendation.setting, variant.sha256)
        and cost.runtime in counting
        and cost.runtime in float32
        and (note := speed_note(cost, float32[cost.runtime])) is not None
    }
    if not notes:
        return None
    loaded = formats[variant.format].loaded if variant.format in formats else None
    why = f": {loaded}" if loaded else ""
    return f"{next(iter(notes.values()))} in {' and '.join(notes)} on this machine{why}"


def _minimum_runtime(study: Study, name: str | None) -> str | None:
    return next(
        (trial.variant.minimum_runtime for trial in study.trials if trial.setting == name and trial.variant), None
    )


def recipe(store: Store, study: Study, name: str | None, registries: Registries = REAL) -> str | None:
    """The command or program that makes a setting's artifact with the official tools; None for a given variant."""
    setting = registries.settings.get(name or "")
    opened = next(
        (
            kept
            for record in sorted((store.root / "model").glob("*/opened.json"))
            if (kept := store.read(record, OpenedModel)) and kept.description == study.model
        ),
        None,
    )
    if setting is None or opened is None:
        return None
    calibration = study.calibration if setting.calibrated else None
    return registries.converters[setting.format].recipe(
        RecipeRequest(
            scheme=setting.scheme,
            source=_as_written(opened.source),
            format=opened.format,
            signature=opened.signature,
            input_shapes={spec.name: tuple(int(size or 0) for size in spec.shape[1:]) for spec in study.samples.inputs},
            calibration={spec.name: _as_written(calibration.input_file(spec.name)) for spec in calibration.inputs}
            if calibration
            else {},
            model=_as_written(Path(opened.description.path)),
        )
    )


def _as_written(path: Path) -> Path:
    """Relative where it lies below the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _metrics(
    reference: ReferenceSamples, asked: str | None, known: Mapping[str, PairedMetric]
) -> tuple[PairedMetric, ...]:
    defaults = default_metrics(reference)
    if asked is None:
        return defaults
    chosen = paired_metric(asked, known)
    return (chosen, *(metric for metric in defaults if metric.name != chosen.name))


def _reference(study: Study) -> ReferenceSamples:
    labels = _mapped(study.samples.labels_file) if study.samples.labelled and study.task != "similarity" else None
    outputs = _mapped(study.reference.outputs[study.scored_output])
    try:
        return ReferenceSamples.of(
            outputs,
            labels.astype(np.float64) if labels is not None and study.task == "regression" else labels,
            task=study.task,
            probabilities=study.probabilities,
            classes=study.classes,
        )
    except ValueError as error:
        raise StudyError(
            f"the outputs of the reference cannot be judged: {error}; run 'quantlab analyze' again"
        ) from error


def _evidence(
    study: Study,
    trial: Trial,
    reference: ReferenceSamples,
    metrics: Sequence[PairedMetric],
    resampling: Resampling,
) -> Evidence | None:
    if trial.failure is not None:
        return None
    outputs = _mapped(trial.outputs[study.scored_output])
    if outputs.shape != reference.outputs.shape:
        raise StudyError(
            f"the outputs of {trial.setting} in {trial.runtime} have the shape {outputs.shape}, and those of the "
            f"reference {reference.outputs.shape}; run 'quantlab analyze' again"
        )
    return evidence(
        reference,
        CandidateSamples.of(reference, outputs),
        setting=trial.setting,
        runtime=trial.runtime,
        metrics=metrics,
        resampling=resampling,
    )


def _mapped(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = mapped(path)
    except (OSError, ValueError, EOFError) as error:  # the last of an empty file
        raise StudyError(
            f"the file '{path}' of the study cannot be read ({error}); run 'quantlab analyze' again, which runs only "
            f"what is missing"
        ) from error
    return array
