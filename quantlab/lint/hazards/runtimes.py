"""Ops and layers that a runtime does not have, and files that old or other tools wrote."""

from collections.abc import Iterator

from quantlab.lint.contract import GRAPHS, Evidence, Hazard
from quantlab.lint.known_ops import (
    LAYERS_ACTIVATIONS,
    NEEDED_BY_GRAPHS,
    NOT_IN_WASM,
    NOT_IN_WEBGPU,
    RECENT_TFLITE,
    tfjs_ops,
)
from quantlab.lint.subject import Layer, Subject, is_foreign
from quantlab.types.lint import Severity

__all__ = ["HAZARDS"]


def _unsupported(subject: Subject) -> Iterator[Evidence]:
    if subject.kind in GRAPHS:
        yield from _unknown_to_tfjs(subject)
        yield from _without_kernel(subject)
    if subject.kind in {"layers-model", "Keras 2"}:
        yield from _unknown_to_layers(subject)
    if subject.kind == "TFLite":
        yield from _unknown_to_tflite(subject)
    if subject.kind == "ONNX":
        yield from _unknown_to_onnx(subject)


def _places(subject: Subject) -> dict[str, str]:
    """Kind of op → the first op of that kind."""
    places: dict[str, str] = {}
    for op in subject.ops:
        places.setdefault(op.kind, op.name)
    return places


def _unknown_to_tfjs(subject: Subject) -> Iterator[Evidence]:
    known = tfjs_ops()
    called = {value for op in subject.ops for value in op.attributes.values() if isinstance(value, str)}
    for kind, name in _places(subject).items():
        if known and kind not in known and kind not in NEEDED_BY_GRAPHS | called:
            severity: Severity = "error" if subject.kind == "graph-model" else "warning"
            yield Evidence(name, f"tfjs does not have the op {kind}, in no version up to 4.22", severity)


def _without_kernel(subject: Subject) -> Iterator[Evidence]:
    for kind, name in _places(subject).items():
        backends = [
            backend for backend, missing in (("wasm", NOT_IN_WASM), ("webgpu", NOT_IN_WEBGPU)) if kind in missing
        ]
        if backends:
            yield Evidence(
                name,
                f"tfjs 4.22 has no kernel for {kind} in {' and '.join(backends)}; it runs on cpu and webgl",
                "note",
            )


def _unknown_to_layers(subject: Subject) -> Iterator[Evidence]:
    from quantlab.formats.tfjs_layers.keras_layers import TFJS_LAYERS

    severity: Severity = "error" if subject.kind == "layers-model" else "note"
    for layer in subject.layers:
        if layer.kind == "Lambda" or is_foreign(layer):
            continue  # LAMBDA-LAYER and CUSTOM-LAYER
        if layer.kind not in TFJS_LAYERS:
            yield Evidence(
                str(layer), f"a layers-model cannot have a {layer.kind}: tfjs 4.22 does not know it", severity
            )
            continue
        for name in _activations(layer):
            if name not in LAYERS_ACTIVATIONS:
                yield Evidence(
                    str(layer),
                    f"a layers-model cannot have the activation {name}: tfjs 4.22 does not know it",
                    severity,
                )


def _activations(layer: Layer) -> list[str]:
    held = (layer.config.get("activation"), layer.config.get("recurrent_activation"))
    return [name for name in held if isinstance(name, str)]


def _unknown_to_tflite(subject: Subject) -> Iterator[Evidence]:
    versions = {(op.kind, op.version): op.name for op in reversed(subject.ops) if op.domain != "custom"}
    for (kind, version), name in sorted(versions.items()):
        if kind.startswith("op "):
            yield Evidence(name, f"{kind} is unknown to LiteRT", "error")
        elif (kind, version) in RECENT_TFLITE:
            first = RECENT_TFLITE[kind, version]
            yield Evidence(name, f"{kind} in version {version} needs TensorFlow Lite {first} or newer", "note")


_CONTRIB = "com.microsoft"


