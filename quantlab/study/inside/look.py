"""Collects layers, weights, ops, and the split of the loss of all variants of a study."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError, StudyError
from quantlab.formats import Format
from quantlab.gate import RowScores
from quantlab.npy import mapped
from quantlab.statistics import (
    SplitSums,
    blocks,
    compare_weights,
    list_weights,
    scored_samples,
    share_on_grid,
    split_points,
)
from quantlab.study.inside.comparison import LayerStudy
from quantlab.study.inside.source import find_sources
from quantlab.study.scores_only import partners
from quantlab.types import Inside, LayerRow, OpRow, SplitRow, Study, Trial, TrialLayers, Variant, WeightRow

__all__ = ["is_about", "look_inside", "split_of_outputs", "split_rows", "with_trial"]

_MOST = 0.9
"""The share of values from which weights count as quantized before."""

Array = npt.NDArray[Any]


def look_inside(layers: LayerStudy, study: Study) -> Inside:
    """Everything that `quantlab show layers|weights|ops|split` shows."""
    compared = layers.run()
    variants, formats = _variants(study), layers.inputs.context.registries.formats
    rows = tuple(row for trial in compared for row in trial.rows)
    weights, weight_notes = _weights(variants, formats, rows)
    ops, op_notes = _ops(variants, formats)
    return Inside(
        layers=rows,
        weights=weights,
        sources=find_sources(rows, weights),
        quantized_before=_quantized_before(variants.values(), formats),
        ops=ops,
        split=split_rows(study),
        samples=layers.inputs.samples.n,
        drawn=layers.inputs.samples.drawn,
        layer_samples=layers.inputs.samples,
        indices=tuple(int(place) for place in layers.indices),
        notes=(*(note for trial in compared for note in trial.notes), *weight_notes, *op_notes),
    )


def with_trial(inside: Inside, study: Study, setting: str, runtime: str, layers: TrialLayers) -> Inside:
    """The same with other rows and notes of one trial; those of the other trials stay.

    Args:
        inside: The comparison of a study.
        study: The study.
        setting: Setting of the trial.
        runtime: Its runtime, or the name of a program whose outputs were imported.
        layers: Its rows; none if it was removed.
    """
    kept = [row for row in inside.layers if (row.setting, row.runtime) != (setting, runtime)]
    notes = [note for note in inside.notes if not is_about(note, setting, runtime)]
    return replace(inside, layers=(*kept, *layers.rows), split=split_rows(study), notes=(*notes, *layers.notes))


def is_about(note: str, setting: str, runtime: str) -> bool:
    """Whether a note of a comparison is about a trial, which it names as `SETTING in RUNTIME`.

    >>> is_about("no isolated errors of tfjs-uint8 in my-app: lost", "tfjs-uint8", "my-app")
    True
    >>> is_about("old-tfjs-uint8 in my-app-2 answers differently", "tfjs-uint8", "my-app")
    False
    """
    return re.search(rf"(?<![\w.-]){re.escape(f'{setting} in {runtime}')}(?![\w.-])", note) is not None


def _variants(study: Study) -> dict[str, Variant]:
    return {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}


def _weights(
    variants: Mapping[str, Variant], formats: Mapping[str, Format], layers: Sequence[LayerRow]
) -> tuple[tuple[WeightRow, ...], list[str]]:
    rows: list[WeightRow] = []
    notes = []
    for name, variant in variants.items():
        baseline, read = variants.get(variant.float32), formats[variant.format].weights
        of_baseline = _layers(variant.float32, layers)
        try:
            if variant.is_float32:
                rows += list_weights(name, read(variant.path), "it is the float32 variant", of_baseline)
            elif baseline is None:
                rows += list_weights(name, read(variant.path), f"there is no {variant.float32} to compare with")
            else:
                rows += compare_weights(name, read(variant.path), read(baseline.path), of_baseline)
        except QuantlabError as error:
            notes.append(f"the weights of {name} could not be read: {error}")
    return tuple(rows), notes


def _quantized_before(variants: Iterable[Variant], formats: Mapping[str, Format]) -> tuple[str, ...]:
    """A sentence for each float32 artifact whose kernels hold the values that an earlier quantization left."""
    sentences = []
    for variant in variants:
        if not variant.is_float32:
            continue
        try:
            share, shared = share_on_grid(formats[variant.format].weights(variant.path))
        except QuantlabError:  # the weights' own note says why
            continue
        grid = "tensor" if shared else "channel"
        if share >= _MOST:
            sentences.append(
                f"the weights of {variant.name} were quantized before: {100 * share:.0f} % of the kernels' values lie "
                f"on at most 256 equal steps per {grid}, so 8 bits with the same steps lose nothing more"
            )
    return tuple(sentences)


def _layers(setting: str, rows: Sequence[LayerRow]) -> dict[str, str]:
    """Tensor of a float32 artifact → the layer that it belongs to."""
    return {row.tensor: row.layer for row in rows if row.setting == setting and row.aligned}


def _ops(variants: Mapping[str, Variant], formats: Mapping[str, Format]) -> tuple[tuple[OpRow, ...], list[str]]:
    rows: list[OpRow] = []
    notes = []
    for name, variant in variants.items():
        try:
            rows += formats[variant.format].ops(variant.path, name)
        except QuantlabError as error:
            notes.append(f"the ops of {name} could not be read: {error}")
    return tuple(rows), notes


@dataclass(frozen=True, slots=True)
class _Stages:
    """A trial's stages; None where one failed."""

    float32: Trial | None
    in_python: Trial | None
    here: Trial
    fed: Trial | None = None
    """The reference on the samples of an app's pipeline."""


