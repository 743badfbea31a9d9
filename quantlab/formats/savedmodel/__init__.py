"""SavedModels as they are served: `saved_model.pb` with a signature, and variables; TensorFlow Serving runs them."""

from quantlab.formats.contract import Format, PythonExecutor, later
from quantlab.types import Setting

__all__ = ["FORMAT"]

FORMAT = Format(
    name="savedmodel",
    settings=(
        Setting(
            "savedmodel-float32",
            "savedmodel",
            "float32",
            "SavedModel for a server: your own, or the one that Keras exports; nothing is changed",
            default=False,
            by_name=True,
            weight_bits=32,
        ),
    ),
    served_by_signature=True,
    looks="the folder of a SavedModel",
    inspect=later("quantlab.formats.savedmodel.artifact:inspect"),
    recognizes=later("quantlab.formats.savedmodel.artifact:recognizes"),
    served=later("quantlab.formats.savedmodel.artifact:served"),
    files=later("quantlab.formats.savedmodel.artifact:loaded_files"),
    weights=later("quantlab.formats.savedmodel.artifact:list_weights"),
    options=later("quantlab.formats.savedmodel.artifact:options"),
    python=PythonExecutor(
        load="quantlab.worker.saved_model:load",
        library="tensorflow",
        packages=("tensorflow",),
        tap="quantlab.worker.graph_taps:tap_reference",
        list_taps="quantlab.worker.graph_taps:list_reference_taps",
    ),
)
