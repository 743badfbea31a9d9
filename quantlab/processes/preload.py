"""The slow modules that fork servers import for all children of a kind.

Modules that start threads, such as onnxruntime, are left out (see `quantlab.worker.fork_server`).
"""

from quantlab.processes.environment import python_environment
from quantlab.processes.forks import warm_up
from quantlab.processes.process import Preload

__all__ = ["CONVERTERS", "CONVERTERS_WITHOUT_TENSORFLOW", "WORKERS", "WORKERS_WITHOUT_TENSORFLOW", "warm_up_workers"]

_WORKER = ("reference", "tapping", "timing", "graph_taps", "litert", "onnx_runtime", "tfjs_graph", "tfjs_layers")
"""Modules that `quantlab.worker.main` imports, and those of executors; not itself, because the child runs it."""

WORKERS_WITHOUT_TENSORFLOW = Preload(("onnx", "quantlab.models", *(f"quantlab.worker.{name}" for name in _WORKER)))
"""For workers that run artifacts without TensorFlow."""

WORKERS = Preload(
    (
        *("tensorflow", "keras", "tf_keras", "ai_edge_litert.interpreter", "h5py"),
        *WORKERS_WITHOUT_TENSORFLOW.modules,
    ),
    # They take a third of the time of all other imports, and are not used here: Keras imports scikit-learn and pandas
    # for wrappers and data frames, and TensorFlow Lite imports JAX to convert its functions.
    without=("jax", "pandas", "sklearn"),
)
"""For workers that open TensorFlow models and run their artifacts."""

CONVERTERS_WITHOUT_TENSORFLOW = Preload(("quantlab_converters.registry",))
"""For the conversion of a model that already is an artifact."""

CONVERTERS = Preload(
    (*CONVERTERS_WITHOUT_TENSORFLOW.modules, "tensorflow", "keras", "tf_keras", "tensorflowjs"),
    without=("sklearn",),  # tensorflowjs needs the other two
)
"""For the conversion of a TensorFlow model."""


def warm_up_workers(*, onednn: bool) -> None:
    """Start importing TensorFlow in the fork server of workers, with or without oneDNN.

    The server of converters should be started only after this program's own imports: the model is opened first, and
    three processes that import at the same time on two cores would delay that.
    """
    warm_up(python_environment(onednn=onednn), WORKERS)
