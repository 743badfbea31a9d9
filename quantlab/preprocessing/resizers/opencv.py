"""`cv2.resize` of uint8 images: half-pixel centres without antialias, in fixed point; area averages.

Source: the arithmetic of OpenCV's `resize.cpp`.
"""

import numpy as np

from quantlab.preprocessing.contract import Array, ResizeMethod, Resizer
from quantlab.preprocessing.resampling import Places, Taps, gather, summed

__all__ = ["OPENCV", "resize_opencv"]

BITS = 11
"""Of the fraction of a weight."""


def resize_opencv(image: Array, size: tuple[int, int], method: str) -> Array:
    """Resize uint8 (height, width, channels)."""
    height, width = image.shape[:2]
    if method == "nearest":
        return gather(image, corner_nearest(height, size[0]), corner_nearest(width, size[1]))
    taps = {"bilinear": linear_taps}[method]
    columns = taps(width, size[1])
    outside = (columns.places[:, 0] == columns.places[:, 1])[:, None]
    # Columns outside of the image get the whole weight at once; rows are added up from two equal ones.
    columns = Taps(columns.places, np.where(outside, [[1 << BITS, 0]], columns.weights))
    across = summed(image, columns, axis=1, start=np.array(0, np.int64))
    down = stacked(across >> 4, taps(height, size[0]))
    resized: Array = np.clip((down + 2) >> 2, 0, 255).astype(np.uint8)
    return resized


def stacked(image: Array, taps: Taps) -> Array:
    """Add two rows, each product cut to 16 bits less, as the vector instructions do."""
    upper, lower = ((image[taps.places[:, tap]] * taps.weights[:, tap, None, None]) >> 16 for tap in (0, 1))
    total: Array = upper + lower
    return total


def corner_nearest(n: int, wanted: int) -> Places:
    """⌊x · in / out⌋: no half-pixel centres."""
    places = np.floor(np.arange(wanted, dtype=np.float64) * (n / wanted)).astype(np.intp)
    clipped: Places = np.minimum(places, n - 1)
    return clipped


def linear_taps(n: int, wanted: int) -> Taps:
    """Two neighbours of the centre of each output pixel, with weights in steps of 2⁻¹¹."""
    centre = ((np.arange(wanted, dtype=np.float64) + 0.5) * (n / wanted) - 0.5).astype(np.float32)
    lower = np.floor(centre).astype(np.intp)
    share = centre - lower.astype(np.float32)
    places = np.clip(np.stack([lower, lower + 1], axis=1), 0, n - 1)
    upper_weight = np.rint(share * np.float32(1 << BITS)).astype(np.int64)
    lower_weight = np.rint((np.float32(1) - share) * np.float32(1 << BITS)).astype(np.int64)
    return Taps(places, np.stack([lower_weight, upper_weight], axis=1))


OPENCV = Resizer(
    resize_opencv,
    {
        "bilinear": ResizeMethod(
            "p(⌊c⌋) · (1 − f) + p(⌊c⌋ + 1) · f, f = c − ⌊c⌋, c = (x + ½) · in / out − ½, clipped; f in steps of 2⁻¹¹, "
            "rounded once",
            "cv2.resize(x, size, interpolation=cv2.INTER_LINEAR)",
            keeps_pixels=True,
        ),
        "nearest": ResizeMethod(
            "p(⌊x · in / out⌋)", "cv2.resize(x, size, interpolation=cv2.INTER_NEAREST)", keeps_pixels=True
        ),
    },
)
