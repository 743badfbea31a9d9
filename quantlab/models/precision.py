"""What the dtype policies of a Keras model tell: mixed precisions, which are undone, and quantization by Keras.

A model of a mixed precision keeps float32 weights and casts them, and its inputs, in every layer. Converters keep these
casts: TFLite has no kernels for half floats, tfjs ignores them, and no two runtimes round alike. Runs in a child.
"""

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["keras2_to_float32", "keras3_to_float32", "keras_quantization", "stored_quantization"]


def keras3_to_float32(model: Any) -> str | None:
    """Set the dtype policy of every layer with a mixed precision to float32.

    Layers whose weights are half floats themselves, as of the policy `float16`, are left alone.

    Returns:
        The replaced policies, for example `mixed_float16`; None if there are none.
    """

    def change(layer: Any) -> None:
        layer.dtype_policy = "float32"

    return _to_float32(model, change)


def keras2_to_float32(model: Any) -> str | None:
    """The same for tf_keras."""
    return _to_float32(model, lambda layer: layer._set_dtype_policy("float32"))


_MIXED = frozenset({"mixed_float16", "mixed_bfloat16"})


def _to_float32(model: Any, change: Callable[[Any], None]) -> str | None:
    policies: dict[str, None] = {}
    for layer in model._flatten_layers():
        name = layer.dtype_policy.name
        if name in _MIXED:
            policies[name] = None
            change(layer)
    return " and ".join(policies) or None


def keras_quantization(model: Any) -> str | None:
    """The modes in which `model.quantize` of Keras 3 has quantized layers, as `int8`; None if it has none."""
    policies = (layer.dtype_policy for layer in model._flatten_layers())
    modes = dict.fromkeys(getattr(policy, "quantization_mode", None) for policy in policies)
    return " and ".join(str(mode) for mode in modes if mode is not None) or None


def stored_quantization(variables: Iterable[Any]) -> str | None:
    """The data type of quantized kernels among the variables of a SavedModel, as `int8`; None if there are none.

    `model.quantize` of Keras stores kernels in int8, in its mode `int4` two values in each.
    """
    stored = any(variable.dtype.name == "int8" and len(variable.shape) > 1 for variable in variables)
    return "int8" if stored else None
