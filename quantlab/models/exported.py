"""Calls the SavedModel that a Keras model was exported to, and the Keras model itself beside it.

The reference is what the export computes, because every converter starts from it. Runs in a child.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.models.reference import KerasCalls
from quantlab.types import ModelDescription

__all__ = ["exported_call", "keras_calls"]

Arrays = Sequence[npt.NDArray[Any]]


def exported_call(
    saved_model: Path, signature: str, description: ModelDescription
) -> Callable[[Arrays], list[npt.NDArray[Any]]]:
    """Function from one batch for each input to one for each output, in the description's order.

    The model is loaded at the first call, in a session: loading it as an object with every layer takes seconds longer
    for Keras 2, and the outputs have the same bits.
    """

    @cache
    def session() -> tuple[Any, list[str], list[str]]:
        import tensorflow as tf

        opened = tf.compat.v1.Session(graph=tf.Graph())
        with opened.graph.as_default():
            definition = tf.compat.v1.saved_model.load(opened, ["serve"], str(saved_model)).signature_def[signature]
        inputs = [definition.inputs[spec.name].name for spec in description.inputs]
        return opened, inputs, [definition.outputs[spec.name].name for spec in description.outputs]

    def call(arrays: Arrays) -> list[npt.NDArray[Any]]:
        opened, inputs, outputs = session()
        results: list[npt.NDArray[Any]] = opened.run(outputs, dict(zip(inputs, arrays, strict=True)))
        return results

    return call


def keras_calls(
    model: Any,
    call: Callable[..., Any],
    output_names: Callable[[Any], list[str]],
    description: ModelDescription,
) -> KerasCalls:
    """What `model(x)` and `model.predict(x)` give in Keras.

    Args:
        model: The Keras model, of Keras 2 or 3.
        call: Function from tensors in the order of the description, and keywords, to the model's result.
        output_names: Function from a result to the signature's names for its flattened tensors.
        description: Tells the order of the outputs.
    """
    wanted = [spec.name for spec in description.outputs]

    def named(result: Any) -> list[npt.NDArray[Any]] | None:
        import tensorflow as tf

        flat: Mapping[str, Any] = dict(zip(output_names(result), tf.nest.flatten(result), strict=False))
        return [np.asarray(flat[name]) for name in wanted] if set(flat) == set(wanted) else None

    def run(**keywords: Any) -> Callable[[Arrays], list[npt.NDArray[Any]] | None]:
        import tensorflow as tf

        return lambda arrays: _run(lambda: named(call([tf.constant(array) for array in arrays], **keywords)))

    def predict(arrays: Arrays) -> list[npt.NDArray[Any]] | None:
        # A step of the user's own may do anything; that of Keras is the model in inference.
        if not _own_step(model):
            return run(training=False)(arrays)
        values = list(arrays)
        return _run(lambda: named(model.predict(values[0] if len(values) == 1 else values, verbose=0)))

    return KerasCalls(call=run(), predict=predict, model=model, output_names=output_names)


def _own_step(model: Any) -> bool:
    return type(model).predict_step.__module__.split(".")[0] not in {"keras", "tf_keras"}


def _run(call: Callable[[], list[npt.NDArray[Any]] | None]) -> list[npt.NDArray[Any]] | None:
    """The result of a call, or None if it fails: the export runs without it, so that it is only not compared."""
    try:
        return call()
    except Exception:  # noqa: BLE001 (the user's code may raise anything)
        return None
