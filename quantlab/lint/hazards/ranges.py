"""Ranges of weights that 8 bits with one scale cannot hold."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from quantlab.lint.contract import ANY, MODELS, Evidence, Hazard
from quantlab.lint.subject import OCTAVES, Kind, Layer, Role, Subject, WeightFacts
from quantlab.names import decibels

__all__ = ["HAZARDS", "channel_sqnrs", "with_norms_folded"]

_LEVELS = 255
"""Steps of 8 bits."""

_POOR_DB = 10.0
"""SQNR of a channel below which its shape is lost: noise of a tenth of its power."""

_MANY = 0.1
"""Share of the channels that must be that poor."""

_DEAD = 1e-3
"""Channels whose largest value is below this share of the tensor's are dead, and are not counted."""


def channel_sqnrs(weight: WeightFacts, step: float) -> tuple[float, ...]:
    """SQNR in decibels of each live channel, if its values are rounded to multiples of a step.

    The noise of rounding has the power step²/12, where values spread over several steps. Values below half a step
    become 0 and are their own error; those between a half and one become one step, each as far from it as the root mean
    square of its octave. Channels whose values are all below a thousandth of the largest value of the tensor are left
    out: nothing depends on them.

    Args:
        weight: A kernel with channels.
        step: Larger than 0.
    """
    reaches = np.maximum(np.abs(weight.low), np.abs(weight.high))
    counts = np.reshape(weight.counts, (-1, OCTAVES))
    energies = np.reshape(weight.energies, (-1, OCTAVES))
    size = np.sqrt(energies / np.maximum(counts, 1))  # of the values of an octave
    spread = counts * step**2 / 12
    next_to_one = np.maximum(spread, counts * (step - size) ** 2)
    noise = np.where(size <= step / 2, energies, np.where(size < step, next_to_one, spread)).sum(axis=1)
    live = (reaches >= _DEAD * reaches.max(initial=0.0)) & (noise > 0)
    return tuple((10 * np.log10(energies.sum(axis=1)[live] / noise[live])).tolist())


def _reach(low: float, high: float) -> float:
    return max(abs(low), abs(high))


def _spread(subject: Subject) -> Iterator[Evidence]:
    for weight in with_norms_folded(subject):
        if weight.role not in {"kernel", "depthwise"} or len(weight.rms) < 2:
            continue
        if weight.is_float:
            step = _step_of_floats(subject, weight)
            told = None if step is None else _poor_channels(weight, step)
        else:  # of depthwise kernels, PER-TENSOR-DEPTHWISE tells
            told = _few_codes(weight) if weight.role == "kernel" else None
        if told is not None:
            yield Evidence(weight.name, told)


def _few_codes(weight: WeightFacts) -> str | None:
    """What is left of the channels of a kernel that is stored with one scale; None if all have codes enough.

    A channel of zeros may have been that before, so it is not counted.
    """
    if len(weight.scales) != 1 or weight.dtype not in {"int8", "uint8"} or not weight.scales[0] > 0:
        return None
    reaches = [_reach(low, high) / weight.scales[0] for low, high in zip(weight.low, weight.high, strict=True)]
    live = [reach for reach in reaches if reach > 0.5]
    few = sum(reach < _FEW_STEPS for reach in live)
    if few < max(1, _MANY * len(live)):
        return None
    return f"{few} of {len(live)} channels use at most 5 codes, because one scale serves all channels"


_FEW_STEPS = 2.5
"""Steps from 0 below which a channel has the codes −2 to 2."""


def _poor_channels(weight: WeightFacts, step: float) -> str | None:
    sqnrs = channel_sqnrs(weight, step)
    poor = sum(sqnr < _POOR_DB for sqnr in sqnrs)
    if not sqnrs or poor < max(1, _MANY * len(sqnrs)):
        return None
    return (
        f"{poor} of {len(sqnrs)} channels have an SQNR below 10 dB with one scale for all in 8 bits (the worst "
        f"{decibels(min(sqnrs))})"
    )


_ONE_SCALE_FOR_FLOATS = frozenset({"Keras 3", "Keras 2", "SavedModel", "graph-model", "layers-model"})
"""Kinds whose float kernels get one scale for the tensor in a default setting; TFLite and ONNX have one a channel."""


def _step_of_floats(subject: Subject, weight: WeightFacts) -> float | None:
    """The step that 8 bits with one scale would have, if a default setting would store the weight like this."""
    if subject.kind not in _ONE_SCALE_FOR_FLOATS or weight.dtype == "float16":
        return None
    step = (max(0.0, *weight.high) - min(0.0, *weight.low)) / _LEVELS
    return step if step > 0 else None