def split_rows(study: Study) -> tuple[SplitRow, ...]:
    """The loss of every measured trial, split by conversion step."""
    measured = {(trial.setting, trial.runtime): trial for trial in study.trials if trial.status == "measured"}
    rows: list[SplitRow] = []
    for (setting, runtime), trial in measured.items():
        if trial.variant is None:
            continue
        float32, in_python = partners(trial, measured)
        stages = _Stages(float32, in_python, here=trial, fed=study.fed_reference)
        if study.task != "similarity":
            rows.append(_points(setting, runtime, stages))
        rows.append(_rms(study, stages))
    return tuple(rows)


def _points(setting: str, runtime: str, stages: _Stages) -> SplitRow:
    return split_points(
        setting,
        runtime,
        float32_python=_loss(stages.float32),
        candidate_python=_loss(stages.in_python),
        candidate_runtime=_loss(stages.here),
        fed_reference=_loss(stages.fed),
    )


def _loss(trial: Trial | None) -> float | None:
    """Loss in percentage points of accuracy or mean IoU, or for a regression in the unit of the MAE."""
    if trial is None or trial.scores is None:
        return None
    scores = trial.scores
    losses = (scores.top1_loss_points, scores.mean_iou_loss_points, scores.position_loss_points, scores.mae_loss)
    return next((loss for loss in losses if loss is not None), None)


def split_of_outputs(study: Study, trial: Trial) -> SplitRow:
    """The RMS error of a measured row, split by conversion step, from the outputs of the study."""
    measured = {(one.setting, one.runtime): one for one in study.trials if one.status == "measured"}
    float32, in_python = partners(trial, measured)
    return _rms(study, _Stages(float32, in_python, trial))


def _rms(study: Study, stages: _Stages) -> SplitRow:
    setting, runtime = stages.here.setting, stages.here.runtime
    if study.store == "scores":
        return _kept_split(stages.here)
    reference = mapped(study.reference.outputs[study.scored_output])
    outputs = [_outputs(study, trial) for trial in (stages.float32, stages.in_python, stages.here, stages.fed)]
    scored = scored_samples(reference, study.non_finite)

    def part(rows: slice) -> SplitSums:
        float32, in_python, here, fed = (None if output is None else _cut(output, rows, scored) for output in outputs)
        return SplitSums.of(_cut(reference, rows, scored), float32, in_python, here, fed_reference=fed)

    parts = map(part, blocks(reference))
    return sum(parts, SplitSums()).row(setting, runtime)


def _kept_split(trial: Trial) -> SplitRow:
    split = RowScores.of(trial).record.split
    if split is None:
        raise StudyError(
            f"the scores of {trial.setting} in {trial.runtime} have no split; run 'quantlab analyze' again"
        )
    # With --fallback, several rows have the same outputs, and what is kept of them names one.
    return replace(split, setting=trial.setting, runtime=trial.runtime)


def _cut(output: Array, rows: slice, scored: npt.NDArray[np.bool_]) -> Array:
    """The scored samples of a block."""
    return output[rows] if scored[rows].all() else output[rows][scored[rows]]


def _outputs(study: Study, trial: Trial | None) -> Array | None:
    return None if trial is None else mapped(trial.outputs[study.scored_output])
