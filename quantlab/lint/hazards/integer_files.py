"""Scales and codes of files with integer activations."""

import math
from collections.abc import Iterator, Mapping

from quantlab.lint.contract import Evidence, Hazard
from quantlab.lint.subject import Op, Subject, TensorFacts
from quantlab.preprocessing import SYMMETRIC_SCALE, UNIT_SCALE, PixelScale
from quantlab.types import Port

__all__ = ["HAZARDS"]

_PIXEL_SCALES = {"x/127.5 − 1": SYMMETRIC_SCALE, "x/255": UNIT_SCALE}
"""Usual pipelines of pixels → their scale."""
_SAME_STEP = 0.02
_HALF_WAY = 0.02


def _half_way(subject: Subject) -> Iterator[Evidence]:
    for port in subject.inputs:
        for pipeline, scale in _PIXEL_SCALES.items():
            if port.codes is not None and port.dtype in {"uint8", "int8"} and _is_half_way(port, scale):
                yield Evidence(
                    port.name,
                    f"with its scale {port.codes.scale:.5g} and zero point {port.codes.zero_point}, every pixel of "
                    f"{pipeline} lies half way between two codes",
                )


def _is_half_way(port: Port, scale: PixelScale) -> bool:
    if port.codes is None or port.codes.scale <= 0 or abs(scale.factor / port.codes.scale - 1) > _SAME_STEP:
        return False
    return abs((scale.offset / port.codes.scale + port.codes.zero_point) % 1 - 0.5) < _HALF_WAY


_APART = 8.0


def _concatenated(subject: Subject) -> Iterator[Evidence]:
    makers = subject.made_by()
    for op in subject.ops_of("CONCATENATION"):
        whole = _range(subject.tensors.get(op.outputs[0])) if op.outputs else 0.0
        parts = {name: _range(subject.tensors.get(_source(name, makers))) for name in op.inputs}
        small = {name: size for name, size in parts.items() if 0 < size * _APART < whole}
        if small:
            name = min(small, key=lambda part: small[part])
            yield Evidence(
                op.name,
                f"its output spans {whole:.3g} in 8 bits, and its input '{_source(name, makers)}' spans "
                f"{small[name]:.3g}, so that has {max(1, round(255 * small[name] / whole))} of 255 codes",
            )
    yield from _joined_in_float(subject)


def _source(name: str, makers: Mapping[str, Op]) -> str:
    """The tensor behind a change of scale, which a converter puts before a concatenation."""
    for _ in range(4):
        op = makers.get(name)
        if op is None or op.kind not in {"QUANTIZE", "RESHAPE"} or not op.inputs:
            break
        name = op.inputs[0]
    return name


def _range(tensor: TensorFacts | None) -> float:
    """Range of the values of a tensor in 8 bits; 0 if it is none."""
    eight = tensor is not None and tensor.dtype in {"int8", "uint8"} and len(tensor.scales) == 1
    return 255 * tensor.scales[0] if eight and tensor is not None else 0.0


_BOUNDED = frozenset({"sigmoid", "softmax", "tanh"})


def _joined_in_float(subject: Subject) -> Iterator[Evidence]:
    """Concatenate layers that join scores with values that no function bounds, and are read by no other layer."""
    by_place = {(layer.inside, layer.name): layer for layer in subject.layers}
    read = {(layer.inside, name) for layer in subject.layers for name in layer.sources}
    for layer in subject.layers_of("Concatenate"):
        sources = [by_place.get((layer.inside, name)) for name in layer.sources]
        ends = [source.config.get("activation", _class_activation(source.kind)) for source in sources if source]
        scores, others = [end for end in ends if end in _BOUNDED], [end for end in ends if end in {"linear", None}]
        if scores and others and (layer.inside, layer.name) not in read:
            yield Evidence(str(layer), f"it joins outputs of {scores[0]} with others that nothing bounds")


def _class_activation(kind: str) -> str | None:
    return "softmax" if kind == "Softmax" else "" if kind in {"Reshape", "Flatten", "Concatenate"} else None


