"""Arrays as text, for JSON files that must remake an artifact byte by byte."""

import base64
import binascii
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import ConversionError
from quantlab.types import PackedArray

__all__ = ["pack", "unpack"]

_DTYPES = frozenset({"uint8", "int16", "float16", "float32"})
_MOST_EXPANDED = 1032
"""Bytes that a byte of deflate can stand for, at most."""


def pack(values: NDArray[Any]) -> PackedArray:
    """Pack an array of one of the data types that weights, codes and scales have.

    >>> pack(np.zeros(2, np.uint8))
    PackedArray(dtype='uint8', shape=(2,), data='eNpjYAAAAAIAAQ==')

    Raises:
        ValueError: If it has another data type.
    """
    if values.dtype.name not in _DTYPES:
        raise ValueError(f"arrays of {values.dtype.name} are not packed, only of {', '.join(sorted(_DTYPES))}")
    data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return PackedArray(values.dtype.name, values.shape, base64.b64encode(zlib.compress(data, 9)).decode())


def unpack(packed: PackedArray, name: str) -> NDArray[Any]:
    """The array that was packed.

    Args:
        packed: From a file that may be damaged.
        name: What it belongs to, for the message.

    Raises:
        ConversionError: If it is not an array of the shape and data type that it claims.
    """
    if packed.dtype in _DTYPES and all(length >= 0 for length in packed.shape):
        dtype = np.dtype(packed.dtype).newbyteorder("<")
        data = _expanded(packed.data, math.prod(packed.shape) * dtype.itemsize)
        if data is not None:
            return np.frombuffer(data, dtype).astype(packed.dtype, copy=False).reshape(packed.shape)
    raise ConversionError(
        f"the decisions about '{name}' are damaged: they hold no {packed.dtype} array of shape {packed.shape}; "
        f"run 'quantlab tune' again"
    )


def _expanded(text: str, size: int) -> bytes | None:
    """The bytes that a text stands for; None if they are damaged, or not as many as `size`."""
    unpacking = zlib.decompressobj()
    try:
        compressed = base64.b64decode(text, validate=True)
        if size > _MOST_EXPANDED * len(compressed):
            return None
        # At most one byte too many: what claims to be small may expand to gigabytes.
        data = unpacking.decompress(compressed, size + 1)
    except (binascii.Error, zlib.error, ValueError):
        return None
    whole = unpacking.eof and not unpacking.unused_data  # the end has the checksum
    return data if whole and len(data) == size else None