def _unknown_to_onnx(subject: Subject) -> Iterator[Evidence]:
    import onnx

    newest = int(onnx.defs.onnx_opset_version())
    opset = int(subject.metadata.get("opset ai.onnx", "0"))
    if opset > newest:
        yield Evidence("", f"its opset {opset} is newer than {newest}, the newest that is installed here", "warning")
    places = {(op.domain, op.kind): op.name for op in reversed(subject.ops)}
    for (domain, kind), name in sorted(places.items()):
        if domain in {"", "ai.onnx"}:
            if opset <= newest and not onnx.defs.has(kind):
                yield Evidence(name, f"ONNX has no op {kind}", "error")
        elif domain != "ai.onnx.ml":
            told = "only ONNX Runtime has it" if domain.startswith(_CONTRIB) else "it needs a library of custom ops"
            yield Evidence(name, f"{kind} is of the domain '{domain}': {told}", "note")


def _flex(subject: Subject) -> Iterator[Evidence]:
    kinds = sorted({op.kind for op in subject.ops if op.domain == "custom" and op.kind.startswith("Flex")})
    if kinds:
        place = next(op.name for op in subject.ops if op.kind == kinds[0])
        yield Evidence(place, f"it needs TensorFlow's own kernels: {', '.join(kinds)}")


def _custom_ops(subject: Subject) -> Iterator[Evidence]:
    for kind, name in _places(subject).items():
        if any(op.kind == kind and op.domain == "custom" for op in subject.ops) and not kind.startswith("Flex"):
            yield Evidence(name, f"the custom op {kind} must be registered in the runtime")


_PER_CHANNEL_OPSET = 13


def _old(subject: Subject) -> Iterator[Evidence]:
    told = subject.metadata
    if subject.kind == "graph-model" and not told.get("signature"):
        yield Evidence("", "it has no signature, so a converter before 2.0 (2020) wrote it")
    if subject.kind in {"graph-model", "layers-model"} and " v1." in told.get("tool", ""):
        yield Evidence("", f"'{told['tool']}' wrote it")
    if subject.kind == "TFLite" and told.get("tool", "").startswith("TOCO"):
        yield Evidence("", "TOCO wrote it, the converter of TensorFlow 1")
    opset = int(told.get("opset ai.onnx", "0"))
    if subject.kind == "ONNX" and 0 < opset < _PER_CHANNEL_OPSET:
        yield Evidence("", f"its opset {opset} has no scale for each channel, which opset 13 brought")
    version = told.get("version", "") if subject.kind == "Keras 2" else told.get("keras", "")
    if version.startswith("1."):
        yield Evidence("", f"Keras {version} wrote it")


def _shards(subject: Subject) -> Iterator[Evidence]:
    note = subject.metadata.get("long_shard")
    if note:
        yield Evidence("", note)


