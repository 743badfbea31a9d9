"""Notes on quantized artifacts in which some weights stay float32: converters leave out what they do not support."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from quantlab.errors import QuantlabError
from quantlab.formats import Format, note_unquantized
from quantlab.names import joined, shortened
from quantlab.statistics import layer_of, layers_of
from quantlab.types import NARROW_DTYPES, StoredWeight, Variant

__all__ = ["note_left_in_float"]

_FLOAT32 = np.dtype(np.float32).name
_NAMED = 6
"""More layers than this are counted instead of named; `quantlab show ops` has them all."""


def note_left_in_float(format_: Format, variant: Variant) -> tuple[str, ...]:
    """Name the layers whose kernels stay float32 although others do not, as far as the artifact's bytes tell.

    Kernels are weights with at least two sizes above 1, and those of an op that has output channels. Biases, and the
    statistics of batch norms, stay float32 in most formats and do not count; nor do constants of one value.

    Returns:
        One note; none if all kernels are stored alike. If no kernel is recognized, that of `note_unquantized`.
    """
    if not variant.weights.get(_FLOAT32) or not NARROW_DTYPES & set(variant.weights):
        return note_unquantized(variant.weights)
    try:
        places = {row.output: row.place for row in format_.ops(variant.path, variant.name)}
        kernels = [_Kernel.of(weight, places) for weight in format_.weights(variant.path) if _is_kernel(weight)]
    except QuantlabError:  # the comparison of weights says why they cannot be read
        return note_unquantized(variant.weights)
    left = sorted((kernel for kernel in kernels if kernel.dtype == _FLOAT32), key=lambda kernel: kernel.place)
    if not left or len(left) == len(kernels):
        return note_unquantized(variant.weights)
    share = sum(kernel.elements for kernel in left) / sum(kernel.elements for kernel in kernels)
    percent = "under 1" if share < 0.01 else f"{100 * share:.0f}"
    counted = f"{len(left)} of {len(kernels)} kernels ({percent} % of their weights)"
    return (f"{counted} {'stays' if len(left) == 1 else 'stay'} float32: {_listed(_layers(left, kernels))}",)


class _Kernel(NamedTuple):
    """What the note says of a kernel, without its values: those of all kernels may not fit into memory."""

    name: str
    """The name that tells the layer."""
    dtype: str
    elements: int
    place: int
    """Of its op, in execution order; after all others if unknown."""

    @classmethod
    def of(cls, weight: StoredWeight, places: Mapping[str, int]) -> "_Kernel":
        """A fused op has several names, joined by `;`, of which the first is that of its last part.

        The op that makes an output may have a name outside of every layer; then the weight's own may tell the layer.
        """
        names = [*weight.feeds.split(";"), weight.name]
        name = next((name for name in names if layer_of(name)), weight.feeds or weight.name)
        return cls(name, weight.dtype, weight.values.size, places.get(weight.feeds, len(places)))


def _is_kernel(weight: StoredWeight) -> bool:
    several = sum(size > 1 for size in weight.shape) > 1 or (len(weight.shape) > 1 and bool(weight.channel_axes))
    if not several or weight.reason is not None or weight.dtype not in {_FLOAT32, *NARROW_DTYPES}:
        return False
    # A constant of one value is an initial state or a mask.
    return weight.values.size > 0 and bool(weight.values.min() != weight.values.max())


def _layers(left: Sequence[_Kernel], kernels: Sequence[_Kernel]) -> list[str]:
    """The layers of some kernels, each once; names of all kernels tell which part of a name is the model's."""
    known = layers_of(kernel.name for kernel in kernels)
    return list(dict.fromkeys(known[kernel.name] or kernel.name for kernel in left))


def _listed(names: Sequence[str]) -> str:
    return shortened(names, most=_NAMED - 2) if len(names) > _NAMED else joined(names)
