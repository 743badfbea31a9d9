"""ONNX files: a protobuf with graph and weights, which ONNX Runtime runs."""

from quantlab.formats.contract import Format, JavaScriptExecutor, PythonExecutor, later, program, snippet
from quantlab.types import TUNED, Setting

__all__ = ["FORMAT"]

FORMAT = Format(
    name="onnx",
    settings=(
        Setting(
            "onnx-float32",
            "onnx",
            "float32",
            "ONNX file, weights unchanged; TensorFlow models are exported in opset 18",
            default=False,
            weight_bits=32,
        ),
        Setting(
            "onnx-float16",
            "onnx",
            "float16",
            "ONNX file, computes in half floats; inputs and outputs are float32",
            default=False,
            half=True,
            weight_bits=16,
        ),
        Setting(
            "onnx-dynamic",
            "onnx",
            "dynamic",
            "ONNX file, weights in int8, activations quantized at run time (onnxruntime's dynamic quantization)",
            default=False,
        ),
        Setting(
            "onnx-int8",
            "onnx",
            "int8",
            "ONNX file, weights (per channel) and activations in int8, calibrated (QDQ)",
            default=False,
            calibrated=True,
        ),
        Setting(
            "onnx-tuned",
            "onnx",
            TUNED,
            "ONNX file, the smallest of the other settings that fits, with some ops kept in float; decided by "
            "'quantlab tune'",
            default=False,
            calibrated=True,
            official=False,
        ),
    ),
    targets=("web", "web-mobile", "node", "android"),
    alone="ONNX",
    as_model="ONNX",
    exported=True,
    write_float=later("quantlab.formats.onnx.floats:write_float"),
    looks="an .onnx file",
    inspect=later("quantlab.formats.onnx.artifact:inspect"),
    recognizes=later("quantlab.formats.onnx.artifact:recognizes"),
    served=lambda folder: folder / "model.onnx",
    files=later("quantlab.formats.onnx.file:external_files"),
    weights=later("quantlab.formats.onnx.artifact:list_weights"),
    ops=later("quantlab.formats.onnx.artifact:list_ops"),
    options=later("quantlab.formats.onnx.artifact:options"),
    taps=later("quantlab.formats.onnx.tapped:list_taps"),
    recorded_inputs=later("quantlab.formats.onnx.tapped:recorded_inputs"),
    write_tapped=later("quantlab.formats.onnx.tapped:write_tapped"),
    write_isolated=later("quantlab.formats.onnx.isolated:write_isolated"),
    cut_graph=later("quantlab.formats.onnx.cut:cut_graph"),
    write_cut=later("quantlab.formats.onnx.cut:write_cut"),
    reproduce=program("quantlab.formats.onnx.snippets:reproduce"),
    snippets={
        "Python": snippet("quantlab.formats.onnx.snippets:python"),
        "JavaScript": snippet("quantlab.formats.onnx.snippets:javascript"),
        "Kotlin": snippet("quantlab.formats.onnx.snippets:kotlin"),
    },
    python=PythonExecutor(
        load="quantlab.worker.onnx_runtime:load",
        library="onnxruntime",
        packages=("onnxruntime",),
        facts={"kernels": "CPUExecutionProvider", "int8_sums": "exact"},
        tap="quantlab.worker.onnx_runtime:tap",
        raw={"session.run": "quantlab.worker.raw_onnx:raw_calls"},
    ),
    javascript=JavaScriptExecutor(
        label="ONNX Runtime",
        backends=("wasm", "native"),
        packages=("onnxruntime-web",),
        native="onnxruntime-node",
    ),
)
