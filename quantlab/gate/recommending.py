"""Recommends a setting of a study from its stored outputs; runs nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from quantlab.formats import Format
from quantlab.gate.judging import Judged, gather_of, recipe
from quantlab.gate.outputs import refuse_unknown_outputs
from quantlab.gate.recommendation import choose
from quantlab.names import joined
from quantlab.registries import REAL, Registries
from quantlab.statistics import speed, speed_note
from quantlab.store import Store
from quantlab.types import Budget, Recommendation, Study

__all__ = ["recommend", "recommendation_of"]


def recommend(study: str | Path, budget: Budget, *, registries: Registries = REAL) -> Recommendation:
    """Recommend the smallest setting that keeps a budget in every runtime that counts, from stored outputs.

    Args:
        study: The folder of the study.
        budget: The limits, and the target and runtimes that count.

    Returns:
        The recommendation, a reason for every other setting, and the command or code that makes the artifact.

    Raises:
        UsageError: See `judge`.
        StudyError: See `judge`.
    """
    store = Store(Path(study))
    refuse_unknown_outputs(budget, [store.read_study()])  # before the look at the study is recorded
    return recommendation_of(store, gather_of(store, budget, registries=registries), registries=registries)


def recommendation_of(store: Store, judged: Judged, *, registries: Registries = REAL) -> Recommendation:
    """The recommendation among the judged settings of a study; see `recommend`."""
    verdict = judged.verdict
    recommendation = choose(judged.trials, verdict.budget, each=judged.each, verdict=verdict, registries=registries)
    return replace(
        recommendation,
        no_faster=_no_faster(store, judged.study, recommendation, registries.formats),
        minimum_runtime=_minimum_runtime(judged.study, recommendation.setting),
        reproduce=recipe(store, judged.study, recommendation.setting, registries),
    )


def _no_faster(store: Store, study: Study, recommendation: Recommendation, formats: Mapping[str, Format]) -> str | None:
    """Say if the recommended artifact is not shown to be faster than float32, or is slower, in runtimes that count."""
    if recommendation.setting is None or not (store.root / "costs.json").is_file():
        return None
    counting = {judgement.runtime for judgement in recommendation.verdict.of(recommendation.setting).judgements}
    variant = next(trial.variant for trial in study.trials if trial.setting == recommendation.setting and trial.variant)
    costs = store.read_costs()
    rows, float32 = costs.rows, {cost.runtime: cost for cost in costs.rows if cost.setting == variant.float32}
    machines: dict[str, dict[str, list[str]]] = {}
    for cost in rows:
        of_artifact = (cost.setting, cost.sha256) == (recommendation.setting, variant.sha256)
        if not of_artifact or cost.runtime not in counting or cost.runtime not in float32:
            continue
        note = speed_note(cost, float32[cost.runtime])
        if note is not None and speed(cost, float32[cost.runtime]) != "faster":
            where = "this machine" if cost.machine == costs.machine else cost.machine.text
            machines.setdefault(where, {}).setdefault(note, []).append(cost.runtime)
    if not machines:
        return None
    loaded = formats[variant.format].loaded if variant.format in formats else None
    why = f": {loaded}" if loaded else ""
    told = ", ".join(
        f"{', '.join(f'{note} in {joined(names)}' for note, names in runtimes.items())} on {where}"
        for where, runtimes in machines.items()
    )
    return f"{told}{why}"


def _minimum_runtime(study: Study, name: str | None) -> str | None:
    return next(
        (trial.variant.minimum_runtime for trial in study.trials if trial.setting == name and trial.variant), None
    )
