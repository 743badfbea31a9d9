"""Whether samples fit the model's inputs, and the exact change of dtype where they may differ."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.samples.source import Array, HeldTensor
from quantlab.types import TensorSpec

Shape = tuple[int | None, ...]


def check_tensor(spec: TensorSpec, held: HeldTensor, *, text: str) -> None:
    """Refuse an array whose samples' shape or dtype the input cannot take.

    Values are not looked at: whether integers fit is seen when they are converted.

    Raises:
        SamplesError: With what the input takes, what the source holds, and how to change it.
    """
    dtype = model_dtype(spec)
    if not held.shape:
        raise SamplesError(
            f"'{text}' holds a lone number for the input '{spec.name}'; "
            "give samples, one after the other in the first dimension"
        )
    if not fits(held.shape[1:], spec.shape[1:]):
        raise SamplesError(
            f"the input '{spec.name}' takes samples of shape {shown(spec.shape[1:])}, but those of '{text}' have the "
            f"shape {shown(held.shape[1:])}; {_shape_remedy(held.shape[1:], spec.shape[1:])}"
        )
    kind = held.dtype.kind
    if kind not in "biuf":
        raise SamplesError(
            f"the input '{spec.name}' takes {dtype.name}, but '{text}' holds {held.dtype.name}; "
            "give numbers or booleans"
        )
    if kind == "f" and dtype.kind != "f":
        raise SamplesError(
            f"the input '{spec.name}' takes {dtype.name}, but '{text}' holds {held.dtype.name}; "
            f"if they are whole numbers, store them with .astype('{dtype.name}')"
        )


def model_dtype(spec: TensorSpec) -> np.dtype[Any]:
    """The dtype of an input's bytes on disk, little endian.

    Raises:
        SamplesError: If the input takes anything but numbers and booleans that NumPy knows.
    """
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise SamplesError(
            f"the input '{spec.name}' takes {spec.dtype}, and samples can only be booleans, integers or floats; "
            "export the model with such an input"
        )
    return dtype.newbyteorder("<")


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape is the wanted one, where None in the wanted matches any size."""
    return len(shape) == len(wanted) and all(want in (None, size) for size, want in zip(shape, wanted, strict=True))


def shown(shape: Shape) -> str:
    """A shape for a message.

    >>> shown((None, 3))
    '(?, 3)'
    """
    inner = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _shape_remedy(shape: Shape, wanted: Shape) -> str:
    if fits((*shape, 1), wanted):
        return "add the channel dimension with x[..., None]"
    if shape[-1:] == (1,) and fits(shape[:-1], wanted):
        return "take the channel dimension away with x[..., 0]"
    if len(shape) == 3 and fits((*shape[1:], shape[0]), wanted):
        return "they have channels first, so move them last with numpy.moveaxis(x, 1, -1)"
    if len(shape) == 3 and fits((shape[-1], *shape[:-1]), wanted):
        return "they have channels last, so move them first with numpy.moveaxis(x, -1, 1)"
    sizes = [size for size in wanted if size is not None]
    if len(sizes) == len(wanted) and math.prod(sizes) == math.prod(size or 0 for size in shape):
        return (
            f"the number of values is right, so if their order is, x.reshape(-1, {', '.join(map(str, sizes))}) does it"
        )
    return "give samples of the shape the model was trained on"


def to_model_dtype(values: Array, spec: TensorSpec, *, indices: Array, text: str) -> Array:
    """Samples in the model's dtype, little endian, C order; integers are never changed, floats may be rounded.

    Args:
        values: (k, …) in a dtype that `check_tensor` let pass.
        indices: (k,) where the samples lie in the source, to name the first offender.

    Raises:
        SamplesError: If a sample holds NaN or infinity, or a number that the dtype cannot hold: an integer out
            of its range (for floats, of the range in which every integer is exact), or a float beyond its largest.
    """
    dtype = model_dtype(spec)
    where = _Where(spec.name, text, dtype.name)
    if values.dtype.kind == "f":
        _refuse_non_finite(values, indices, where)
    else:
        _refuse_out_of_range(values, indices, where=where, dtype=dtype)
    with np.errstate(over="ignore"):  # what overflows is refused by name below
        converted = values.astype(dtype, order="C", copy=False)
    if values.dtype.kind == "f" and dtype.itemsize < values.dtype.itemsize:
        _refuse_overflow(values, converted, indices=indices, where=where)
    return np.ascontiguousarray(converted)


@dataclass(frozen=True, slots=True)
class _Where:
    """What every refusal of a value says: where it lies and what it should become."""

    name: str
    text: str
    dtype: str

    def refusal(self, value: object, index: int, reason: str) -> SamplesError:
        return SamplesError(
            f"sample {index} (counted from 0) of '{self.text}' holds {value} in the input '{self.name}'{reason}"
        )


def _first(bad: Array) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _refuse_non_finite(values: Array, indices: Array, where: _Where) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        at = _first(~finite)
        kind = "NaN" if np.isnan(values[at]) else "infinity"
        raise where.refusal(kind, int(indices[at[0]]), "; mend or remove it, since it would spoil every score")


def _refuse_out_of_range(values: Array, indices: Array, *, where: _Where, dtype: np.dtype[Any]) -> None:
    low, high = _exact_range(dtype)
    own_low, own_high = _exact_range(values.dtype)
    if (low <= own_low and own_high <= high) or not values.size:
        return
    if int(values.min()) >= low and int(values.max()) <= high:
        return
    at = _first((values < max(low, own_low)) | (values > min(high, own_high)))
    raise where.refusal(
        int(values[at]),
        int(indices[at[0]]),
        f", which takes {where.dtype}, exact only from {low} to {high}; bring the values into that range",
    )


def _refuse_overflow(values: Array, converted: Array, *, indices: Array, where: _Where) -> None:
    finite = np.isfinite(converted)
    if not finite.all():
        at = _first(~finite)
        raise where.refusal(
            float(values[at]),
            int(indices[at[0]]),
            f", which takes {where.dtype} and would make infinity of it; scale it",
        )


def _exact_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The integers that a dtype holds each exactly, from the lowest to the highest."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        bits = np.finfo(dtype).nmant + 1
        return -(2**bits), 2**bits
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
