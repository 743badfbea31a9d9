"""Every hazard on the smallest subject that has it, and on its neighbour that has not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantlab.lint import HAZARDS, Layer, Op, Subject, TensorFacts, WeightFacts, examine
from quantlab.lint.subject import Kind, Role
from quantlab.lint.weights import facts_of
from quantlab.types import Codes, Port


def keras(*layers: Layer, kind: Kind = "Keras 2", weights: Sequence[WeightFacts] = (), **others: Any) -> Subject:
    return Subject(path="m", kind=kind, name="m", layers=layers, weights=tuple(weights), **others)


def graph(*ops: Op, kind: Kind = "graph-model", weights: Sequence[WeightFacts] = (), **others: Any) -> Subject:
    others.setdefault("metadata", {"signature": "yes", "opset ai.onnx": "18"})
    return Subject(path="m", kind=kind, name=others.pop("name", "m"), ops=ops, weights=tuple(weights), **others)


def layer(kind: str, name: str = "l", sources: Sequence[str] = (), **config: Any) -> Layer:
    return Layer(name, kind, config, sources=tuple(sources))


def op(kind: str, *inputs: str, name: str = "n", **attributes: Any) -> Op:
    version, domain = attributes.pop("version", 1), attributes.pop("domain", "")
    return Op(name, kind, inputs, (name,), attributes, version=version, domain=domain)


def weight(values: Any, axes: Sequence[int] = (), dtype: str = "float32", **others: Any) -> WeightFacts:
    return facts_of("w", np.asarray(values, dtype), axes, **others)


def codes(dtype: str = "uint8", **fields: Any) -> WeightFacts:
    return WeightFacts(name="w", shape=fields.pop("shape", (4, 2)), dtype=dtype, **fields)


def port(dtype: str = "float32", shape: tuple[int | None, ...] = (None, 4), held: Codes | None = None) -> Port:
    return Port("x", "x", 0, shape, dtype, held)


KERNEL = np.linspace(-1, 1, 32, dtype=np.float32).reshape(16, 2)
SPREAD = KERNEL * np.array([1, 0.004], np.float32)
HALF = np.full((4, 2), 65504.0)
FLAT = np.tile(np.linspace(-1, 1, 256, dtype=np.float32), 8)
STRETCHED = np.concatenate([FLAT[:-1], np.float32([20])])
COARSE = {"scales": (0.5,), "low": (-60.0, -1.0), "high": (60.0, 0.5), "rms": (30.0, 0.6)}
FINE = {"scales": (0.5,), "low": (-60.0, -1.5), "high": (60.0, 0.5), "rms": (30.0, 0.6)}
TFLITE_LEAKING = (op("CONV_2D", name="a", computes_in="int8"), op("CONV_2D", name="b", computes_in="int8"))


def eight_bits(scale: float, dtype: str = "int8") -> TensorFacts:
    return TensorFacts((1, 4), dtype, (scale,), (0,))


def conv_then(kind: str, **attributes: Any) -> tuple[Op, Op]:
    return op("CONV_2D", "x", name="a"), op(kind, "a", name="b", **attributes)


RESIZING = (
    "tfjs passes its list of inputs on as a tensor and fails ('x must be rank 3 or 4, but got rank 1'); called with a "
    "tensor, it aligns corners, which Keras does not"
)

CASES: dict[str, tuple[Subject, str, Subject]] = {
    "NONFINITE-WEIGHT": (
        keras(weights=[weight([1, np.nan])]),
        "1 of 2 values are NaN",
        graph(op("Clip", "x", "w"), kind="ONNX", weights=[weight(np.inf)]),
    ),
    "F16-OVERFLOW": (
        keras(weights=[weight([1, 1e30])]),
        "1 of 2 values are beyond the range of float16 (the largest is 1e+30)",
        keras(weights=[weight([1, 65519])]),  # is rounded to 65504
    ),
    "F16-UNDERFLOW": (
        keras(weights=[weight([3e-8, 1e-7])]),
        "rounding to float16 changes it by 33.8 % (RMS), because its largest value is 1e-07",
        keras(weights=[weight([1e-8, 0.5])]),
    ),
    "F16-EPSILON": (
        keras(layer("LayerNormalization", epsilon=1e-12)),
        "its epsilon 1e-12 is 0 in float16",
        keras(layer("LayerNormalization", epsilon=1e-7)),
    ),
    "INT64-WRAP": (
        graph(kind="SavedModel", weights=[weight([2**32 + 5], dtype="int64")]),
        "1 of 1 int64 values do not fit int32",
        graph(kind="SavedModel", weights=[weight([2**31 - 1], dtype="int64")]),
    ),
    "CHANNEL-SPREAD": (
        keras(weights=[weight(SPREAD, [1], role="kernel")]),
        "1 of 2 channels have an SQNR below 10 dB with one scale for all in 8 bits (the worst 0.0 dB)",
        keras(weights=[weight(KERNEL, [1], role="kernel")]),
    ),
    "OUTLIER": (
        keras(weights=[weight(STRETCHED, role="kernel")]),
        "its largest value 20 is 20 times the value that 99.9 % do not exceed, so these share 13 of 255 codes",
        keras(weights=[weight(FLAT, role="kernel")]),
    ),
    "PER-TENSOR-DEPTHWISE": (
        graph(weights=[codes(role="depthwise", **COARSE)]),
        "1 of 2 channels use at most 5 codes, because one scale serves all channels",
        graph(weights=[codes(role="depthwise", **FINE)]),
    ),
    "SMALL-TENSORS": (
        keras(weights=[weight(np.ones((30, 30)), role="kernel")] * 10),
        "9,000 of 9,000 values of kernels are in 10 kernels of fewer than 1,024 values",
        keras(weights=[weight(np.ones((32, 32)), role="kernel")] * 10),
    ),
    "BN-VARIANCE-U8": (
        graph(kind="layers-model", weights=[codes(role="variance", scales=(0.1,), values=(0.05, 9.0), shape=(2,))]),
        "1 of 2 variances are below two steps of 0.1, so each may be wrong by a quarter or more",
        graph(kind="layers-model", weights=[codes(role="variance", scales=(0.1,), values=(5.0, 9.0), shape=(2,))]),
    ),
    "LABEL-LIE": (
        graph(name="net_float32.tflite", kind="TFLite", held={"int8": 900, "float32": 20}),
        "named float32, holds int8 weights",
        graph(name="net_float32.tflite", kind="TFLite", held={"float32": 900}),
    ),
    "ALREADY-QUANTIZED": (
        keras(layer("Dense", dtype={"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}), kind="Keras 3"),
        "its layers are quantized by Keras (int8)",
        keras(layer("Dense", dtype={"class_name": "DTypePolicy", "config": {"name": "float32"}}), kind="Keras 3"),
    ),
    "NOT-QUANTIZED": (
        graph(*TFLITE_LEAKING, op("TANH", name="c", computes_in="float"), kind="TFLite"),
        "1 of 3 ops compute in float32: TANH",
        graph(*TFLITE_LEAKING, op("DEQUANTIZE", name="c", computes_in="float"), kind="TFLite"),
    ),
    "NOT-FASTER": (
        graph(held={"uint8": 900, "float32": 20}),
        "its uint8 weights become float32 when they are loaded",
        graph(held={"float32": 900}),
    ),
    "MIXED-PRECISION": (
        keras(layer("Dense", dtype={"class_name": "Policy", "config": {"name": "mixed_float16"}})),
        "1 layer has the policy mixed_float16",
        keras(layer("Dense", dtype="float32")),
    ),
    "UINT8-IO-HALFWAY": (
        graph(kind="TFLite", inputs=(port("uint8", (1, 4), Codes(2 / 255, 127, 0, 255)),)),
        "with its scale 0.0078431 and zero point 127, every pixel of x/127.5 − 1 lies half way between two codes",
        graph(kind="TFLite", inputs=(port("uint8", (1, 4), Codes(1 / 255, 0, 0, 255)),)),
    ),
    "CONCAT-SCALES": (
        graph(
            op("CONCATENATION", "boxes", "scores", name="all"),
            kind="TFLite",
            tensors={"boxes": eight_bits(1.0), "scores": eight_bits(1 / 256), "all": eight_bits(1.0)},
        ),
        "its output spans 255 in 8 bits, and its input 'scores' spans 0.996, so that has 1 of 255 codes",
        graph(
            op("CONCATENATION", "left", "right", name="all"),
            kind="TFLite",
            tensors={"left": eight_bits(1.0), "right": eight_bits(0.5), "all": eight_bits(1.0)},
        ),
    ),
    "SOFTMAX-INSIDE": (
        graph(*conv_then("SOFTMAX", computes_in="int8"), kind="TFLite", outputs=(Port("y", "b", 0, (1, 4), "int8"),)),
        "it is the result of SOFTMAX in codes of 1/256",
        graph(
            *conv_then("SOFTMAX", computes_in="float"), kind="TFLite", outputs=(Port("y", "b", 0, (1, 4), "float32"),)
        ),
    ),
    "ZERO-SCALE": (
        graph(kind="TFLite", weights=[codes("int8", scales=(0.1, 0.0))]),
        "1 of its 2 scales are not above 0 (0)",
        graph(kind="TFLite", weights=[codes("int8", scales=(0.1, 1e-30))]),
    ),
    "BIAS-SATURATED": (
        graph(kind="TFLite", weights=[codes("int32", scales=(1e-12,), saturated=1, shape=(8,))]),
        "1 of 8 codes are at ±2³¹, the end of int32",
        graph(kind="TFLite", weights=[codes("int32", scales=(1e-12,), shape=(8,))]),
    ),
    "STRING-INPUT": (
        graph(kind="SavedModel", inputs=(port("string"),)),
        "it holds strings",
        graph(kind="SavedModel", inputs=(port("int64"),)),
    ),
    "DYNAMIC-SHAPE": (
        keras(inputs=(port(shape=(None, None, 3)),)),
        "its shape (?, ?, 3) has an open size that is not its first",
        keras(inputs=(port(shape=(None, 8, 3)),)),
    ),
    "LAYERNORM-EPSILON": (
        keras(layer("LayerNormalization", epsilon=1e-3, axis=[2])),
        "with its epsilon 0.001, every output of the graph-model is NaN",
        keras(layer("LayerNormalization", epsilon=1e-5, axis=[2])),
    ),
    "TRAINING-TRUE": (
        keras(Layer("drop", "Dropout", {}, training=True)),
        "it is called with training=True",
        keras(Layer("drop", "Dropout", {})),
    ),
    "RANDOM-OP": (
        graph(op("RandomUniform")),
        "the op RandomUniform gives another result in every call",
        graph(op("Range")),
    ),
    "DOUBLE-RESCALING": (
        keras(layer("Rescaling", "one", scale=1 / 255), layer("Rescaling", "two", ["one"], scale=1 / 255)),
        "its inputs are scaled by 0.00392 before, in one (Rescaling)",
        keras(layer("Rescaling", "one", scale=1 / 255), layer("Rescaling", "two", ["other"], scale=1 / 255)),
    ),
    "SOFTMAX-TWICE": (
        keras(layer("Dense", "a", activation="softmax"), layer("Softmax", "b", ["a"])),
        "its input is a softmax already, of a (Dense)",
        keras(layer("Dense", "a", activation="linear"), layer("Softmax", "b", ["a"])),
    ),
    "LAMBDA-LAYER": (
        keras(layer("Lambda")),
        "it holds Python byte code, which runs when the model is opened",
        keras(layer("Dense")),
    ),
    "CUSTOM-LAYER": (
        keras(Layer("l", "Tripled", {}, module="shop_layers")),
        "its class is in the module 'shop_layers', which must be imported first",
        keras(Layer("l", "Dense", {}, module="keras.layers")),
    ),
    "STATE-KEPT": (
        keras(layer("LSTM", stateful=True)),
        "it keeps its state from one call to the next (stateful=True)",
        keras(layer("LSTM", stateful=False)),
    ),
    "UNSUPPORTED-OP": (
        graph(op("Erfc")),
        "tfjs does not have the op Erfc, in no version up to 4.22",
        graph(op("Relu")),
    ),
    "FLEX-OPS": (
        graph(op("FlexErfc", domain="custom"), kind="TFLite"),
        "it needs TensorFlow's own kernels: FlexErfc",
        graph(op("FLEXIBLE"), kind="TFLite"),
    ),
    "CUSTOM-OP": (
        graph(op("TFLite_Detection_PostProcess", domain="custom"), kind="TFLite"),
        "the custom op TFLite_Detection_PostProcess must be registered in the runtime",
        graph(op("SOFTMAX"), kind="TFLite"),
    ),
    "OLD-CONVERTER": (
        graph(metadata={}),
        "it has no signature, so a converter before 2.0 (2020) wrote it",
        graph(metadata={"signature": "yes", "tool": "TensorFlow.js Converter v4.22.0"}),
    ),
    "LONG-SHARD": (
        graph(metadata={"signature": "yes", "long_shard": "tfjs reads zeros from the last shard"}),
        "tfjs reads zeros from the last shard",
        graph(metadata={"signature": "yes", "long_shard": ""}),
    ),
    "GELU-EXACT": (
        keras(layer("Dense", activation="gelu")),
        "the exact gelu is the op Erfc, which the graph-model converter refuses",
        keras(layer("Dense", activation="relu")),
    ),
    "CHANNELS-FIRST": (
        graph(op("MaxPool", data_format="NCHW")),
        "tfjs pools a graph-model with channels first along the wrong axes, without a message",
        graph(op("MaxPool", data_format="NHWC")),
    ),
    "INTERPOLATION": (
        keras(layer("UpSampling2D", interpolation="bicubic")),
        "tfjs has no bicubic interpolation",
        keras(layer("UpSampling2D", interpolation="nearest")),
    ),
    "SEPARABLE-FIELDS": (
        keras(layer("SeparableConv2D", kernel_initializer={"class_name": "GlorotUniform"})),
        "tfjs does not load it, because it has the field kernel_initializer, as recent versions of Keras 2 write",
        keras(layer("SeparableConv2D", kernel_initializer=None)),
    ),
    "CAUSAL-PADDING": (
        keras(layer("Conv1D", padding="causal")),
        "tfjs does not run it: causal padding is not implemented",
        keras(layer("Conv1D", padding="same")),
    ),
    "LEAKYRELU-ALPHA": (
        keras(layer("LeakyReLU", negative_slope=0.1), kind="Keras 3"),
        "its slope 0.1 is stored as negative_slope, which tfjs does not read; it uses 0.3",
        keras(layer("LeakyReLU", negative_slope=0.3), kind="Keras 3"),
    ),
    "RELU-SLOPE": (
        keras(layer("ReLU", negative_slope=0.2, threshold=0.5)),
        "tfjs ignores its negative_slope 0.2 and threshold 0.5",
        keras(layer("ReLU", negative_slope=0.0, threshold=0.0, max_value=6.0)),
    ),
    "HARD-SIGMOID-DEFINITION": (
        keras(layer("LSTM", recurrent_activation="hard_sigmoid"), kind="Keras 3", metadata={"version": "3.10"}),
        "hard_sigmoid is relu6(x + 3)/6 in Keras 3, and clip(0.2·x + 0.5, 0, 1) in tfjs and Keras 2",
        keras(layer("LSTM", recurrent_activation="hard_sigmoid"), metadata={"version": "2.15"}),
    ),
    "UPSAMPLE-HALFPIXEL": (
        keras(layer("UpSampling2D", interpolation="bilinear")),
        "tfjs interpolates without half-pixel centres, Keras with them",
        keras(layer("UpSampling2D", interpolation="nearest")),
    ),
    "RESIZING-ALIGN": (
        keras(layer("Resizing")),
        RESIZING,
        keras(layer("CenterCrop")),
    ),
    "KEEPDIMS-IGNORED": (
        keras(layer("GlobalAveragePooling2D", keepdims=True)),
        "tfjs ignores keepdims=True, so its output has two axes only, and a following layer may not load",
        keras(layer("GlobalAveragePooling2D", keepdims=False)),
    ),
    "GRU-RESET-AFTER": (
        keras(layer("GRU", reset_after=True)),
        "tfjs does not load it: 'GRUCell does not support reset_after parameter set to true'",
        keras(layer("GRU", reset_after=False)),
    ),
    "DILATION-IGNORED": (
        keras(layer("DepthwiseConv2D", dilation_rate=[2, 2])),
        "tfjs ignores its dilation_rate 2×2",
        keras(layer("Conv2D", dilation_rate=[2, 2])),
    ),
    "ELU-ALPHA": (
        keras(layer("ELU", alpha=0.5)),
        "tfjs does not load it: an alpha other than 1 (0.5) is not supported",
        keras(layer("ELU", alpha=1.0)),
    ),
    "GROUPED-CONV": (
        keras(layer("Conv2D", groups=2)),
        "tfjs does not know its 2 groups, and refuses the shape of its kernel",
        keras(layer("Conv2D", groups=1)),
    ),
    "SOFTMAX-AXIS": (
        keras(layer("Softmax", axis=1)),
        "tfjs computes a softmax along the last axis only, and this one is along axis 1",
        keras(layer("Softmax", axis=-1)),
    ),
    "KERAS-3-CONFIG": (
        keras(layer("InputLayer", batch_shape=[None, 4]), kind="layers-model"),
        "its shape is stored as batch_shape, as Keras 3 does; tfjs reads batch_input_shape, and does not load it",
        keras(layer("InputLayer", batch_input_shape=[None, 4]), kind="layers-model"),
    ),
}
"""Hazard → a subject that has it, its sentence, and a subject like it that has none."""


@pytest.mark.parametrize(
    ("hazard", "subject", "sentence"),
    [pytest.param(name, has, told, id=name) for name, (has, told, _) in CASES.items()],
)
def test_finds(hazard: str, subject: Subject, sentence: str) -> None:
    found = examine(subject, tuple(HAZARDS.values()))
    assert [(finding.hazard, finding.sentence) for finding in found] == [(hazard, sentence)]


@pytest.mark.parametrize("subject", [pytest.param(others, id=name) for name, (_, _, others) in CASES.items()])
def test_leaves_alone(subject: Subject) -> None:
    assert examine(subject, tuple(HAZARDS.values())) == []


def test_every_hazard_has_a_case() -> None:
    assert set(CASES) == set(HAZARDS)
    assert len(HAZARDS) >= 30


def mask_of(reader: str, values: Any, role: Role = "constant") -> Subject:
    held = weight(values, dtype="float16", role=role)
    at_limit = int((np.abs(np.asarray(values)) == 65504).sum())
    return graph(op(reader, "x", "w"), weights=[replace(held, at_half_limit=at_limit)])


AT_LIMIT = "at ±65,504, the largest float16"
MAY_BE_CUT = "a converter may have cut larger ones"
MAY_BE_MASK = "a mask before a softmax may be meant"


@pytest.mark.parametrize(
    ("subject", "severity", "sentence"),
    [
        pytest.param(mask_of("AddV2", -65504), "note", f"1 value {AT_LIMIT}; {MAY_BE_MASK}", id="a mask that is added"),
        pytest.param(
            mask_of("SelectV2", [0, -65504]), "note", f"1 value {AT_LIMIT}; {MAY_BE_MASK}", id="a mask that is selected"
        ),
        pytest.param(
            mask_of("AddV2", [0.25, 65504]), "error", f"1 value {AT_LIMIT}: {MAY_BE_CUT}", id="a bias that is added"
        ),
        pytest.param(
            mask_of("Pow", 65504), "error", f"1 value {AT_LIMIT}: {MAY_BE_CUT}", id="a constant of another op"
        ),
        pytest.param(
            mask_of("MatMul", [[65504, 65504]], "kernel"), "error", f"2 values {AT_LIMIT}: {MAY_BE_CUT}", id="a kernel"
        ),
    ],
)
def test_the_largest_float16_is_an_error_unless_it_may_be_a_mask(
    subject: Subject, severity: str, sentence: str
) -> None:
    assert [(one.severity, one.hazard, one.sentence) for one in examine(subject, tuple(HAZARDS.values()))] == [
        (severity, "F16-OVERFLOW", sentence)
    ]


IN_BROWSERS = "in onnxruntime-web 1.30, WebGL refuses the file"


def onnx_file(*kinds: str, opset: int = 18, ir: int = 8) -> Subject:
    return graph(*map(op, kinds), kind="ONNX", metadata={"opset ai.onnx": str(opset), "ir": str(ir)})


@pytest.mark.parametrize(
    ("subject", "sentences"),
    [
        pytest.param(
            graph(op("FFT", name="a"), op("Relu", name="b")),
            [
                "tfjs 4.22 has no kernel for FFT on wasm; it runs on cpu, webgl, webgpu and node",
                "it needs tfjs 4.1 or newer on webgpu (FFT)",
            ],
            id="tfjs: a backend without a kernel needs no version",
        ),
        pytest.param(
            graph(op("IsInf")), ["it needs tfjs 4.3 or newer (IsInf)"], id="tfjs: an op that all backends got at once"
        ),
        pytest.param(
            graph(op("Elu", name="a"), op("Erf", name="b"), op("Ceil", name="c")),
            ["it needs tfjs 4.6 or newer on wasm (Erf) and 4.1 or newer on webgpu (Erf)"],
            id="tfjs: the newest op of each backend",
        ),
        pytest.param(
            graph(op("RaggedRange"), kind="SavedModel"),
            ["tfjs 4.22 has no kernel for RaggedRange on wasm, webgpu and node; it runs on cpu and webgl"],
            id="tfjs: a SavedModel has no version yet",
        ),
        pytest.param(
            onnx_file("Relu", opset=22, ir=10), ["its opset 22 needs ONNX Runtime 1.21 or newer"], id="ONNX: an opset"
        ),
        pytest.param(
            onnx_file("Relu", opset=20, ir=11),
            ["its IR version 11 needs ONNX Runtime 1.23 or newer"],
            id="ONNX: a version of the file",
        ),
        pytest.param(onnx_file("Relu", "Constant", opset=19, ir=9), [], id="ONNX: what every recent version reads"),
        pytest.param(
            onnx_file("ImageDecoder", opset=20),
            [
                "ONNX Runtime has no kernel for ImageDecoder on the CPU",
                "its opset 20 needs ONNX Runtime 1.17 or newer",
                f"{IN_BROWSERS} (no ImageDecoder) and WebGPU computes ImageDecoder on the CPU",
            ],
            id="ONNX: an op without a kernel",
        ),
        pytest.param(
            onnx_file("TensorScatter", opset=24, ir=12),
            [
                "TensorScatter needs ONNX Runtime 1.25 or newer",
                f"{IN_BROWSERS} (no TensorScatter) and WebGPU computes TensorScatter on the CPU",
            ],
            id="ONNX: an op that got its kernel late",
        ),
        pytest.param(
            onnx_file("ReduceSum", opset=13),
            [f"{IN_BROWSERS} (no ReduceSum)"],
            id="ONNX: an op that WebGL has in older opsets only",
        ),
        pytest.param(onnx_file("ReduceSum", opset=12), [], id="ONNX: an op in an opset that WebGL has"),
    ],
)
def test_the_smallest_version_of_each_runtime(subject: Subject, sentences: list[str]) -> None:
    found = examine(subject, (HAZARDS["UNSUPPORTED-OP"],))
    assert [finding.sentence for finding in found] == sentences
