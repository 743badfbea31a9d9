"""Calls a model that TensorFlow opens as programs do: the Keras model itself, and the signature of its SavedModel."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy.typing as npt

from quantlab.errors import ModelError
from quantlab.models import KerasCalls, Reference
from quantlab.runtimes.exchange import Job
from quantlab.worker.reference import open_once
from quantlab.worker.trying import RawCalls

__all__ = ["keras_call", "keras_predict", "signature_call"]

Array = npt.NDArray[Any]


def keras_call(job: Job) -> RawCalls:
    """Call `model(x)`; x is an array, a list or a dictionary."""
    keras = _keras(job)
    return _calls(keras, keras.model)


def keras_predict(job: Job) -> RawCalls:
    """Call `model.predict(x)`."""
    keras = _keras(job)
    functions = _predict_functions(keras)

    def predict(fed: Any) -> Any:
        # The function that Keras keeps of earlier calls has relaxed its shapes by them, and would refuse other calls
        # than it does in a program of its own. To make it takes a second, so calls of equal shapes and types share it.
        import tensorflow as tf

        kind = repr(tf.nest.map_structure(lambda values: (values.shape, values.dtype.name), fed))
        keras.model.predict_function = functions.pop(kind, None)
        answer = keras.model.predict(fed, verbose=0)  # one that refused a call is not used again
        functions[kind] = keras.model.predict_function
        return answer

    return _calls(keras, predict)


@cache
def _predict_functions(_: KerasCalls) -> dict[str, Any]:
    """Shapes and types of a call that was answered → the function that Keras made for it; about twenty in all."""
    return {}


def _keras(job: Job) -> KerasCalls:
    keras = open_once(job).keras
    if keras is None:
        raise ModelError("the model is no Keras model; call its signature")
    return keras


def _calls(keras: KerasCalls, call: Callable[[Any], Any]) -> RawCalls:
    def answer(fed: Any) -> list[tuple[str, Any]]:
        import tensorflow as tf

        result = call(fed)
        return list(zip(keras.output_names(result), tf.nest.flatten(result), strict=True))

    def in_order(arrays: Sequence[Array]) -> list[tuple[str, Any]]:
        return answer(arrays[0] if len(arrays) == 1 else list(arrays))

    return RawCalls(by_name=lambda arrays: answer(dict(arrays)), in_order=in_order)


@cache
def _signature(source: str, name: str) -> tuple[Any, Any]:
    """The signature, and the loaded object that keeps its variables alive."""
    import tensorflow as tf

    loaded = tf.saved_model.load(source)
    return loaded.signatures[name], loaded


def signature_call(job: Job) -> RawCalls:
    """Call the signature of the SavedModel with tensors of the arrays, as TensorFlow Serving does."""
    reference: Reference = open_once(job)
    function, _ = _signature(str(reference.source), reference.description.signature or "serving_default")
    outputs = [spec.name for spec in reference.description.outputs]

    def named(result: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return [(name, result[name].numpy()) for name in outputs]

    def by_name(arrays: Mapping[str, Array]) -> list[tuple[str, Any]]:
        import tensorflow as tf

        return named(function(**{name: tf.constant(values) for name, values in arrays.items()}))

    def in_order(arrays: Sequence[Array]) -> list[tuple[str, Any]]:
        import tensorflow as tf

        return named(function(*map(tf.constant, arrays)))

    return RawCalls(by_name, in_order)
