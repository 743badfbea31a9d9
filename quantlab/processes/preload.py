"""The slow modules that fork servers import for all children of a kind.

Modules that start threads, such as onnxruntime, are left out (see `quantlab.worker.fork_server`).
"""

from quantlab.processes.environment import python_environment
from quantlab.processes.forks import warm_up
from quantlab.processes.process import Preload

__all__ = [
    "CONVERTERS",
    "CONVERTERS_WITHOUT_TENSORFLOW",
    "WORKERS",
    "WORKERS_OF_KERAS_3",
    "WORKERS_WITHOUT_TENSORFLOW",
    "warm_up_workers",
]

_WORKER = (
    "batches",
    "preparing",
    "probing",
    "reference",
    "tapping",
    "timing",
    "graph_taps",
    "litert",
    "onnx_runtime",
    "saved_model",
    "tfjs_graph",
    "tfjs_layers",
)
"""Modules that `quantlab.worker.main` imports, and those of executors; not itself, because the child runs it."""

WORKERS_WITHOUT_TENSORFLOW = Preload(("onnx", "quantlab.models", *(f"quantlab.worker.{name}" for name in _WORKER)))
"""For workers that run artifacts without TensorFlow."""

_LEFT_OUT = ("jax", "pandas", "scipy", "sklearn")
"""They take a third of the time of all other imports, and are not used here: Keras imports scikit-learn and pandas for
wrappers and data frames and SciPy for images, and TensorFlow Lite imports JAX to convert its functions."""

WORKERS_OF_KERAS_3 = Preload(
    ("tensorflow", "keras", "ai_edge_litert.interpreter", "h5py", *WORKERS_WITHOUT_TENSORFLOW.modules),
    without=_LEFT_OUT,
)
"""For workers that open Keras 3 models and run their artifacts: `tf_keras`, which they do not need, takes 0.25 s."""

WORKERS = Preload((*WORKERS_OF_KERAS_3.modules, "tf_keras"), without=_LEFT_OUT)
"""For workers that open any TensorFlow model and run its artifacts."""

CONVERTERS_WITHOUT_TENSORFLOW = Preload(("quantlab_converters.decision_forests", "quantlab_converters.registry"))
"""For the conversion of a model that already is an artifact."""

CONVERTERS = Preload(
    (*CONVERTERS_WITHOUT_TENSORFLOW.modules, "tensorflow", "keras", "tf_keras", "tensorflowjs"),
    without=_LEFT_OUT,
    # They import JAX, pandas and setuptools. `quantlab_converters.decision_forests` imports the second where needed.
    unused=("tensorflowjs.converters.jax_conversion", "tensorflow_decision_forests", "tensorflow_hub"),
)
"""For the conversion of a TensorFlow model."""


def warm_up_workers(*, onednn: bool) -> None:
    """Start importing TensorFlow in the fork server of workers, with or without oneDNN; the rest is imported on demand.

    The server of converters should be started only after this program's own imports: the model is opened first, and
    three processes that import at the same time on two cores would delay that.
    """
    warm_up(python_environment(onednn=onednn), WORKERS_OF_KERAS_3)
