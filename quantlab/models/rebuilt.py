"""Rebuilds a tfjs layers-model with tf_keras, from its own `model.json` and the weights in its shards.

The manifest has the weight names of the Keras model that was saved. The name of a cell in a recurrent layer changes
between sessions; if tfjs does not find a name, it drops the cell's name. This module does the same. Runs in a child.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs_layers.artifact import read_configuration
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.models.precision import keras2_to_float32

__all__ = ["rebuilt_model"]

Array = npt.NDArray[Any]


def rebuilt_model(folder: Path) -> Any:
    """The model of `tf_keras` that a layers-model describes, with its weights, in float32.

    Raises:
        ArtifactError: If the model cannot be read.
        TrialError: If tf_keras cannot build it, or a weight has no place.
    """
    import tf_keras

    configuration = read_configuration(folder)
    try:
        model = tf_keras.models.model_from_config(configuration)
    except Exception as error:  # tf_keras may raise anything for an invalid configuration
        text = " ".join(str(error).split())[:300]
        raise TrialError(
            f"tf_keras could not build the model that model.json describes ({type(error).__name__}: {text}); "
            f"convert the model again"
        ) from error
    keras2_to_float32(model)  # tfjs ignores the policies of mixed precision
    if not model.inputs:
        raise TrialError("the layers-model lacks the shape of its input; build the model before it is saved")
    _set_weights(model, {entry["name"]: decode(entry, stored) for entry, stored in stored_weights(folder)})
    return model


def _set_weights(model: Any, values: dict[str, Array]) -> None:
    """Set all weights of the model.

    Raises:
        TrialError: If a weight has no value or one of another shape, or a value has no weight.
    """
    exact = {_name(weight): weight for weight in model.weights}
    short = {_without_cell(name): weight for name, weight in exact.items()}
    left = {id(weight) for weight in model.weights}
    for name, value in values.items():
        weight = next(
            (known[key] for known, key in ((exact, name), (short, _without_cell(name))) if key in known), None
        )
        if weight is None or id(weight) not in left:
            raise TrialError(f"the manifest has the weight '{name}' and the layers do not; convert the model again")
        if tuple(weight.shape) != value.shape:
            raise TrialError(
                f"the weight '{name}' has the shape {value.shape} and its layer needs {tuple(weight.shape)}; "
                f"convert the model again"
            )
        weight.assign(np.asarray(value, weight.dtype.as_numpy_dtype))
        left.discard(id(weight))
    missing = [name for name, weight in exact.items() if id(weight) in left]
    if missing:
        raise TrialError(f"the manifest lacks the weight '{missing[0]}'; convert the model again")


def _name(weight: Any) -> str:
    return str(weight.name).removesuffix(":0")


def _without_cell(name: str) -> str:
    """`lstm/lstm_cell_3/kernel` as `lstm/kernel`, as tfjs-layers' Container.loadWeights does; `dense/kernel` stays."""
    *scopes, last = name.split("/")
    return "/".join([*scopes[:-1], last]) if len(scopes) > 1 else name
