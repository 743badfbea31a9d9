"""What is said about the reference before anything else is blamed: the study's own check, and its sentences."""

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats import Format
from quantlab.names import joined, listed, shortened, two_digits
from quantlab.npy import mapped
from quantlab.statistics import answers_of, chance_check, class_order, position_chance, target_checks
from quantlab.study.compare import Comparison
from quantlab.study.reference import Probe
from quantlab.types import (
    CODES,
    STRAY_LIMIT,
    ClassOrder,
    ModelDescription,
    ReferenceCheck,
    SampleSet,
    TargetCheck,
    TrainingLayer,
)

__all__ = ["examine", "odd_rows", "repeatability", "sane", "unstable_reference", "unusual_precision"]

_NAMED = 3
"""Layers, columns and moved classes that a sentence names at most; the study's record has all."""


def repeatability(probe: Probe, layers: Sequence[TrainingLayer]) -> ReferenceCheck:
    """What the calls of a few samples tell, with the layers that explain it.

    Args:
        probe: The differences.
        layers: All layers that may cause some.
    """
    causes = [*_causing(layers, "random", "state")] if probe.again > STRAY_LIMIT else []
    if probe.again <= STRAY_LIMIT < probe.single:
        causes += _causing(layers, "batch")
    if _beside_keras(probe):
        causes += layers
    return ReferenceCheck(
        again=probe.again,
        single=probe.single,
        call=probe.call,
        predict=probe.predict,
        layers=tuple(layer for layer in layers if layer in causes),
    )


def _causing(layers: Sequence[TrainingLayer], *effects: str) -> list[TrainingLayer]:
    """Layers whose graph has one of some effects; without any, those that the Keras model alone tells of."""
    having = [layer for layer in layers if set(effects) & set(layer.effects)]
    return having or [layer for layer in layers if not layer.effects]


def _beside_keras(check: Probe | ReferenceCheck) -> bool:
    return max(check.call or 0.0, check.predict or 0.0) > STRAY_LIMIT


def unstable_reference(check: ReferenceCheck, formats: Mapping[str, Format]) -> list[str]:
    """Sentences about a model that answers the same samples differently: it cannot be compared with.

    Args:
        check: What a few samples told.
        formats: Those that may be run; what runs one sample at a time is named as the reason to mend the model.
    """
    sentences = []
    named = _named_layers(check.layers)
    if check.again > STRAY_LIMIT:
        sentences.append(
            f"the model is not repeatable: a second call on the same samples gives other outputs (by up to "
            f"{_percent(check.again)} of the largest output){named}; {_remedy_of_change(check.layers)}"
        )
    elif check.single > STRAY_LIMIT:  # of a model that is not repeatable, nobody can tell
        sentences.append(
            f"the model gives other outputs for a sample alone than in a batch (by up to {_percent(check.single)} of "
            f"the largest output){named}; remove statistics over the batch{_since_alone(formats)}"
        )
    if _beside_keras(check):
        remedy = (
            "build the model so that these layers are called without training=True, and save it again"
            if check.layers
            else "no layer that acts as in training was found, so check layers of your own for what they compute in a "
            "graph alone"
        )
        sentences.append(
            f"the exported model, which every variant is made from and compared with, gives other outputs than "
            f"{_other_calls(check)}{named}; {remedy}"
        )
    return sentences


def unusual_precision(model: ModelDescription) -> list[str]:
    """Sentences about a model that does not compute in float32 in Keras; none about others."""
    sentences = []
    if model.cast_from is not None:
        sentences.append(
            f"the layers of the model have the dtype policy {model.cast_from}; the model was exported in float32, so "
            f"the reference and every variant compute in float32, while Keras rounds to half floats"
        )
    if model.quantized is not None:
        in_keras = model.kind != "SavedModel"
        how = (
            f"{model.quantized}, by model.quantize of Keras" if in_keras else f"it stores kernels in {model.quantized}"
        )
        sentences.append(
            f"the model is already quantized ({how}), so the reference and the settings named float32 have quantized "
            f"weights, too; to compare with the float model, give the file that was saved before "
            f"{'model.quantize' if in_keras else 'it was quantized'}"
        )
    codes = [dtype for dtype in model.decoded_from if dtype in CODES]
    if codes:
        sentences.append(
            f"the model is an artifact with weights in {joined(codes)}, and the reference computes in float32 with "
            f"the values of these weights; so the figures tell what runtimes and the rounding of activations change, "
            f"and not what was lost when the weights were quantized; for that, give the float artifact as the model, "
            f"and this one with --variant"
        )
    return sentences


