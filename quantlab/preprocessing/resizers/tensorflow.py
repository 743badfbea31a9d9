"""`tf.image.resize`, with and without antialias: half-pixel centres, in float32.

Sources: the kernels of TensorFlow 2.19 `resize_bilinear_op.cc`, `resize_bicubic_op.cc`, `resize_nearest_neighbor_op.cc`
and `scale_and_translate_op.cc`.
"""

import numpy as np

from quantlab.preprocessing.contract import Array, ResizeMethod, Resizer
from quantlab.preprocessing.resampling import (
    Between,
    Floats,
    Kernel,
    Places,
    Taps,
    between,
    bicubic,
    gather,
    lanczos3,
    lerp,
    summed,
    triangle,
)

__all__ = ["TF", "TF_ANTIALIAS", "half_pixel", "resize_tf", "resize_tf_antialias"]


def keys_cubic(x: Array) -> Array:
    """Keys' cubic convolution with a = −1/2, of float32 distances from 0, in float32."""
    x = x.astype(np.float32)
    near = ((np.float32(1.5) * x - np.float32(2.5)) * x) * x + np.float32(1)
    far = ((np.float32(-0.5) * x + np.float32(2.5)) * x - np.float32(4)) * x + np.float32(2)
    return np.where(x >= 2, np.float32(0), np.where(x >= 1, far, near))


def lanczos_of(x: Array) -> Array:
    """`lanczos3` in float64 of float32 distances; TensorFlow's sines of float32 differ by a few in the last bits."""
    return lanczos3(x.astype(np.float64))


SPANS = {"bilinear": (triangle, 1.0), "bicubic": (keys_cubic, 2.0), "lanczos": (lanczos_of, 3.0)}
"""Method → its kernel and radius in pixels."""

STEPS = 1024
"""Of the table in which the cubic is looked up."""


def resize_tf(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize (height, width, channels) without antialias: `nearest` keeps the data type, others give float32."""
    height, width = image.shape[:2]
    if method == "nearest":
        return gather(image, half_nearest(height, size[0]), half_nearest(width, size[1]))
    if method == "bilinear":
        return lerp(image, half_pixel(height, size[0]), half_pixel(width, size[1]))
    if method == "bicubic":
        return rows_first(image, cubic_taps(height, size[0]), cubic_taps(width, size[1]))
    kernel, radius = {"lanczos": SPANS["lanczos"]}[method]
    return rows_first(image, spans(height, size[0], kernel, radius), spans(width, size[1], kernel, radius))


def resize_tf_antialias(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize (height, width, channels) with antialias, to float32."""
    height, width = image.shape[:2]
    kernel, radius = SPANS[method]
    rows = spans(height, size[0], kernel, radius, widened=True)
    return rows_first(image, rows, spans(width, size[1], kernel, radius, widened=True))


def rows_first(image: Array, rows: Taps, columns: Taps) -> Array:
    """Sum along rows, then along columns, in float32."""
    zero = np.array(0, np.float32)
    return summed(summed(image, rows, axis=0, start=zero), columns, axis=1, start=zero)


def step_of(n: int, wanted: int) -> np.float32:
    """Input pixels for each output pixel."""
    return np.float32(n) / np.float32(wanted)


def half_nearest(n: int, wanted: int) -> Places:
    """The pixel under the centre of each output pixel."""
    centre = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * step_of(n, wanted)
    places: Places = np.minimum(np.floor(centre).astype(np.intp), n - 1)
    return places


def centres(n: int, wanted: int) -> Floats:
    """Where the centre of each output pixel lies, counted from the centre of the first input pixel."""
    half = np.float32(0.5)
    return (np.arange(wanted, dtype=np.float32) + half) * step_of(n, wanted) - half


def half_pixel(n: int, wanted: int) -> Between:
    """The neighbours of the centre of each output pixel."""
    centre = centres(n, wanted)
    lower = np.floor(centre)
    return between(lower, np.ceil(centre), centre - lower, n=n)


def cubic_taps(n: int, wanted: int) -> Taps:
    """Four taps with weights from a table; those outside of the image have none, and the rest is scaled to one."""
    centre = centres(n, wanted)
    lower = np.floor(centre)
    offset = np.rint((centre - lower) * np.float32(STEPS)).astype(np.intp)
    steps = np.arange(STEPS + 1) / STEPS
    near, far = bicubic(steps).astype(np.float32), bicubic(steps + 1.0).astype(np.float32)
    weights = np.stack([far[offset], near[offset], near[STEPS - offset], far[STEPS - offset]], axis=1)
    places = lower.astype(np.intp)[:, None] + np.arange(-1, 3)
    weights = np.where((places >= 0) & (places < n), weights, np.float32(0))
    total = np.add.accumulate(weights, axis=1)[:, -1:]
    return Taps(np.clip(places, 0, n - 1), weights * (np.float32(1) / total))


def spans(n: int, wanted: int, kernel: Kernel, radius: float, *, widened: bool = False) -> Taps:
    """Taps of a kernel around the centre of each output pixel; `widened` by in / out above 1, for antialias."""
    inverse = np.float32(1) / (np.float32(wanted) / np.float32(n))
    stretch = np.maximum(inverse, np.float32(1)) if widened else np.float32(1)
    reach = np.float32(radius) * stretch
    half = np.float32(0.5)
    centre = (np.arange(wanted, dtype=np.float32) + half) * inverse
    first = np.maximum(np.ceil(centre - reach - half).astype(np.intp), 0)
    last = np.minimum(np.floor(centre + reach - half).astype(np.intp), n - 1)
    places = first[:, None] + np.arange(int((last - first).max()) + 1)
    distance = (places.astype(np.float32) + half - centre[:, None]) * (np.float32(1) / stretch)
    weights = kernel(np.abs(distance)).astype(np.float32)
    weights = np.where(places <= last[:, None], weights, np.float32(0))
    total = np.add.accumulate(weights, axis=1)[:, -1:]
    return Taps(np.minimum(places, n - 1), weights * (np.float32(1) / total))


_SPAN = "Σ w(i) · p(i), w(i) ∝ k((i + ½ − c) / s), c = (x + ½) · in / out, s = {}; {}; rows first, float32"
_KERNELS = {
    "bilinear": "k(t) = max(1 − |t|, 0)",
    "bicubic": "k of Keys, a = −½",
    "lanczos": "k(t) = sinc(t) · sinc(t / 3), |t| < 3",
}
_NAMES = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3", "nearest": "nearest"}


def _method(name: str, formula: str, antialias: str = "") -> ResizeMethod:
    call = f"tf.image.resize(x, size, '{_NAMES[name]}'{antialias})"
    return ResizeMethod(formula, call, keeps_pixels=name == "nearest")


TF = Resizer(
    resize_tf,
    {
        "bilinear": _method(
            "bilinear", "p(⌊c⌋) + (p(⌈c⌉) − p(⌊c⌋)) · (c − ⌊c⌋), c = (x + ½) · in / out − ½, clipped; float32"
        ),
        "nearest": _method("nearest", "p(⌊(x + ½) · in / out⌋)"),
        "bicubic": _method(
            "bicubic",
            f"four taps around c = (x + ½) · in / out − ½, {_KERNELS['bicubic']}, in steps of 1/1024; float32",
        ),
        "lanczos": _method("lanczos", _SPAN.format("1", _KERNELS["lanczos"])),
    },
)

TF_ANTIALIAS = Resizer(
    resize_tf_antialias,
    {
        name: _method(name, _SPAN.format("max(in / out, 1)", kernel), ", antialias=True")
        for name, kernel in _KERNELS.items()
    },
)
