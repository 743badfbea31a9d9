"""The runtimes there are; a new one is a file and its lines here."""

from collections.abc import Mapping

from quantlab.runtimes import browser, node, python
from quantlab.runtimes._workshop import Runtime

RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            name="python",
            description="tfjs files as a TensorFlow function, TFLite files in LiteRT with XNNPACK",
            formats=("tfjs", "tflite"),
            environment=python.environment,
            run=python.run,
            time=python.time,
        ),
        Runtime(
            name="node-wasm",
            description="Node.js: tfjs on its WebAssembly backend, TFLite files in LiteRT.js",
            formats=("tfjs", "tflite"),
            backend="wasm",
            environment=node.environment,
            run=node.run,
            time=node.time,
            fallback="node-cpu",
        ),
        Runtime(
            name="node-cpu",
            description="Node.js: tfjs in plain JavaScript, many times slower",
            formats=("tfjs",),
            backend="cpu",
            default=False,
            environment=node.environment,
            run=node.run,
            time=node.time,
        ),
        Runtime(
            name="chromium-wasm",
            description="Chromium: tfjs on its WebAssembly backend, TFLite files in LiteRT.js",
            formats=("tfjs", "tflite"),
            backend="wasm",
            default=False,
            environment=browser.environment,
            run=browser.run,
            time=browser.time,
        ),
    )
}
"""Every runtime by its name, in the order of the table's columns."""
