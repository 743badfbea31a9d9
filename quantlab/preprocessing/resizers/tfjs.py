"""`tf.image.resizeBilinear` and `resizeNearestNeighbor` of TensorFlow.js 4.22, with each of their flags.

Source: the kernels of its cpu backend, which compute in float64 and store float32. The default has no half-pixel
centres: the first output pixel is the first input pixel, and the picture moves by up to half an output pixel.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from quantlab.preprocessing.contract import Array, ResizeMethod, Resizer
from quantlab.preprocessing.resampling import Between, Doubles, Places, between, gather, lerp

__all__ = ["TFJS", "TFJS_ALIGN_CORNERS", "TFJS_HALF_PIXEL", "resize_tfjs"]

Position = Callable[[int, int], Doubles]
"""Function from the input's and the output's number of pixels to the positions of output pixels in the input."""


def corner_positions(n: int, wanted: int) -> Doubles:
    """X · in / out: neither flag."""
    return np.arange(wanted, dtype=np.float64) * (n / wanted)


def half_positions(n: int, wanted: int) -> Doubles:
    """(x + ½) · in / out − ½: `halfPixelCenters`."""
    return (np.arange(wanted, dtype=np.float64) + 0.5) * (n / wanted) - 0.5


def aligned_positions(n: int, wanted: int) -> Doubles:
    """X · (in − 1) / (out − 1): `alignCorners`, which an output of one pixel ignores."""
    if wanted == 1:
        return corner_positions(n, wanted)
    return np.arange(wanted, dtype=np.float64) * ((n - 1) / (wanted - 1))


POSITIONS: dict[str, Position] = {
    "tfjs": corner_positions,
    "tfjs-half-pixel": half_positions,
    "tfjs-align-corners": aligned_positions,
}


def resize_tfjs(image: Array, size: tuple[int, int], method: str, *, flags: str) -> Array:
    """Resize (height, width, channels): `nearest` keeps the data type, `bilinear` gives float32.

    Args:
        image: (height, width, channels).
        size: Height and width.
        method: `bilinear` or `nearest`.
        flags: A key of `POSITIONS`.
    """
    height, width = image.shape[:2]
    if method == "nearest":
        return gather(image, nearest_of(flags, height, size[0]), nearest_of(flags, width, size[1]))
    position = {"bilinear": POSITIONS[flags]}[method]
    rows, columns = position(height, size[0]), position(width, size[1])
    return lerp(image, neighbours(rows, height), neighbours(columns, width))


def neighbours(positions: Doubles, n: int) -> Between:
    """The pixels on both sides of each position."""
    lower = np.maximum(np.floor(positions), 0.0)
    return between(lower, np.ceil(positions), positions - lower, n=n)


def nearest_of(flags: str, n: int, wanted: int) -> Places:
    """⌊x · in / out⌋, ⌊(x + ½) · in / out⌋, or the aligned position rounded, halves up."""
    if flags == "tfjs-half-pixel":
        positions = (np.arange(wanted, dtype=np.float64) + 0.5) * (n / wanted)
    else:
        positions = POSITIONS[flags](n, wanted) + (0.5 if flags == "tfjs-align-corners" else 0.0)
    places: Places = np.clip(np.floor(positions).astype(np.intp), 0, n - 1)
    return places


_LERP = "p(⌊c⌋) + (p(⌈c⌉) − p(⌊c⌋)) · (c − ⌊c⌋), c = {}, clipped; float64, stored as float32"


def _resizer(flags: str, *, positions: str, nearest: str, option: str) -> Resizer:
    return Resizer(
        partial(resize_tfjs, flags=flags),
        {
            "bilinear": ResizeMethod(_LERP.format(positions), f"tf.image.resizeBilinear(x, size{option})", False),
            "nearest": ResizeMethod(nearest, f"tf.image.resizeNearestNeighbor(x, size{option})", True),
        },
    )


TFJS = _resizer("tfjs", positions="x · in / out", nearest="p(⌊x · in / out⌋)", option="")
TFJS_HALF_PIXEL = _resizer(
    "tfjs-half-pixel",
    positions="(x + ½) · in / out − ½",
    nearest="p(⌊(x + ½) · in / out⌋)",
    option=", false, true",
)
TFJS_ALIGN_CORNERS = _resizer(
    "tfjs-align-corners",
    positions="x · (in − 1) / (out − 1)",
    nearest="p(⌊x · (in − 1) / (out − 1) + ½⌋)",
    option=", true",
)