def with_norms_folded(subject: Subject) -> Iterator[WeightFacts]:
    """Every weight; kernels of a model with the batch norm behind them that the graph-model converter folds."""
    norms = _norms(subject)
    for weight in subject.weights:
        factors = weight.factors or norms.get((weight.owner, weight.role), ())
        yield _scaled(weight, factors) if factors and len(factors) == len(weight.rms) else weight


def _scaled(weight: WeightFacts, factors: Sequence[float]) -> WeightFacts:
    ends = [
        sorted((low * factor, high * factor))
        for low, high, factor in zip(weight.low, weight.high, factors, strict=True)
    ]
    return replace(
        weight,
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
        rms=tuple(rms * abs(factor) for rms, factor in zip(weight.rms, factors, strict=True)),
        energies=tuple((np.reshape(weight.energies, (-1, OCTAVES)) * np.square(factors)[:, None]).reshape(-1).tolist()),
    )


_FOLDED: Mapping[Kind, Mapping[str, Role]] = {
    "Keras 3": {"Conv2D": "kernel", "Conv3D": "kernel", "SeparableConv2D": "kernel"},
    "Keras 2": {
        "Conv2D": "kernel",
        "Conv3D": "kernel",
        "SeparableConv2D": "kernel",
        "DepthwiseConv2D": "depthwise",
    },
}
"""Layer → the weight into which the graph-model converter folds a batch norm, as tried with each layer.

Not those of other layers, and not if the layer is dilated. A layers-model keeps its batch norms.
"""

_FOLDED_BEHIND_BIAS: Mapping[Kind, frozenset[str]] = {
    "Keras 3": frozenset(),
    "Keras 2": frozenset({"Conv2D", "SeparableConv2D", "DepthwiseConv2D"}),
}
"""Layers into which it is folded although they have a bias that is not 0."""


def _norms(subject: Subject) -> Mapping[tuple[str, Role], tuple[float, ...]]:
    """Layer and role of its kernel → what the batch norm that alone reads it multiplies each channel by."""
    weights = {(weight.owner, weight.role): weight for weight in subject.weights}
    by_name = {layer.name: layer for layer in subject.layers}
    readers: dict[str, list[Layer]] = {}
    for layer in subject.layers:
        for source in layer.sources:
            readers.setdefault(source, []).append(layer)
    found = {}
    for name, read in readers.items():
        role = _folded_role(subject.kind, by_name.get(name), weights.get((name, "bias")))
        if role is not None and len(read) == 1 and read[0].kind == "BatchNormalization" and read[0].sources == (name,):
            found[name, role] = _factors(read[0], weights)
    return {place: factors for place, factors in found.items() if factors is not None}


def _folded_role(kind: Kind, layer: Layer | None, bias: WeightFacts | None) -> Role | None:
    """The weight of a layer into which a batch norm is folded; None if it is not."""
    if layer is None or (bias is not None and bias.largest and layer.kind not in _FOLDED_BEHIND_BIAS.get(kind, ())):
        return None
    rate = layer.config.get("dilation_rate") or 1
    dilated = any(size != 1 for size in (rate if isinstance(rate, list | tuple) else (rate,)))
    return None if dilated else _FOLDED.get(kind, {}).get(layer.kind)


def _factors(norm: Layer, weights: Mapping[tuple[str, Role], WeightFacts]) -> tuple[float, ...] | None:
    variance, gamma = weights.get((norm.name, "variance")), weights.get((norm.name, "gamma"))
    if variance is None or not variance.values:
        return None
    gammas = gamma.values if gamma is not None else (1.0,) * len(variance.values)
    epsilon = float(norm.config.get("epsilon") or 1e-3)
    if len(gammas) != len(variance.values) or any(value + epsilon <= 0 for value in variance.values):
        return None
    return tuple(size / math.sqrt(value + epsilon) for size, value in zip(gammas, variance.values, strict=True))


