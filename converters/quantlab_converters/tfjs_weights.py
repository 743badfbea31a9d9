"""Checks of weights before quantization, and which are quantized, for both tfjs formats."""

import glob
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ConversionError
from quantlab.formats import Format
from quantlab.names import counted
from quantlab_converters.float_layers import list_parts

__all__ = ["refuse_unquantizable", "stored_as", "words_of_the_converter"]


def refuse_unquantizable(name: str, data: npt.NDArray[Any], scheme: str) -> None:
    """Refuse weights for which the official converter writes invalid JSON, or fails on the minimum of an empty array.

    Raises:
        ConversionError: If a float weight is empty or holds NaN or infinity, and the scheme needs its value range.
    """
    if data.dtype.kind != "f" or scheme in {"float32", "float16"}:
        return
    if data.size == 0:
        raise ConversionError(f"the weight '{name}' has no elements, which {scheme} cannot store; remove its layer")
    if not np.isfinite(data).all():
        spoiled = counted(int(data.size - np.isfinite(data).sum()), "value that is", "values that are")
        raise ConversionError(
            f"the weight '{name}' holds {spoiled} NaN or infinite, and {scheme} needs a finite range; train again or "
            f"repair the model"
        )


def stored_as(scheme: str, names: Iterable[str], kept: Mapping[str, str]) -> dict[str, bool | list[str]]:
    """The `quantization_dtype_map` of the official converter: data type → patterns of names, or True for all weights.

    >>> stored_as("uint8", ["a", "b", "c"], {})
    {'uint8': True}
    >>> stored_as("uint8", ["a", "b", "c"], {"b": "float16", "c": "float32"})
    {'uint8': ['a'], 'float16': ['b']}

    Args:
        scheme: `uint8`, `uint16` or `float16`.
        names: The names of all weights.
        kept: Weights that stay in float → `float32` or `float16`.
    """
    if not kept:
        return {scheme: True}
    half = [glob.escape(name) for name, dtype in kept.items() if dtype == "float16"]
    chosen = [glob.escape(name) for name in names if name not in kept]
    if scheme == "float16":
        return {scheme: chosen + half}
    return {scheme: chosen, **({"float16": half} if half else {})}


def words_of_the_converter(format_: Format, float32: Path, scheme: str, taps: Sequence[str]) -> str | None:
    """The option of `tensorflowjs_converter` that quantizes all weights but those of some ops.

    Args:
        format_: The artifact's format.
        float32: The float32 artifact.
        scheme: `uint8`, `uint16` or `float16`; the official converter makes no other.
        taps: The tensors that the ops write.
    """
    if scheme not in {"uint8", "uint16", "float16"}:
        return None
    parts = list_parts(format_, float32)
    patterns = ",".join(glob.escape(name) for part in parts if part.tap not in taps for name in part.weights)
    if not patterns:  # all weights stay in float
        return None
    return f"tensorflowjs_converter {shlex.quote(f'--quantize_{scheme}={patterns}')}"
