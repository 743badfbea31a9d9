"""How the Python worker runs each format: the table, and the contract of its members."""

from collections.abc import Callable, Mapping

from quantlab.runtimes import _litert, _tfjs_graph
from quantlab.runtimes._execution import Execution
from quantlab.runtimes.exchange import Job

__all__ = ["EXECUTORS", "Execution"]

EXECUTORS: Mapping[str, Callable[[Job], Execution]] = {
    "tfjs": _tfjs_graph.load,
    "tflite": _litert.load,
}
"""Format → what loads one of its artifacts; the reference is the worker's own."""