def _depthwise(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        told = _few_codes(weight) if weight.role == "depthwise" else None
        if told is not None:
            yield Evidence(weight.name, told)


_FAR = 8.0
_FEW = 256


def _outliers(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.role not in {"kernel", "depthwise"} or weight.elements < _FEW or not weight.quantile:
            continue
        ratio, step = weight.largest / weight.quantile, _one_step(subject, weight)
        if ratio <= _FAR or step is None:
            continue
        yield Evidence(
            weight.name,
            f"its largest value {weight.largest:.3g} is {ratio:.3g} times the value that 99.9 % do not exceed, so "
            f"these share {max(1, round(_LEVELS / ratio))} of 255 codes",
        )


def _one_step(subject: Subject, weight: WeightFacts) -> float | None:
    """The step of the one scale in 8 bits that a weight has, or would have in a default setting."""
    if weight.is_float:
        return _step_of_floats(subject, weight)
    return weight.scales[0] if len(weight.scales) == 1 and weight.scales[0] > 0 else None


_TFLITE_LEAST = 1024
"""Elements below which TFLite's converter keeps a weight in float32, in dynamic range quantization."""
_WORTH = 8192


def _small(subject: Subject) -> Iterator[Evidence]:
    if not all(weight.is_float for weight in subject.weights if weight.role in {"kernel", "depthwise"}):
        return
    sizes = [weight.elements for weight in subject.weights if weight.role in {"kernel", "depthwise"}]
    small = [size for size in sizes if size < _TFLITE_LEAST]
    if sum(small) >= _WORTH and 2 * sum(small) > sum(sizes):
        share = f"{sum(small):,} of {sum(sizes):,} values of kernels"
        yield Evidence("", f"{share} are in {len(small)} kernels of fewer than 1,024 values")


def _variances(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.role != "variance" or weight.dtype != "uint8" or len(weight.scales) != 1 or not weight.values:
            continue
        coarse = sum(value < 2 * weight.scales[0] for value in weight.values)
        if coarse:
            yield Evidence(
                weight.name,
                f"{coarse} of {weight.elements} variances are below two steps of {weight.scales[0]:.2g}, so each may "
                f"be wrong by a quarter or more",
            )


HAZARDS = (
    Hazard(
        id="CHANNEL-SPREAD",
        severity="warning",
        title="channels of one kernel have very different ranges",
        happens="With one scale for the whole kernel, as in the official 8-bit settings of tfjs, the largest channel "
        "decides the step, and small channels have a few codes or none. Kernels are rated with the batch norm behind "
        "them where the graph-model converter folds it: into Conv2D and SeparableConv2D, in Keras 2 also into "
        "DepthwiseConv2D, in Keras 3 only if they have no bias. Channels without values are not counted.",
        see="`quantlab show weights`: the worst channel of the kernel; `quantlab show layers`: its isolated error.",
        remedy="Use a setting with one scale for each channel (`tfjs-uint8-per-channel`, `tflite-int8`, `onnx-int8`), "
        "or 16 bits.",
        kinds=ANY,
        check=_spread,
        confirmed_by="weights in 8 bits",
    ),
    Hazard(
        id="OUTLIER",
        severity="warning",
        title="a few values stretch the range of a kernel",
        happens="The step of 8 bits is proportional to the largest value. If one value is ten times as large as the "
        "others, they share a tenth of the codes.",
        see="`quantlab show weights`: SQNR of the kernel; the histogram in the report.",
        remedy="Clip the values if the accuracy allows it, use a setting with one scale for each channel, or let "
        "`quantlab tune` keep the layer in float.",
        kinds=ANY,
        check=_outliers,
        confirmed_by="weights in 8 bits",
    ),
    Hazard(
        id="PER-TENSOR-DEPTHWISE",
        severity="warning",
        title="a depthwise kernel is stored with one scale",
        happens="Each channel of a depthwise kernel filters its own input and has its own range, so one scale for all "
        "costs more here than anywhere else.",
        see="`quantlab show weights`: the worst channel of the kernel.",
        remedy="Convert with one scale for each channel (`tfjs-uint8-per-channel`, `tflite-int8`, `onnx-int8`).",
        kinds=("graph-model", "layers-model", "TFLite", "ONNX"),
        check=_depthwise,
        confirmed_by="weights in 8 bits",
    ),
    Hazard(
        id="SMALL-TENSORS",
        severity="note",
        title="most weights are in small kernels",
        happens="TFLite's dynamic range quantization leaves kernels of fewer than 1,024 values in float32, so the file "
        "hardly shrinks.",
        see="`quantlab analyze`: the note of `tflite-dynamic`, and its size.",
        remedy="Use `tflite-int8` or `tflite-float16`.",
        kinds=(*MODELS, "TFLite"),
        check=_small,
    ),
    Hazard(
        id="BN-VARIANCE-U8",
        severity="error",
        title="variances of a batch norm are stored in 8 bits",
        happens="A layers-model keeps its batch norms. Their output is divided by the root of each channel's variance, "
        "and variances span several powers of ten, of which 8 bits with one scale leave the largest only. A "
        "graph-model has folded the batch norms and has no such weights.",
        see="`quantlab show weights`: the SQNR of `moving_variance`; `quantlab show layers`: the batch norm.",
        remedy="Use a graph-model (`tfjs-uint8`), or let the converter quantize kernels only.",
        kinds=("layers-model",),
        check=_variances,
        confirmed_by="weights in 8 bits",
    ),
)
