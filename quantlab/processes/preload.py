"""What fork servers import for children: slow modules that every child of a kind needs.

Modules that start threads are left out (see `quantlab.worker.fork_server`), as onnxruntime.
"""

from quantlab.processes.environment import python_environment
from quantlab.processes.forks import warm_up
from quantlab.processes.process import Preload

__all__ = ["CONVERTERS", "CONVERTERS_WITHOUT_TENSORFLOW", "WORKERS", "WORKERS_WITHOUT_TENSORFLOW", "warm_up_workers"]

_WORKER = ("reference", "tapping", "timing", "graph_taps", "litert", "onnx_runtime", "tfjs_graph", "tfjs_layers")
"""What `quantlab.worker.main` imports, and what executors are in; not itself, since a child runs it anew."""

WORKERS_WITHOUT_TENSORFLOW = Preload(("onnx", "quantlab.models", *(f"quantlab.worker.{name}" for name in _WORKER)))
"""For workers that run artifacts which TensorFlow has no part in."""

WORKERS = Preload(
    (
        *("tensorflow", "keras", "tf_keras", "ai_edge_litert.interpreter", "h5py"),
        *WORKERS_WITHOUT_TENSORFLOW.modules,
    ),
    # A third of the time that the others take. Keras has wrappers for scikit-learn and takes frames of pandas,
    # TensorFlow Lite converts functions of JAX; nothing of that is done here.
    without=("jax", "pandas", "sklearn"),
)
"""For workers that open models of TensorFlow and run its artifacts."""

CONVERTERS_WITHOUT_TENSORFLOW = Preload(("quantlab_converters.registry",))
"""For the conversion of a model that is an artifact already."""

CONVERTERS = Preload(
    (*CONVERTERS_WITHOUT_TENSORFLOW.modules, "tensorflow", "keras", "tf_keras", "tensorflowjs"),
    without=("sklearn",),  # tensorflowjs does not do without the others
)
"""For the conversion of a model of TensorFlow."""


def warm_up_workers(*, onednn: bool) -> None:
    """Let the fork server of workers import TensorFlow, with oneDNN as asked.

    That of converters is better started when this program has imported what it needs itself: a model is opened first,
    and three processes that import at once on two cores would keep that waiting.
    """
    warm_up(python_environment(onednn=onednn), WORKERS)
