"""Values of weights that a number type does not have."""

from collections.abc import Iterator

import numpy as np

from quantlab.lint.contract import ANY, Evidence, Hazard
from quantlab.lint.subject import Subject, WeightFacts
from quantlab.names import counted

__all__ = ["HAZARDS"]

_LARGEST_HALF = float(np.finfo(np.float16).max)
_SMALLEST_HALF = float(np.finfo(np.float16).smallest_subnormal)
"""The smallest float16 above 0; what is below half of it becomes 0."""

_HARMLESS = frozenset({"Clip", "Min", "Max", "Minimum", "Maximum", "ClipByValue", "MINIMUM", "MAXIMUM", "Pad", "PADV2"})
"""Ops for which a bound that becomes infinite is the same bound."""


def _readers(subject: Subject, weight: WeightFacts) -> set[str]:
    """Kinds of the ops that read a weight."""
    return {op.kind for op in subject.ops if weight.name in op.inputs}


_MASKING = frozenset(
    {
        *("Add", "AddV2", "Sub", "Where", "Select", "SelectV2", "ADD", "SUB", "WHERE", "SELECT", "SELECT_V2"),
        *_HARMLESS,
    }
)
"""Ops that read a mask: they add it, choose between it and another tensor, or take it as a bound."""


_MASK_VALUES = frozenset({0.0, 1.0, _LARGEST_HALF, -_LARGEST_HALF})


def _is_mask(subject: Subject, weight: WeightFacts) -> bool:
    """Whether a constant is read only by ops for which the largest float16 serves as infinity does.

    A bias is added, too, but has other values.
    """
    readers = _readers(subject, weight)
    return (
        weight.role == "constant" and bool(readers) and readers <= _MASKING and _MASK_VALUES.issuperset(weight.values)
    )


def _not_finite(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.nan:
            yield Evidence(weight.name, f"{weight.nan:,} of {weight.elements:,} values are NaN")
        elif weight.infinite and not _readers(subject, weight) & _HARMLESS:
            sentence = f"{weight.infinite:,} of {weight.elements:,} values are infinite"
            if weight.role == "constant":
                yield Evidence(weight.name, f"{sentence}; a mask before a softmax may be meant", "warning")
            else:
                yield Evidence(weight.name, sentence)


def _overflow(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.at_half_limit:
            cut = counted(weight.at_half_limit, "value")
            told = f"{cut} at ±65,504, the largest float16"
            if _is_mask(subject, weight):
                yield Evidence(weight.name, f"{told}; a mask before a softmax may be meant", "note")
            else:
                yield Evidence(weight.name, f"{told}: a converter may have cut larger ones", "error")
        elif weight.beyond_half and weight.is_float and not _readers(subject, weight) & _HARMLESS:
            count = f"{weight.beyond_half:,} of {weight.elements:,} values"
            told = f"{count} are beyond the range of float16 (the largest is {weight.largest:.3g})"
            if weight.role in {"mean", "variance"} and subject.kind != "layers-model":
                yield Evidence(
                    weight.name, f"{told}; it concerns layers-models only, since others do not store it", "note"
                )
            else:
                yield Evidence(weight.name, told)


_LOST = 0.01


def _underflow(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.dtype in {"float32", "float64"} and weight.elements > 1 and weight.half_error > _LOST:
            yield Evidence(
                weight.name,
                f"rounding to float16 changes it by {100 * weight.half_error:.3g} % (RMS), because its largest value "
                f"is {weight.largest:.2g}",
            )


def _wraps(subject: Subject) -> Iterator[Evidence]:
    for weight in subject.weights:
        if weight.beyond_int32:
            yield Evidence(weight.name, f"{weight.beyond_int32:,} of {weight.elements:,} int64 values do not fit int32")


def _tiny_epsilon(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers:
        epsilon = layer.config.get("epsilon")
        if layer.kind.endswith("Normalization") and _is_tiny(epsilon):
            yield Evidence(str(layer), f"its epsilon {epsilon:.3g} is 0 in float16")
    for op in subject.ops:
        epsilon = op.attributes.get("epsilon")
        if _is_tiny(epsilon):
            yield Evidence(op.name, f"the epsilon {epsilon:.3g} of this {op.kind} is 0 in float16")


def _is_tiny(epsilon: object) -> bool:
    return isinstance(epsilon, int | float) and 0 < epsilon < _SMALLEST_HALF / 2


HAZARDS = (
    Hazard(
        id="NONFINITE-WEIGHT",
        severity="error",
        title="a weight is NaN or infinite",
        happens="Every output that depends on the weight is NaN or infinite, in every runtime. Quantizers take the "
        "range of a tensor from its values, so all other values of the tensor are lost, too; the tfjs converter writes "
        "the range as `-Infinity` into `model.json`, which is no JSON.",
        see="`quantlab analyze` names the weight above the table, in its check of the reference.",
        remedy="Train again from the last checkpoint without NaN, or replace the values. An infinite constant that is "
        "meant as a mask can be −65,504 instead.",
        kinds=ANY,
        check=_not_finite,
    ),
    Hazard(
        id="F16-OVERFLOW",
        severity="warning",
        title="a weight is beyond the range of float16",
        happens="Float16 ends at 65,504. The tfjs and TFLite converters store larger values as infinity, without a "
        "message; onnxruntime's float16 converter cuts them at the end of the range.",
        see="The note of the `*-float16` rows in `quantlab analyze`, and `quantlab show weights`.",
        remedy="Leave the float16 settings out, or rescale the layer: divide its weights and multiply its output.",
        kinds=ANY,
        check=_overflow,
        confirmed_by="weights in float16",
    ),
    Hazard(
        id="F16-UNDERFLOW",
        severity="warning",
        title="all values of a weight are too small for float16",
        happens="Below 6·10⁻⁵, float16 has fewer and fewer digits, and below 3·10⁻⁸ it is 0. A weight whose largest "
        "value is as small as that loses its digits or becomes 0.",
        see="`quantlab show weights`: the SQNR of the weight in the `*-float16` settings.",
        remedy="Multiply the weight by a power of two and divide the output of its layer by it, or leave the float16 "
        "settings out.",
        kinds=ANY,
        check=_underflow,
        confirmed_by="weights in float16",
    ),
    Hazard(
        id="F16-EPSILON",
        severity="note",
        title="the epsilon of a normalization is 0 in float16",
        happens="Runtimes that compute in half floats (`onnx-float16` on a GPU, GPU delegates of TFLite, WebGL on most "
        "phones) add 0 instead of the epsilon, and divide by 0 where a variance is 0.",
        see="`quantlab analyze --runtimes chromium-webgl16`, which stores half floats as phones do.",
        remedy="Build the layer with an epsilon of at least 10⁻⁷; the float32 outputs change less than they vary "
        "between runtimes.",
        kinds=ANY,
        check=_tiny_epsilon,
    ),
    Hazard(
        id="INT64-WRAP",
        severity="warning",
        title="an int64 constant does not fit int32",
        happens="TensorFlow.js has int32 only, and its converter keeps the lower 32 bits of int64 constants: 2³² + 5 "
        "becomes 5. It prints that it converts the type, and not that the value changes.",
        see="`quantlab analyze`: the float32 check of the tfjs settings.",
        remedy="Use a smaller constant, for example −1 or 2³¹ − 1 for “to the end”, or ship TFLite or ONNX.",
        kinds=("Keras 3", "Keras 2", "SavedModel"),
        check=_wraps,
    ),
)
