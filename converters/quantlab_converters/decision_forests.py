"""Registers the ops of decision forests, which TensorFlow does not have, for models that contain them.

`tensorflowjs` imports their library for every conversion. That takes as long as all else that it imports, so children
find it absent (`quantlab.processes.preload`), and import it here where a model needs it.
"""

import importlib
from pathlib import Path

from quantlab_converters.graph_bytes import graph_contains

__all__ = ["register_ops"]

_OPS = b"SimpleML"
"""How the names of these ops begin; no other op of TensorFlow has it in its name."""


def register_ops(saved_model: Path) -> bool:
    """Register the ops if a SavedModel contains one; returns whether it does."""
    if not graph_contains(saved_model, _OPS):
        return False
    importlib.import_module("tensorflow_decision_forests")
    return True
