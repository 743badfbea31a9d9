"""What a file says of itself, against what it holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from quantlab.formats.describe import broken_claim, note_unquantized
from quantlab.lint.contract import ARTIFACTS, Evidence, Hazard
from quantlab.lint.subject import Layer, Subject
from quantlab.names import counted
from quantlab.types import NARROW_DTYPES

__all__ = ["HAZARDS"]


def _label(subject: Subject) -> Iterator[Evidence]:
    claim = broken_claim([subject.name], subject.held, (*subject.inputs, *subject.outputs))
    if claim is not None:
        yield Evidence("", claim)


_INTEGER_OPS = ("QLinear", "QGemm", "QAttention", "ConvInteger", "MatMulInteger", "DequantizeLinear")


def _already(subject: Subject) -> Iterator[Evidence]:
    modes = dict.fromkeys(mode for layer in subject.layers if (mode := _quantized_mode(layer)) is not None)
    if modes:
        yield Evidence("", f"its layers are quantized by Keras ({', '.join(modes)})")
    wrapped = sum(layer.kind.startswith("Quantize") for layer in subject.layers)
    if wrapped:
        yield Evidence("", f"it has {counted(wrapped, 'layer')} of quantization-aware training")
    if subject.kind == "SavedModel":
        yield from _already_saved(subject)
    ops = [op for op in subject.ops if subject.kind == "ONNX" and op.kind.startswith(_INTEGER_OPS)]
    if ops:
        told = counted(len(ops), "op quantizes or reads codes", "ops quantize or read codes")
        yield Evidence(ops[0].name, f"{told}, so it cannot be a float reference", "note")


def _already_saved(subject: Subject) -> Iterator[Evidence]:
    held = [weight for weight in subject.weights if weight.dtype == "int8" and len(weight.shape) > 1]
    if held:
        yield Evidence(held[0].name, counted(len(held), "weight is int8", "weights are int8"))
    fake = [op for op in subject.ops if op.kind.startswith("FakeQuant")]
    if fake:
        told = counted(
            len(fake), "op of quantization-aware training rounds", "ops of quantization-aware training round"
        )
        yield Evidence(fake[0].name, f"{told} its values")


def _policy(layer: Layer) -> Mapping[str, Any]:
    """The dtype policy of a layer as a document, if it is one."""
    dtype = layer.config.get("dtype")
    return dtype if isinstance(dtype, Mapping) else {"config": {"name": dtype}} if isinstance(dtype, str) else {}


def _quantized_mode(layer: Layer) -> str | None:
    policy = _policy(layer)
    config = policy.get("config")
    if str(policy.get("class_name", "")).startswith("Quantized") and isinstance(config, Mapping):
        return str(config.get("mode", "?"))
    name = str(config.get("name", "")) if isinstance(config, Mapping) else ""
    return name.partition("_from_")[0] if "_from_" in name else None


def _mixed(subject: Subject) -> Iterator[Evidence]:
    named = [
        (layer, str(config.get("name", ""))) for layer in subject.layers if (config := _policy(layer).get("config"))
    ]
    mixed = [(layer, name) for layer, name in named if name.startswith("mixed_")]
    if mixed:
        layer, name = mixed[0]
        yield Evidence(str(layer), f"{counted(len(mixed), 'layer has', 'layers have')} the policy {name}")
    casts = [op for op in subject.ops_of("Cast") if op.attributes.get("DstT") in {"DT_HALF", "DT_BFLOAT16"}]
    if casts:
        yield Evidence(casts[0].name, f"{counted(len(casts), 'op casts', 'ops cast')} to half floats")


def _not_quantized(subject: Subject) -> Iterator[Evidence]:
    if any(dtype in NARROW_DTYPES for dtype in subject.held):
        for note in note_unquantized(subject.held):
            yield Evidence("", note)
    computing = [op for op in subject.ops if op.attributes.get("computes_in") not in {None, "other"}]
    computing = [op for op in computing if op.kind not in _CONVERSIONS]
    left = [op for op in computing if op.attributes["computes_in"] in {"float", "hybrid"}]
    if left and 2 * len(left) < len(computing):
        kinds = ", ".join(sorted({op.kind for op in left}))
        yield Evidence(left[0].name, f"{len(left)} of {len(computing)} ops compute in float32: {kinds}")


_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "ASSIGN_VARIABLE", "READ_VARIABLE"})


def _not_faster(subject: Subject) -> Iterator[Evidence]:
    floats = {dtype: size for dtype, size in subject.held.items() if dtype in {*NARROW_DTYPES, "float16", "float32"}}
    narrow = {dtype: size for dtype, size in floats.items() if dtype != "float32"}
    if 2 * sum(narrow.values()) <= sum(floats.values()) or not narrow:
        return
    most = max(narrow, key=lambda dtype: narrow[dtype])
    if subject.kind in {"graph-model", "layers-model"}:
        yield Evidence("", f"its {most} weights become float32 when they are loaded")
    elif most == "float16" and not any(op.attributes.get("computes_in") == "int8" for op in subject.ops):
        yield Evidence("", "its float16 weights become float32 on most CPUs; GPU delegates compute in half floats")
    elif any(op.attributes.get("computes_in") == "int16" for op in subject.ops):
        yield Evidence("", "activations in int16 run in reference kernels, some 50 times slower than int8")


HAZARDS = (
    Hazard(
        id="LABEL-LIE",
        severity="warning",
        title="the name says one data type, and the weights have another",
        happens="A file called float32 that holds int8 weights is taken for the baseline, whose loss is 0.",
        see="`quantlab analyze --variant NAME=FILE`: the note of the row, and `quantlab show weights`.",
        remedy="Rename the file, or convert the model again with the setting that its name says.",
        kinds=ARTIFACTS,
        check=_label,
    ),
    Hazard(
        id="ALREADY-QUANTIZED",
        severity="warning",
        title="the model is quantized already",
        happens="Its weights are codes already, so that every setting is compared with a quantized reference, and its "
        "loss looks smaller than it is. Kernels of Keras' `int8` mode fail in the tfjs and TFLite converters.",
        see="`quantlab analyze` says so above the table.",
        remedy="Give the model from before it was quantized.",
        kinds=("Keras 3", "Keras 2", "SavedModel", "ONNX"),
        check=_already,
    ),
    Hazard(
        id="NOT-QUANTIZED",
        severity="warning",
        title="a quantized file holds float32, or computes in it",
        happens="Converters leave out what they do not support, without a message: the file is larger than expected, "
        "and each change between integers and floats takes time. Accelerators for integers refuse such a file or run "
        "part of it.",
        see="`quantlab show ops`, and the note of the row.",
        remedy="Convert with calibration samples and integer ops only, or replace the ops that are named.",
        kinds=("graph-model", "layers-model", "TFLite", "ONNX"),
        check=_not_quantized,
    ),
    Hazard(
        id="NOT-FASTER",
        severity="note",
        title="the file is smaller, but not faster",
        happens="TensorFlow.js decodes all weights to float32 when it loads a model; only the download is smaller. "
        "TFLite does the same with float16 weights on most CPUs, and has no fast kernels for int16 activations.",
        see="`quantlab show costs`: milliseconds and memory of the setting beside those of float32.",
        remedy="For speed, use int8 activations in TFLite or ONNX (`tflite-int8`, `onnx-int8`).",
        kinds=("graph-model", "layers-model", "TFLite"),
        check=_not_faster,
        confirmed_by="times",
    ),
    Hazard(
        id="MIXED-PRECISION",
        severity="warning",
        title="layers compute in half floats",
        happens="Converters keep the casts of `mixed_float16`: TFLite has no kernels for them, tfjs ignores them, and "
        "no two runtimes round alike. quantlab opens the model in float32, so its reference is not that of Keras.",
        see="`quantlab analyze` says so above the table.",
        remedy="Set the policy of the layers to float32 and save the model again; the weights are float32 already.",
        kinds=("Keras 3", "Keras 2", "SavedModel", "graph-model"),
        check=_mixed,
    ),
)
