"""Pillow's `Image.resize` for eight bits per channel: kernels that widen when shrinking, in fixed point.

Source: the arithmetic of Pillow's `Resample.c` and, for `nearest`, `Geometry.c`. Pillow 13.0 shrinks rows before
columns where that is faster, and earlier versions do not: pixels of tall pictures differ between them.
"""

import numpy as np

from quantlab.preprocessing.contract import Array, Resize, ResizeMethod, Resizer
from quantlab.preprocessing.resampling import (
    Kernel,
    Places,
    Taps,
    area,
    bicubic,
    gather,
    lanczos3,
    summed,
    triangle,
)

__all__ = ["PILLOW", "PILLOW_12", "TORCHVISION", "resize_pillow", "resize_pillow_12"]

KERNELS: dict[str, tuple[Kernel, float]] = {
    "bilinear": (triangle, 1.0),
    "bicubic": (bicubic, 2.0),
    "lanczos": (lanczos3, 3.0),
    "area": (area, 0.5),
}
"""Method → its kernel, and how far that reaches in pixels of the output."""

BITS = 22
"""Of the fraction of a weight: eight bits of a pixel and two of headroom leave so many of 32."""


def resize_pillow(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize uint8 (height, width, channels) to `size`, rounded to whole pixels after each dimension.

    Rows come first if more than twice as many rows as columns go, and otherwise columns.
    """
    less_rows, less_columns = image.shape[0] - size[0], image.shape[1] - size[1]
    rows_first = less_rows > max(0, 2 * less_columns)
    return resize_axes(image, size, method, axes=(0, 1) if rows_first else (1, 0))


def resize_pillow_12(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize as `resize_pillow`, but always columns first."""
    return resize_axes(image, size, method, axes=(1, 0))


def native_13() -> Resize | None:
    """Pillow's own function, if Pillow 13 or later is installed."""
    return resize_natively if _major() >= 13 else None


def native_12() -> Resize | None:
    """Pillow's own function, if an earlier version is installed."""
    return resize_natively if 0 < _major() < 13 else None


def _major() -> int:
    """The first number of the installed version; 0 if Pillow is not installed."""
    try:
        from PIL import __version__
    except ImportError:
        return 0
    return int(__version__.partition(".")[0])


def resize_natively(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize uint8 (height, width, channels) with the installed Pillow."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else np.ascontiguousarray(image))
    resized = picture.resize((size[1], size[0]), Image.Resampling[_METHODS[method][1]])
    return np.asarray(resized).reshape(*size, image.shape[2])


def resize_axes(image: Array, size: tuple[int, int], method: str, *, axes: tuple[int, int]) -> Array:
    """Resize along the axes in this order; 0 are rows, 1 are columns."""
    height, width = image.shape[:2]
    if method == "nearest":
        return gather(image, nearest_places(height, size[0]), nearest_places(width, size[1]))
    kernel, support = KERNELS[method]
    for axis in axes:
        if image.shape[axis] != size[axis]:
            taps = fixed_taps(image.shape[axis], size[axis], kernel, support)
            sums = summed(image, taps, axis=axis, start=np.array(1 << (BITS - 1), np.int64))
            image = np.clip(sums >> BITS, 0, 255).astype(np.uint8)
    return image


def nearest_places(n: int, wanted: int) -> Places:
    """The pixel under the centre of each output pixel; the position is added up, step by step, as Pillow does."""
    step = n / wanted
    return np.add.accumulate(np.r_[step * 0.5, np.full(wanted - 1, step)]).astype(np.intp)


def fixed_taps(n: int, wanted: int, kernel: Kernel, support: float) -> Taps:
    """Weights in steps of 2⁻²², which add up to one before they are rounded."""
    scale = n / wanted
    widened = max(scale, 1.0)
    reach = support * widened
    centre = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.intp), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.intp), n)
    places = first[:, None] + np.arange(int(np.ceil(reach)) * 2 + 1)
    weights = kernel((places - centre[:, None] + 0.5) * (1.0 / widened))
    weights = np.where(places < end[:, None], weights, 0.0)
    weights = weights / np.add.accumulate(weights, axis=1)[:, -1:]
    fixed = np.trunc(weights * (1 << BITS) + np.where(weights < 0, -0.5, 0.5)).astype(np.int64)
    return Taps(np.minimum(places, n - 1), fixed)


_FORMULA = "Σ w(i) · p(i), w(i) ∝ k((i + ½ − c) / s), c = (x + ½) · in / out, s = max(in / out, 1); {}"
_WHOLE = "w in steps of 2⁻²²; {}; rounded to whole pixels after each dimension"
_ORDER = "columns first, or rows first if the height shrinks by more than 0 and than twice as many pixels as the width"
_METHODS = {
    "bilinear": ("k(t) = max(1 − |t|, 0)", "BILINEAR"),
    "nearest": ("", "NEAREST"),
    "bicubic": ("k of Keys, a = −½", "BICUBIC"),
    "lanczos": ("k(t) = sinc(t) · sinc(t / 3), |t| < 3", "LANCZOS"),
    "area": ("k(t) = 1 for −½ < t ≤ ½", "BOX"),
}


def _methods(call: str, order: str = _ORDER) -> dict[str, ResizeMethod]:
    return {
        name: ResizeMethod(
            _FORMULA.format(f"{kernel}; {_WHOLE.format(order)}") if kernel else "p(⌊c⌋), c = (x + ½) · in / out",
            call.format(constant),
            keeps_pixels=True,
        )
        for name, (kernel, constant) in _METHODS.items()
    }


PILLOW = Resizer(resize_pillow, _methods("Image.resize(size, Resampling.{}) of Pillow 13"), native_13)

PILLOW_12 = Resizer(
    resize_pillow_12, _methods("Image.resize(size, Resampling.{}) of Pillow up to 12", "columns first"), native_12
)

TORCHVISION = Resizer(
    resize_pillow,
    {
        name: method
        for name, method in _methods("torchvision's Resize(size, InterpolationMode.{}) of a PIL image").items()
        if name != "area"
    },
    native_13,
)
"""torchvision resizes PIL images with Pillow; its own kernels are for tensors."""
