"""What fork servers import for children: slow modules that every child of a kind needs.

Modules that start threads are left out (see `quantlab.worker.fork_server`), as onnxruntime.
"""

from quantlab.processes.environment import python_environment
from quantlab.processes.forks import warm_up

__all__ = ["CONVERTERS", "CONVERTERS_WITHOUT_TENSORFLOW", "WORKERS", "WORKERS_WITHOUT_TENSORFLOW", "warm_up_for_study"]

WORKERS_WITHOUT_TENSORFLOW: tuple[str, ...] = ("onnx", "quantlab.models", "quantlab.runtimes._executors")
"""For workers that run artifacts which TensorFlow has no part in."""

WORKERS: tuple[str, ...] = (
    *("tensorflow", "keras", "tf_keras", "ai_edge_litert.interpreter", "h5py"),
    *WORKERS_WITHOUT_TENSORFLOW,
)
"""For workers that open models of TensorFlow and run its artifacts."""

CONVERTERS_WITHOUT_TENSORFLOW: tuple[str, ...] = ("quantlab_converters._table",)
"""For the conversion of a model that is an artifact already."""

CONVERTERS: tuple[str, ...] = (*CONVERTERS_WITHOUT_TENSORFLOW, "tensorflow", "keras", "tf_keras", "tensorflowjs")
"""For the conversion of a model of TensorFlow."""


def warm_up_for_study(*, onednn: bool) -> None:
    """Let both fork servers import TensorFlow, for workers with oneDNN as asked and for converters without it."""
    warm_up(python_environment(onednn=onednn), WORKERS)
    warm_up(python_environment(onednn=False), CONVERTERS)
