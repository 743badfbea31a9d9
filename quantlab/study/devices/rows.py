"""Keeps the layers and costs of a device's rows when `analyze` measures the others again."""

from collections.abc import Sequence
from dataclasses import replace

from quantlab.study.inside.look import is_about, split_rows
from quantlab.study.inside.source import find_sources
from quantlab.types import Cost, Costs, Inside, LayerRow, Study, Trial

__all__ = ["same_layer_samples", "with_costs", "with_device_costs", "with_device_layers", "with_layers"]


def with_device_layers(inside: Inside, before: Inside | None, study: Study) -> Inside:
    """The layer comparison with the rows and notes that an earlier one had for the devices of the study.

    Rows that the new comparison has itself, as those of imported tensors, are not replaced by earlier ones.

    Args:
        inside: The comparison of this machine's runtimes.
        before: The earlier comparison; its rows count only if they are about the same samples.
        study: The study; rows of others than its imported trials are left out.
    """
    if before is None or not same_layer_samples(before, inside):
        return inside
    imported = {(trial.setting, trial.runtime) for trial in study.trials if trial.imported}
    imported -= {(row.setting, row.runtime) for row in inside.layers}
    kept = [row for row in before.layers if (row.setting, row.runtime) in imported]
    notes = [note for note in before.notes if any(is_about(note, *trial) for trial in imported)]
    return replace(with_layers(inside, kept, study), notes=tuple(dict.fromkeys([*inside.notes, *notes])))


def same_layer_samples(one: Inside, other: Inside) -> bool:
    """Whether two layer comparisons are about the same samples; records of an older quantlab tell only how many."""
    if one.layer_samples is None or other.layer_samples is None:
        return (one.samples, one.drawn) == (other.samples, other.drawn)
    return one.layer_samples.sha256 == other.layer_samples.sha256


def with_layers(inside: Inside, rows: Sequence[LayerRow], study: Study) -> Inside:
    """The layer comparison with further rows, in the order of the table; they replace those of the same trials."""
    new = {(row.setting, row.runtime) for row in rows}
    every = [*(row for row in inside.layers if (row.setting, row.runtime) not in new), *rows]
    place = {(trial.setting, trial.runtime): place for place, trial in enumerate(study.trials)}
    ordered = tuple(sorted(every, key=lambda row: place.get((row.setting, row.runtime), len(place))))
    return replace(inside, layers=ordered, sources=find_sources(ordered, inside.weights), split=split_rows(study))


def with_device_costs(costs: Costs, before: Costs | None, trials: Sequence[Trial]) -> Costs:
    """The costs with the rows that earlier ones had for imported trials of the same artifacts."""
    imported = {_identity(trial) for trial in trials if trial.imported}
    kept = [row for row in (before.rows if before else ()) if (row.setting, row.runtime, row.sha256) in imported]
    return with_costs(costs, kept, trials)


def with_costs(costs: Costs, rows: Sequence[Cost], trials: Sequence[Trial]) -> Costs:
    """The costs with further rows, in the order of the table; they replace those of the same trials."""
    new = {(row.setting, row.runtime) for row in rows}
    every = [*(row for row in costs.rows if (row.setting, row.runtime) not in new), *rows]
    place = {(trial.setting, trial.runtime): place for place, trial in enumerate(trials)}
    return replace(costs, rows=tuple(sorted(every, key=lambda row: place.get((row.setting, row.runtime), len(place)))))


def _identity(trial: Trial) -> tuple[str, str, str]:
    return trial.setting, trial.runtime, trial.variant.sha256 if trial.variant else ""