def _remedy_of_change(layers: Sequence[TrainingLayer]) -> str:
    if layers and all(layer.effects == ("state",) for layer in layers):
        return (
            "build these layers without a state (stateful=False) and save the model again, because every sample is "
            "scored alone, and what ran before it changes every figure below"
        )
    return "turn off random ops such as dropout, because they change every figure below"


def _percent(share: float) -> str:
    return f"{two_digits(100 * share)} %"


def _other_calls(check: ReferenceCheck) -> str:
    calls = {"model(x)": check.call or 0.0, "model.predict(x)": check.predict or 0.0}
    return " and ".join(
        f"{call} (by up to {_percent(apart)} of the largest output)"
        for call, apart in calls.items()
        if apart > STRAY_LIMIT
    )


def _named_layers(layers: Sequence[TrainingLayer]) -> str:
    """The layers as the rest of a sentence; empty where none is known."""
    if not layers:
        return ""
    named = [f"'{layer.name}' ({layer.kind}, {layer.cause})" for layer in layers]
    return f", because of {shortened(named, most=_NAMED)}"


def _since_alone(formats: Mapping[str, Format]) -> str:
    """Which formats' files see no batch, as the rest of a sentence; empty where all take batches."""
    names = [format_.alone for format_ in formats.values() if format_.alone is not None]
    return f", because {' and '.join(names)} files run one sample at a time" if names else ""


def examine(check: ReferenceCheck, comparison: Comparison) -> ReferenceCheck:
    """Add what the labels tell to a check of the reference.

    Args:
        check: What the calls told.
        comparison: The reference's scored output and its labels; samples on which it is not finite are left out.
    """
    labels, finite = comparison.labels, comparison.finite
    if labels is None or comparison.scoring.task == "metric" or not finite.any():
        return check
    if (kept := comparison.kept) is not None:
        told = kept.record.reference
        known = check if told is None else told.check
        return replace(check, chance=known.chance, class_order=known.class_order, targets=known.targets)
    samples, labels = comparison.samples, np.asarray(labels)
    if samples is not None and comparison.of_positions:
        return replace(check, chance=position_chance(samples))
    values: npt.NDArray[Any] = mapped(comparison.reference)
    if not finite.all():
        values = values[finite]
    if comparison.scoring.task == "regression":
        return replace(check, targets=target_checks(values, labels))
    if samples is not None and samples.positions is not None:
        numbers, classes = samples.positions.answers(values)[:, 0], samples.positions.classes
        answers = numbers.astype(np.int32)
    else:
        answers = answers_of(values, probabilities=comparison.probabilities)
        classes = max(2, values.shape[1] if values.ndim > 1 else 0)
    return replace(check, chance=chance_check(answers, labels), class_order=class_order(answers, labels, classes))


def sane(check: ReferenceCheck, samples: SampleSet, labels: Any) -> list[str]:
    """Sentences about a reference that its labels do not suit.

    Args:
        check: What was found.
        samples: Those that were scored, whose classes may have names.
        labels: (n,) classes of the samples; None for any other task.
    """
    if labels is not None and (only := np.unique(labels)).size == 1:
        one = f"all {samples.n:,} samples are of class {_named(int(only[0]), samples.classes)}"
        return [f"{one}, so nothing is known about the other classes; give samples of every class"]
    if check.class_order is not None:
        return [_other_order(check.class_order, samples.classes)]
    return [*_near_chance(check, samples.classes), *_targets(check.targets)]


def _named(number: int, classes: tuple[str, ...]) -> str:
    return f"{number} ({classes[number]})" if 0 <= number < len(classes) else str(number)


