"""The runtimes there are; a new one is a file and its lines here."""

from collections.abc import Callable, Mapping

from quantlab.formats import Format
from quantlab.runtimes import browser, node, python
from quantlab.runtimes.contract import Runtime


def _on(backend: str) -> Callable[[Format], bool]:
    """Whether a format has JavaScript that runs it on a backend."""
    return lambda format_: format_.javascript is not None and backend in format_.javascript.backends


def _chromium(backend: str, description: str, *targets: str) -> Runtime:
    return Runtime(
        name=f"chromium-{backend}",
        description=f"Chromium: {description}",
        runs=_on(backend),
        backend=backend,
        default=False,
        environment=browser.environment_drawn if backend.startswith("webg") else browser.environment,
        run=browser.run,
        time=browser.time,
        start=browser.start,
        notes=browser.notes,
        untimed=browser.untimed,
        targets=targets,
        fallback="chromium-cpu" if backend != "cpu" else None,
    )


_CHROMIUM = (
    (
        "wasm",
        "tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web",
        "web",
        "web-mobile",
    ),
    ("webgl", "tfjs on WebGL in float32, as on desktops", "web", "web-mobile"),
    ("webgl16", "tfjs on WebGL, tensors stored in half floats, as on many phones", "web-mobile"),
    ("webgpu", "tfjs on WebGPU", "web"),
    ("cpu", "tfjs in plain JavaScript, many times slower"),
)
"""Backend, description and targets."""

RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            name="python",
            description="tfjs files as a TensorFlow function, TFLite files in LiteRT, ONNX files in onnxruntime",
            runs=lambda _: True,
            environment=python.environment,
            run=python.run,
            time=python.time,
            start=None,
            targets=("android",),
        ),
        Runtime(
            name="node-wasm",
            description="Node.js: tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web",
            runs=_on("wasm"),
            backend="wasm",
            targets=("web", "web-mobile", "node"),
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
            runs=_on("cpu"),
            backend="cpu",
            targets=("node",),
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
            runs=_on("native"),
            backend="native",
            targets=("node",),
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
