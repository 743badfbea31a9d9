"""Warns of weights and activations that half floats cannot hold, whether or not a measured runtime computed in them.

The ranges are those of the float32 variant. Desktop runtimes compute files with half floats in float32, so that an
overflow shows only on hardware that computes in half floats.
"""

from collections.abc import Iterable, Mapping, Sequence

from quantlab.names import shortened
from quantlab.registries import Registries
from quantlab.types import AGAINST_REFERENCE, PYTHON, Inside, LayerRow, Trial, WeightRow

__all__ = ["warn_of_half_floats"]

_LARGEST = 65504.0
"""Largest float16."""
_SMALLEST = 6e-8
"""Smallest float16 above 0, which is 2⁻²⁴, rounded up."""
_NAMED = 3


def warn_of_half_floats(trials: Sequence[Trial], inside: Inside, registries: Registries) -> tuple[str, ...]:
    """A sentence for each kind of value that half floats cannot hold, for each format with trials that use them.

    Args:
        trials: All trials of the study.
        inside: What was found inside the variants; the float32 variants' rows give the ranges.
        registries: Which settings and runtimes use half floats.
    """
    sentences = []
    for float32, names in _users(trials, registries).items():
        who = ", ".join(dict.fromkeys(names))
        rows = [row for row in inside.layers if row.setting == float32 and _is_whole(row)]
        large = {_tensor(row): size for row in rows if (size := _size(row)) > _LARGEST}
        small = {_tensor(row): size for row in rows if 0 < (size := _size(row)) < _SMALLEST}
        weights = {_weight(row): row.largest for row in inside.weights if row.setting == float32 and _is_large(row)}
        if weights:
            sentences.append(
                f"{who}: weights hold values beyond 65,504, the largest float16: {_listed(weights)}; scale these "
                f"weights down, or ship another setting"
            )
        if large:
            sentences.append(
                f"{who}: in float32, activations go beyond 65,504, the largest float16: {_listed(large)}; hardware "
                f"that computes in half floats makes them infinite, while runtimes that compute in float32, as on "
                f"desktops, show no loss; scale the values down before these tensors, or ship another setting"
            )
        if small:
            sentences.append(
                f"{who}: in float32, whole activations stay under 6e−8, the smallest float16 above 0: "
                f"{_listed(small)}; hardware that computes in half floats makes them 0; scale the values up, or ship "
                f"another setting"
            )
    return tuple(sentences)


def _users(trials: Iterable[Trial], registries: Registries) -> dict[str, list[str]]:
    """Name of each float32 variant → the settings and runtimes of its format that use half floats."""
    users: dict[str, list[str]] = {}
    for trial in trials:
        if trial.variant is None or trial.variant.given:
            continue
        setting, runtime = registries.settings.get(trial.setting), registries.runtimes.get(trial.ran_on or "")
        names = users.setdefault(trial.variant.float32, [])
        if setting is not None and setting.half:
            names.append(trial.setting)
        elif runtime is not None and runtime.half(trial.environment):
            names.append(f"{trial.variant.format} in {trial.runtime}")
    return {float32: names for float32, names in users.items() if names}


def _is_whole(row: LayerRow) -> bool:
    return row.aligned and (row.runtime, row.baseline, row.channel) == (PYTHON, AGAINST_REFERENCE, None)


def _size(row: LayerRow) -> float:
    """The largest finite |value| of a tensor."""
    return max(abs(row.minimum or 0.0), abs(row.maximum or 0.0))


def _is_large(row: WeightRow) -> bool:
    return row.largest is not None and row.largest > _LARGEST


def _tensor(row: LayerRow) -> str:
    return f"'{row.tensor}' of {row.layer} ({row.op})"


def _weight(row: WeightRow) -> str:
    return f"'{row.tensor}' of {row.layer}" if row.layer else f"'{row.tensor}'"


def _listed(sizes: Mapping[str, float | None]) -> str:
    """The first names with their largest values, and how many more there are."""
    return shortened([f"{name} up to {size:.3g}" for name, size in sizes.items()], most=_NAMED)