def _gelu(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers:
        if layer.config.get("activation") == "gelu":
            yield Evidence(str(layer), "the exact gelu is the op Erfc, which the graph-model converter refuses")


_POOLS = ("MaxPool", "AvgPool", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
_CONVOLUTIONS = ("Conv2D", "_FusedConv2D", "Conv2DTranspose", "SeparableConv2D")


def _channels_first(subject: Subject) -> Iterator[Evidence]:
    layers = [layer for layer in subject.layers if layer.config.get("data_format") == "channels_first"]
    placed = [(layer.kind, str(layer)) for layer in layers]
    placed += [(op.kind, op.name) for op in subject.ops if op.attributes.get("data_format") == "NCHW"]
    severity: Severity = "error" if subject.kind == "graph-model" else "warning"
    for kinds, told in (
        (_POOLS, "tfjs pools a graph-model with channels first along the wrong axes, without a message"),
        (_CONVOLUTIONS, "the wasm backend of tfjs refuses a convolution with channels first in a graph-model"),
    ):
        places = [place for kind, place in placed if kind in kinds]
        if places:
            yield Evidence(places[0], told, severity if kinds is _POOLS else "warning")


_READ_BY_TFJS = frozenset({"nearest", "bilinear"})


def _interpolation(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers_of("UpSampling2D", "Resizing"):
        name = layer.config.get("interpolation")
        if isinstance(name, str) and name not in _READ_BY_TFJS:
            yield Evidence(str(layer), f"tfjs has no {name} interpolation")


HAZARDS = (
    Hazard(
        id="UNSUPPORTED-OP",
        severity="warning",
        title="a runtime does not have an op, a layer or a version of it",
        happens="The converter refuses the model, or the runtime refuses the file when it is loaded. The finding names "
        "the runtime, and the smallest version that has the op.",
        see="`quantlab show runtimes`: the failures; `quantlab analyze --fallback` runs such rows on another backend.",
        remedy="Replace the op, choose another backend or format, or update the runtime of the app to that version.",
        kinds=("SavedModel", "graph-model", "layers-model", "Keras 2", "TFLite", "ONNX"),
        check=_unsupported,
    ),
    Hazard(
        id="FLEX-OPS",
        severity="error",
        title="the TFLite file needs Select TF ops",
        happens="Ops whose names begin with `Flex` are kernels of TensorFlow. LiteRT in Python, LiteRT.js and apps "
        "without the library `select-tf-ops` (40 MB) do not load the file.",
        see="`quantlab analyze --variant NAME=FILE`: the failure of the row.",
        remedy="Convert with TFLite's own ops only (`TFLITE_BUILTINS`), and replace the ops that are named.",
        kinds=("TFLite",),
        check=_flex,
    ),
    Hazard(
        id="CUSTOM-OP",
        severity="warning",
        title="the TFLite file has custom ops",
        happens="A runtime runs them only if the app registers their kernels; LiteRT.js and plain LiteRT have none.",
        see="`quantlab analyze --variant NAME=FILE`: the failure of the row.",
        remedy="Export the model without its post-processing, or ship a runtime with these kernels.",
        kinds=("TFLite",),
        check=_custom_ops,
    ),
    Hazard(
        id="OLD-CONVERTER",
        severity="note",
        title="an old converter wrote the file",
        happens="Its bugs are in the file: no names of inputs and outputs, old definitions of ops, one scale for each "
        "tensor.",
        see="`quantlab show --wide`.",
        remedy="Convert again with a current converter, if the model is still there.",
        kinds=("graph-model", "layers-model", "TFLite", "ONNX", "Keras 2"),
        check=_old,
    ),
    Hazard(
        id="LONG-SHARD",
        severity="error",
        title="tfjs reads zeros from the last shard",
        happens="If all shards of the weights but the last have one size, tfjs finds a weight by division, and reads "
        "zeros from a last shard that is longer, without a message.",
        see="`quantlab analyze --variant NAME=FOLDER`: the note of the row.",
        remedy="Convert again, or write all weights into one shard.",
        kinds=("graph-model", "layers-model"),
        check=_shards,
    ),
    Hazard(
        id="GELU-EXACT",
        severity="warning",
        title="the graph-model converter refuses the exact gelu",
        happens="Keras computes `gelu` with the op Erfc, which TensorFlow.js does not have. Layers-models, TFLite and "
        "ONNX are not concerned.",
        see="`quantlab analyze --settings 'tfjs-*'`: the rows fail with 'Unsupported Ops … Erfc'.",
        remedy="Use `keras.activations.gelu(x, approximate=True)`; it differs from the exact one by at most 0.0005.",
        kinds=("Keras 3", "Keras 2"),
        check=_gelu,
    ),
    Hazard(
        id="CHANNELS-FIRST",
        severity="warning",
        title="a graph-model has its channels first",
        happens="TensorFlow.js ignores the `data_format` of a pooling in a graph-model: it pools height and channels, "
        "without a message, and the shape of the output is wrong. Its wasm backend refuses convolutions. Layers-models "
        "and TFLite are right.",
        see="`quantlab analyze --settings 'tfjs-*'`: the failures and the float32 check of the tfjs settings.",
        remedy="Build the model with `data_format='channels_last'`, and transpose its inputs. Kernels stay the same.",
        kinds=("Keras 3", "Keras 2", "SavedModel", "graph-model"),
        check=_channels_first,
        confirmed_by="float32 check",
        formats=("tfjs",),
    ),
    Hazard(
        id="INTERPOLATION",
        severity="warning",
        title="tfjs does not have this interpolation",
        happens="The graph-model converter refuses the op (ResizeBicubic, ScaleAndTranslate), and a layers-model is "
        "not loaded.",
        see="`quantlab analyze --settings 'tfjs-*'`: the rows fail.",
        remedy="Use `nearest` or `bilinear`, if the model was trained with it, or ship TFLite or ONNX.",
        kinds=("Keras 3", "Keras 2", "layers-model"),
        check=_interpolation,
    ),
)
