"""The runtimes there are; a new one is a file and its lines here."""

from collections.abc import Mapping

from quantlab.runtimes import browser, node, python
from quantlab.runtimes._workshop import Runtime


def _chromium(backend: str, description: str, formats: tuple[str, ...]) -> Runtime:
    return Runtime(
        name=f"chromium-{backend}",
        description=f"Chromium: {description}",
        formats=formats,
        backend=backend,
        default=False,
        environment=browser.environment_drawn if backend.startswith("webg") else browser.environment,
        run=browser.run,
        time=browser.time,
        start=browser.start,
        notes=browser.notes,
        untimed=browser.untimed,
        fallback="chromium-cpu" if backend != "cpu" else None,
    )


_CHROMIUM = (
    (
        "wasm",
        "tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web",
        ("tfjs", "tfjs-layers", "tflite", "onnx"),
    ),
    ("webgl", "tfjs on WebGL in float32, as on desktops", ("tfjs", "tfjs-layers")),
    ("webgl16", "tfjs on WebGL, tensors stored in half floats, as on many phones", ("tfjs", "tfjs-layers")),
    ("webgpu", "tfjs on WebGPU", ("tfjs", "tfjs-layers")),
    ("cpu", "tfjs in plain JavaScript, many times slower", ("tfjs", "tfjs-layers")),
)
"""Backend, description and formats."""

RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            name="python",
            description="tfjs files as a TensorFlow function, TFLite files in LiteRT, ONNX files in onnxruntime",
            formats=("tfjs", "tfjs-layers", "tflite", "onnx"),
            environment=python.environment,
            run=python.run,
            time=python.time,
            start=None,
        ),
        Runtime(
            name="node-wasm",
            description="Node.js: tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web",
            formats=("tfjs", "tfjs-layers", "tflite", "onnx"),
            backend="wasm",
            environment=node.environment,
            start=node.start,
            read=node.read,
            run=node.run,
            time=node.time,
            fallback="node-cpu",
        ),
        Runtime(
            name="node-cpu",
            description="Node.js: tfjs in plain JavaScript, many times slower",
            formats=("tfjs", "tfjs-layers"),
            backend="cpu",
            default=False,
            environment=node.environment,
            start=node.start,
            read=node.read,
            run=node.run,
            time=node.time,
        ),
        Runtime(
            name="node-native",
            description="Node.js: tfjs on TensorFlow's kernels ('quantlab doctor' builds it), ONNX in onnxruntime-node",
            formats=("tfjs", "tfjs-layers", "onnx"),
            backend="native",
            default=False,
            environment=node.environment_native,
            start=node.start,
            read=node.read,
            run=node.run,
            time=node.time,
        ),
        *(_chromium(*each) for each in _CHROMIUM),
    )
}
"""Every runtime by its name, in the order of the table's columns."""
