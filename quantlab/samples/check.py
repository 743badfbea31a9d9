"""Checks that samples match the model's inputs, and converts them to the model's data type without loss."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.names import shape_words
from quantlab.samples.source import Array, HeldTensor
from quantlab.types import TensorSpec

Shape = tuple[int | None, ...]


def check_tensor(spec: TensorSpec, held: HeldTensor, *, text: str) -> None:
    """Refuse an array whose shape or data type the input does not accept.

    Values are not checked here: whether integers are in range is checked when they are converted.

    Raises:
        SamplesError: The message says what the input expects, what the source holds, and how to change it.
    """
    dtype = model_dtype(spec)
    if not held.shape:
        raise SamplesError(
            f"'{text}' holds a single number for the input '{spec.name}'; "
            "give an array of samples, with the samples along the first dimension"
        )
    if not fits(held.shape[1:], spec.shape[1:]):
        raise SamplesError(
            f"the input '{spec.name}' expects samples of shape {shape_words(spec.shape[1:])}, but those of "
            f"'{text}' have shape {shape_words(held.shape[1:])}; {_shape_remedy(held.shape[1:], spec.shape[1:])}"
        )
    kind = held.dtype.kind
    if kind not in "biuf":
        raise SamplesError(
            f"the input '{spec.name}' expects {dtype.name}, but '{text}' holds {held.dtype.name}; "
            "give numbers or booleans"
        )
    if kind == "f" and dtype.kind != "f":
        raise SamplesError(
            f"the input '{spec.name}' expects {dtype.name}, but '{text}' holds {held.dtype.name}; "
            f"if the values are integers, store them with .astype('{dtype.name}')"
        )


def model_dtype(spec: TensorSpec) -> np.dtype[Any]:
    """Data type of an input's bytes on disk, little-endian.

    Raises:
        SamplesError: If the input is not of numbers or booleans that NumPy supports.
    """
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise SamplesError(
            f"the input '{spec.name}' expects {spec.dtype}, and samples can only be booleans, integers or floats; "
            "export the model with such an input"
        )
    return dtype.newbyteorder("<")


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape equals the wanted one; None in the wanted shape matches any size."""
    return len(shape) == len(wanted) and all(want in (None, size) for size, want in zip(shape, wanted, strict=True))


def _shape_remedy(shape: Shape, wanted: Shape) -> str:
    if fits((*shape, 1), wanted):
        return "add the channel dimension with x[..., None]"
    if shape[-1:] == (1,) and fits(shape[:-1], wanted):
        return "remove the channel dimension with x[..., 0]"
    if len(shape) == 3 and fits((*shape[1:], shape[0]), wanted):
        return "channels come first, so move them to the end with numpy.moveaxis(x, 1, -1)"
    if len(shape) == 3 and fits((shape[-1], *shape[:-1]), wanted):
        return "channels come last, so move them to the front with numpy.moveaxis(x, -1, 1)"
    sizes = [size for size in wanted if size is not None]
    if len(sizes) == len(wanted) and math.prod(sizes) == math.prod(size or 0 for size in shape):
        return (
            f"the number of values matches, so if their order does too, use x.reshape(-1, {', '.join(map(str, sizes))})"
        )
    return "give samples of the shape that the model was trained on"


def to_model_dtype(values: Array, spec: TensorSpec, *, indices: Array, text: str) -> Array:
    """Convert samples to the model's data type, little-endian, C order; integers stay exact, floats may be rounded.

    Args:
        values: (k, …) of a data type that `check_tensor` accepts.
        indices: (k,): positions of the samples in the source, for messages.

    Raises:
        SamplesError: If a sample holds NaN or infinity, an integer outside the range of the data type (for floats: the
            range in which every integer is exact), or a float above its largest value.
    """
    dtype = model_dtype(spec)
    where = _Where(spec.name, text, dtype.name)
    if values.dtype.kind == "f":
        _refuse_non_finite(values, indices, where)
    else:
        _refuse_out_of_range(values, indices, where=where, dtype=dtype)
    with np.errstate(over="ignore"):  # _refuse_overflow reports overflow with the sample's position
        converted = values.astype(dtype, order="C", copy=False)
    if values.dtype.kind == "f" and dtype.itemsize < values.dtype.itemsize:
        _refuse_overflow(values, converted, indices=indices, where=where)
    return np.ascontiguousarray(converted)


@dataclass(frozen=True, slots=True)
class _Where:
    """Common parts of error messages about a value: input, source and target data type."""

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
        raise where.refusal(
            kind, int(indices[at[0]]), "; correct or remove it, since it would make every score invalid"
        )


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
        f", which expects {where.dtype}, exact for integers from {low} to {high}; scale the values to that range",
    )


def _refuse_overflow(values: Array, converted: Array, *, indices: Array, where: _Where) -> None:
    finite = np.isfinite(converted)
    if not finite.all():
        at = _first(~finite)
        raise where.refusal(
            float(values[at]),
            int(indices[at[0]]),
            f", which expects {where.dtype}, where it would become infinite; scale the values",
        )


def _exact_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Lowest and highest integer of the range in which the data type represents every integer exactly."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        bits = np.finfo(dtype).nmant + 1
        return -(2**bits), 2**bits
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