def odd_rows(comparison: Comparison) -> list[str]:
    """A sentence if most rows of the reference's output look like probabilities and others do not."""
    rows = comparison.rows
    if rows is None or not rows.disagree:
        return []
    odd = rows.n - rows.distributions
    held = (
        "probabilities, because 95 % or more look like them"
        if comparison.probabilities
        else "logits, because fewer than 95 % look like probabilities"
    )
    which = f"{odd:,} of {rows.n:,} rows of the output '{comparison.scoring.output.name}'"
    told = f"{'is' if odd == 1 else 'are'} no probabilities, and the others look like them; all are read as {held}"
    return [f"{which} {told}. Check what the model returns"]


def _near_chance(check: ReferenceCheck, classes: tuple[str, ...]) -> Iterator[str]:
    chance = check.chance
    if chance is not None and chance.at_chance:
        few = ", which so few samples do not tell apart; give more samples, or" if chance.too_few else ";"
        model, constant = _CHANCE[chance.metric]
        yield (
            f"the model itself {model.format(chance.top1)}, and always answering class "
            f"{_named(chance.majority, classes)} would {constant.format(chance.chance)}{few} check that the samples "
            f"are preprocessed as in training (scale 0–255 or 0–1, mean, colour order) and that the labels have the "
            f"order of the outputs{_next_step(chance.metric)}"
        )


def _next_step(metric: str) -> str:
    """What tries such mistakes, for labels that it can use."""
    return "; 'quantlab diagnose' tries which of these it is" if metric == "top1" else ""


_CHANCE = {
    "top1": ("is right on {:.1f} % of the samples", "be right on {:.1f} %"),
    "position-accuracy": ("is right at {:.1f} % of the positions", "be right at {:.1f} %"),
    "mean-iou": ("has a mean IoU of {:.1f} %", "have {:.1f} %"),
}
"""Metric → what the model and a constant answer score, in words."""


def _other_order(order: ClassOrder, classes: Sequence[str]) -> str:
    better = (
        f"the model itself is right on {order.top1:.1f} % of the samples, and would be right on "
        f"{order.reordered_top1:.1f} % if the classes were in another order"
    )
    if len(classes) == len(order.labels):
        names = [classes[label] for label in order.labels]
        # Commas separate the names of the option, so that a name with one can only be in a list.
        option = "" if any("," in name for name in names) else f"with --classes {shlex.quote(','.join(names))}, or "
        return (
            f"{better}, {listed(names)}; if the model was trained with this order, give it {option}as 'classes' in "
            f"quantlab.toml"
        )
    moved = [(output, label) for output, label in enumerate(order.labels) if output != label]
    words = [f"output {output} answers to {_class(label, classes)}" for output, label in moved]
    told = shortened(words, most=2 * _NAMED)
    return f"{better}: {told}; number the labels in the order of the model's outputs"


def _class(label: int, classes: Sequence[str]) -> str:
    return f"'{classes[label]}'" if label < len(classes) else f"label {label}"


def _targets(checks: Sequence[TargetCheck]) -> Iterator[str]:
    of_unit = [check for check in checks if check.other_unit]
    poor = [check for check in checks if check.worse_than_mean and not check.other_unit]
    if of_unit:
        yield (
            f"the targets seem to be in another unit than the model's predictions: {_columns(of_unit, _as_line)}; "
            f"give the targets in the unit that the model was trained with"
        )
    if poor:
        yield (
            f"the model itself predicts the targets no better than their mean does: {_columns(poor, _as_mean)}; check "
            f"that the samples are preprocessed as in training, and that the targets belong to this output"
        )


def _columns(checks: Sequence[TargetCheck], words: Callable[[TargetCheck], str]) -> str:
    return shortened([words(check) for check in checks], most=_NAMED, separator=";")


def _as_mean(check: TargetCheck) -> str:
    return f"{_of_column(check)}RMSE {_root(check.error)}, where the mean has {_root(check.mean_error)}"


def _as_line(check: TargetCheck) -> str:
    sign = "−" if check.offset < 0 else "+"
    return (
        f"{_of_column(check)}RMSE {_root(check.error)}, where {check.scale:.4g} × prediction {sign} "
        f"{abs(check.offset):.4g} has {_root(check.line_error)} and the mean of the targets {_root(check.mean_error)}"
    )


def _of_column(check: TargetCheck) -> str:
    return "" if check.column is None else f"column {check.column} has "


def _root(squared: float) -> str:
    return f"{math.sqrt(squared):.4g}"
