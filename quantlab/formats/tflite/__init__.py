"""TFLite files: a flatbuffer with graph and weights, which LiteRT runs one sample at a time."""

from quantlab.formats.contract import Format, JavaScriptExecutor, PythonExecutor, later
from quantlab.types import Setting

__all__ = ["FORMAT"]

FORMAT = Format(
    name="tflite",
    settings=(
        Setting("tflite-float32", "tflite", "float32", "TFLite file, weights unchanged", weight_bits=32),
        Setting(
            "tflite-float16",
            "tflite",
            "float16",
            "TFLite file, weights stored as half floats",
            half=True,
            weight_bits=16,
        ),
        Setting(
            "tflite-dynamic",
            "tflite",
            "dynamic",
            "TFLite file, weights in int8, activations quantized at run time (dynamic range)",
        ),
        Setting(
            "tflite-int8",
            "tflite",
            "int8",
            "TFLite file, weights and activations in int8, calibrated; inputs and outputs stay float",
            calibrated=True,
        ),
        Setting(
            "tflite-int16x8",
            "tflite",
            "int16x8",
            "TFLite file, activations in int16 and weights in int8, calibrated; reference kernels, 50 times slower",
            default=False,
            calibrated=True,
        ),
    ),
    targets=("node", "android"),
    alone="TFLite",
    looks="a .tflite file",
    inspect=later("quantlab.formats.tflite.artifact:inspect"),
    recognizes=later("quantlab.formats.tflite.artifact:recognizes"),
    served=lambda folder: folder / "model.tflite",
    files=lambda path: [path],
    weights=later("quantlab.formats.tflite.artifact:list_weights"),
    ops=later("quantlab.formats.tflite.artifact:list_ops"),
    minimum_runtime=later("quantlab.formats.tflite.artifact:minimum_runtime"),
    taps=later("quantlab.formats.tflite.tapped:list_taps"),
    write_tapped=later("quantlab.formats.tflite.tapped:write_tapped"),
    write_isolated=later("quantlab.formats.tflite.isolated:write_isolated"),
    write_for_javascript=later("quantlab.formats.tflite.float_ends:write_for_javascript"),
    python=PythonExecutor(
        load="quantlab.worker.litert:load",
        library="ai_edge_litert.interpreter",
        packages=("ai-edge-litert",),
        facts={"kernels": "XNNPACK"},
        tap="quantlab.worker.litert:tap",
    ),
    javascript=JavaScriptExecutor(label="LiteRT.js", backends=("wasm",), packages=("@litertjs/core",)),
)
