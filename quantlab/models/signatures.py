"""The inputs and outputs of the signatures of a SavedModel. Runs in a child."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError
from quantlab.types import TensorSpec

__all__ = ["signature_specs"]


def signature_specs(saved_model: Path, signature: str) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of a signature, each sorted by name; variables are not loaded."""
    from tensorflow.python.tools.saved_model_utils import get_meta_graph_def

    definition = get_meta_graph_def(str(saved_model), "serve").signature_def[signature]
    return _specs(definition.inputs), _specs(definition.outputs)


def _specs(tensors: Mapping[str, Any]) -> list[TensorSpec]:
    import tensorflow as tf

    specs = []
    for name, info in sorted(tensors.items()):
        dtype = tf.dtypes.as_dtype(info.dtype)
        if info.tensor_shape.unknown_rank:
            raise ModelError(f"the rank of '{name}' is unknown; export the model with a TensorSpec that has a shape")
        shape = tuple(None if size.size < 0 else int(size.size) for size in info.tensor_shape.dim)
        specs.append(TensorSpec(name, shape, "str" if dtype == tf.string else dtype.name))
    return specs