_SQUASHING = frozenset({"SOFTMAX", "LOGISTIC"})
_PASSING = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE"})


def _coarse_scores(subject: Subject) -> Iterator[Evidence]:
    makers = subject.made_by()
    for port in subject.outputs:
        op = makers.get(port.tensor)
        for _ in range(4):
            if op is None or op.kind not in _PASSING or not op.inputs:
                break
            op = makers.get(op.inputs[0])
        if op is not None and op.kind in _SQUASHING and op.attributes.get("computes_in") in {"int8", "uint8"}:
            yield Evidence(port.name, f"it is the result of {op.kind} in codes of 1/256")


def _bad_scale(subject: Subject) -> Iterator[Evidence]:
    scaled = {name: tensor.scales for name, tensor in subject.tensors.items()}
    for name, scales in {**{weight.name: weight.scales for weight in subject.weights}, **scaled}.items():
        bad = [scale for scale in scales if not (math.isfinite(scale) and scale > 0)]
        if bad:
            yield Evidence(name, f"{len(bad)} of its {len(scales)} scales are not above 0 ({bad[0]:g})")


def _saturated(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.saturated:
            yield Evidence(weight.name, f"{weight.saturated} of {weight.elements} codes are at ±2³¹, the end of int32")


HAZARDS = (
    Hazard(
        id="UINT8-IO-HALFWAY",
        severity="warning",
        title="pixels lie half way between the codes of an input",
        happens="The codes of the input are those of pixels, moved by one half. Whether an app rounds half up, half to "
        "even or cuts changes every code, and the top-1 accuracy by more than a point.",
        see="`quantlab analyze --variant NAME=FILE` on the samples of the app.",
        remedy="Feed the bytes of the pixels as codes, without scaling, or convert with a float32 input.",
        kinds=("TFLite",),
        check=_half_way,
    ),
    Hazard(
        id="CONCAT-SCALES",
        severity="warning",
        title="a concatenation joins values of very different ranges",
        happens="With integer activations, all inputs and the output of a concatenation have one scale. If boxes in "
        "pixels are joined with scores between 0 and 1, all scores fall on one or two codes.",
        see="`quantlab show outputs`: the worst channel of the output is constant.",
        remedy="Return boxes and scores as two outputs, or divide the boxes by the size of the picture.",
        kinds=("TFLite", "Keras 3", "Keras 2"),
        check=_concatenated,
    ),
    Hazard(
        id="SOFTMAX-INSIDE",
        severity="note",
        title="probabilities are computed in codes of 1/256",
        happens="Probabilities below 1/512 become exactly 0, so that their logarithm is infinite; a sample's "
        "probabilities sum to 0.99 to 1.01; and classes may tie for the first place, which is then decided by order.",
        see="`quantlab show outputs`: the divergence of the output.",
        remedy="Export the model without its last softmax, and compute it in the app; or keep the op in float.",
        kinds=("TFLite",),
        check=_coarse_scores,
    ),
    Hazard(
        id="ZERO-SCALE",
        severity="error",
        title="a scale is 0, negative or not finite",
        happens="All values of the tensor become 0 or NaN. Runtimes refuse the file, or compute on without a message.",
        see="`quantlab show weights`, and the failure of the row.",
        remedy="Convert again; calibration samples that are all equal give such scales.",
        kinds=("TFLite", "ONNX", "graph-model", "layers-model"),
        check=_bad_scale,
    ),
    Hazard(
        id="BIAS-SATURATED",
        severity="error",
        title="a bias does not fit its codes",
        happens="The scale of a bias is the product of the scales of input and kernel. If a channel's kernel is nearly "
        "0, its bias would need more than 32 bits, and is cut: the channel has another mean.",
        see="`quantlab show layers`: the bias (mean error) of the layer.",
        remedy="Remove channels whose kernels are 0, or keep the layer in float.",
        kinds=("TFLite", "ONNX"),
        check=_saturated,
    ),
)
