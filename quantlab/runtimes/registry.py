"""The registry of runtimes; a new one is a file and an entry here."""

from collections.abc import Callable, Mapping
from typing import Any

from quantlab.formats import Format
from quantlab.runtimes import browser, node, python, serving
from quantlab.runtimes.contract import Runtime
from quantlab.runtimes.phone import place as phone


def _on(backend: str) -> Callable[[Format], bool]:
    """A function that says whether JavaScript can run a format on a backend."""
    return lambda format_: format_.javascript is not None and backend in format_.javascript.backends


def _node(backend: str, description: str, *targets: str, **more: Any) -> Runtime:
    return Runtime(
        name=f"node-{backend}",
        description=f"Node.js: {description}",
        runs=_on(backend),
        environment=node.environment_native if backend == "native" else node.environment,
        host=node.HOST,
        backend=backend,
        targets=(*targets, "node"),
        **more,
    )


def _chromium(backend: str, description: str, *targets: str) -> Runtime:
    return Runtime(
        name=f"chromium-{backend}",
        description=f"Chromium: {description}",
        runs=_on(backend),
        environment=browser.environment_drawn if backend.startswith("webg") else browser.environment,
        host=browser.HOST,
        notes=browser.notes,
        untimed=browser.untimed,
        half=browser.stores_half,
        backend=backend,
        default=False,
        targets=targets,
        fallback="chromium-cpu" if backend != "cpu" else None,
    )


def _phone(backend: str, description: str) -> Runtime:
    return Runtime(
        name=f"phone-{backend}",
        description=f"The user's phone ('quantlab phone'): {description}",
        runs=_on(backend),
        environment=phone.environment,
        host=phone.HOST,
        notes=browser.notes,
        untimed=browser.untimed,
        half=browser.stores_half,
        backend=backend,
        default=False,
        elsewhere=phone.WITHOUT,
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
            host=python.HOST,
            targets=("android",),
        ),
        _node(
            "wasm",
            "tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web",
            "web",
            "web-mobile",
            fallback="node-cpu",
        ),
        _node("cpu", "tfjs in plain JavaScript, many times slower", default=False),
        _node(
            "native",
            "tfjs on TensorFlow's kernels ('quantlab doctor' builds it), ONNX in onnxruntime-node",
            default=False,
        ),
        *(_chromium(*facts) for facts in _CHROMIUM),
        Runtime(
            name="serving-signature",
            description="The signature of a SavedModel in TensorFlow, called as a server does: batches and rows",
            runs=lambda format_: format_.served_by_signature,
            environment=python.environment,
            host=python.HOST,
            backend="signature",
            default=False,
        ),
        serving.REST,
        _phone("wasm", "tfjs on its WebAssembly backend, TFLite files in LiteRT.js, ONNX in onnxruntime-web"),
        _phone("webgl", "tfjs on the WebGL of the phone's graphics processor"),
        _phone("webgpu", "tfjs on its WebGPU; needs https, or a USB cable"),
    )
}
"""Every runtime by its name, in the order of the table's columns."""
