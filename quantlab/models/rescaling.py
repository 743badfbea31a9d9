"""Finds layers of a Keras model that scale what it is fed. Runs in a child."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types.reference import RescalingLayer

__all__ = ["rescaling_layers"]

_MOST_CHANNELS = 4096
"""Factors of a layer that are kept at most: a record must not grow with a feature vector of any length."""

_Affine = tuple[NDArray[np.float64], NDArray[np.float64]]


def rescaling_layers(model: Any) -> tuple[RescalingLayer, ...]:
    """List the layers that compute scale · x + offset with constants: Rescaling and Normalization.

    Layers whose constants cannot be read as numbers along the last axis are left out, as those that were never adapted.

    Args:
        model: A Keras model, of Keras 2 or 3; None gives no layers.
    """
    return () if model is None else tuple(_found(model))


def _found(model: Any) -> Iterator[RescalingLayer]:
    for layer in model._flatten_layers():
        read = _READERS.get(type(layer).__name__)
        numbers = None if read is None else read(layer)
        if numbers is not None:
            scale, offset = (np.atleast_1d(np.squeeze(one)) for one in np.broadcast_arrays(*numbers))
            if _usable(scale) and _usable(offset) and scale.all():
                kind = type(layer).__name__
                yield RescalingLayer(str(layer.name), kind, tuple(scale.tolist()), tuple(offset.tolist()))


def _usable(numbers: NDArray[np.float64]) -> bool:
    return numbers.ndim == 1 and numbers.size <= _MOST_CHANNELS and bool(np.isfinite(numbers).all())


def _of_rescaling(layer: Any) -> _Affine | None:
    try:
        return np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    except (TypeError, ValueError):  # a scale may be any object of Keras
        return None


def _of_normalization(layer: Any) -> _Affine | None:
    """(x − mean) / √variance; Keras divides by at least its epsilon, which only constant features reach."""
    mean, variance = getattr(layer, "mean", None), getattr(layer, "variance", None)
    if mean is None or variance is None or getattr(layer, "invert", False):
        return None
    means, deviations = np.asarray(mean, np.float64), np.sqrt(np.asarray(variance, np.float64))
    if not deviations.all():
        return None
    return 1 / deviations, -means / deviations


_READERS: dict[str, Callable[[Any], _Affine | None]] = {
    "Rescaling": _of_rescaling,
    "Normalization": _of_normalization,
}
"""Class of a layer → its scale and offset; None if they are not known."""
