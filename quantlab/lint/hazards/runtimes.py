"""Files that a runtime reads otherwise, or only with a library, and files that old tools wrote."""

from collections.abc import Iterator

from quantlab.lint.contract import Evidence, Hazard
from quantlab.lint.subject import Subject
from quantlab.types.lint import Severity

__all__ = ["HAZARDS"]


def _flex(subject: Subject) -> Iterator[Evidence]:
    kinds = sorted({op.kind for op in subject.ops if op.domain == "custom" and op.kind.startswith("Flex")})
    if kinds:
        place = next(op.name for op in subject.ops if op.kind == kinds[0])
        yield Evidence(place, f"it needs TensorFlow's own kernels: {', '.join(kinds)}")


def _custom_ops(subject: Subject) -> Iterator[Evidence]:
    places = {op.kind: op.name for op in reversed(subject.ops) if op.domain == "custom"}
    for kind, name in sorted(places.items()):
        if not kind.startswith("Flex"):
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
