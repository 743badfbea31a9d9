"""How the Python worker runs each format: the table, and the contract of its members."""

from collections.abc import Callable, Mapping, Sequence

from quantlab.runtimes import _graph_taps, _litert, _onnxruntime, _tfjs_graph, _tfjs_layers
from quantlab.runtimes._execution import Execution
from quantlab.runtimes._tapping import Tapped
from quantlab.runtimes.exchange import Job
from quantlab.types import TapSpec

__all__ = ["EXECUTORS", "LIBRARIES", "TAPPERS", "TAP_LISTS", "Execution"]

EXECUTORS: Mapping[str, Callable[[Job], Execution]] = {
    "tfjs": _tfjs_graph.load,
    "tfjs-layers": _tfjs_layers.load,
    "tflite": _litert.load,
    "onnx": _onnxruntime.load,
}
"""Format → what loads one of its artifacts; the reference is the worker's own."""

LIBRARIES: Mapping[str, str] = {
    "tfjs": "tensorflow",
    "tfjs-layers": "tf_keras",
    "tflite": "ai_edge_litert.interpreter",
    "onnx": "onnxruntime",
}
"""Format → the module that its executor imports, so that its time and memory can be told from a variant's."""

TAPPERS: Mapping[str, Callable[[Job, Sequence[str]], Tapped]] = {
    "reference-graph": _graph_taps.tap_reference,
    "tfjs": _graph_taps.tap_tfjs,
    "tfjs-isolated": _graph_taps.tap_isolated,
    "tfjs-layers": _tfjs_layers.tap,
    "tflite": _litert.tap,
    "onnx": _onnxruntime.tap,
}
"""Format → what opens one of its artifacts for reading inside; the reference's graph is its SavedModel's."""

TAP_LISTS: Mapping[str, Callable[[Job], list[TapSpec]]] = {
    "reference-graph": _graph_taps.list_graph_taps,
    "tfjs": _graph_taps.list_graph_taps,
    "tfjs-isolated": _graph_taps.list_graph_taps,
    "tfjs-layers": _tfjs_layers.list_taps,
}
"""Format → what lists the tensors inside one of its artifacts; those of TFLite and ONNX files are in the file."""
