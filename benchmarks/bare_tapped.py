"""Plain inference with taps in Python: `bare_tapped.py JOB.json`, with the libraries' functions, on one thread.

Every tensor that quantlab reads is fetched as an array and dropped. Prints milliseconds per sample, the best of several
passes. `kind` is one of

- `reference`: the SavedModel's signature, frozen, with more fetches;
- `tfjs`: the graph-model as a TensorFlow function, with more fetches;
- `tflite`: a LiteRT interpreter that preserves all tensors, which disables XNNPACK;
- `tflite-outputs`: the copy with more outputs that quantlab reads, with XNNPACK.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.worker.tfjs_graph import graph_def

Call = Callable[[Any], object]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    samples = np.load(job["samples"], mmap_mode="r")[: job["count"]]
    call = {"reference": _reference, "tfjs": _tfjs, "tflite": _tflite, "tflite-outputs": _tflite_outputs}[job["kind"]](
        job
    )
    _pass(call, samples[: 2 * job["batch"]], job["batch"])
    best = min(_pass(call, samples, job["batch"]) for _ in range(job["rounds"]))
    print(json.dumps(1e3 * best / len(samples)))


def _pass(call: Call, samples: Any, batch: int) -> float:
    began = time.perf_counter()
    for start in range(0, len(samples), batch):
        call(np.asarray(samples[start : start + batch]))
    return time.perf_counter() - began


def _reference(job: dict[str, Any]) -> Call:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    loaded = tf.saved_model.load(job["saved_model"])  # keeps its variables alive
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        loaded.signatures[job["signature"]], lower_control_flow=False, aggressive_inlining=True
    )
    return _fetching(frozen, frozen.inputs[0].name, job["taps"])


def _tfjs(job: dict[str, Any]) -> Call:
    import tensorflow as tf

    graph = graph_def(Path(job["artifact"]))
    (feed,) = (node.name for node in graph.node if node.op == "Placeholder")
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return _fetching(wrapped, f"{feed}:0", job["taps"])


def _fetching(function: Any, feed: str, taps: list[str]) -> Call:
    import tensorflow as tf

    fetches = [function.graph.get_tensor_by_name(name if ":" in name else f"{name}:0") for name in taps]
    run = function.prune(function.graph.get_tensor_by_name(feed), fetches)
    return lambda batch: [value.numpy() for value in run(tf.constant(batch))]


def _tflite(job: dict[str, Any]) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(job["artifact"], num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    known = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    return _invoking(interpreter, [known[name] for name in job["taps"]])


def _tflite_outputs(job: dict[str, Any]) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(job["tapped"], num_threads=1)
    interpreter.allocate_tensors()
    return _invoking(interpreter, [output["index"] for output in interpreter.get_output_details()])


def _invoking(interpreter: Any, indices: list[int]) -> Call:
    taken = interpreter.get_input_details()[0]["index"]

    def call(batch: Any) -> None:
        for sample in range(len(batch)):
            interpreter.set_tensor(taken, batch[sample : sample + 1])
            interpreter.invoke()
            for index in indices:
                interpreter.get_tensor(index)

    return call


if __name__ == "__main__":
    main()
