"""Small pictures of samples, as they were fed: images, signals, and rows of values."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.preprocessing import BYTE_SCALE, SYMMETRIC_SCALE, UNIT_SCALE

__all__ = ["picture_of"]

Array = npt.NDArray[Any]

_SIDE = 96
"""Longest side of a picture in pixels."""
_FEWEST = 6
"""Rows and columns of an image, at least."""
_MOST_VALUES = 512
"""Values of a drawn signal, at most; longer ones are thinned out."""
_QUALITY = 80
_ENDS = (UNIT_SCALE.ends, SYMMETRIC_SCALE.ends, BYTE_SCALE.ends)
"""The ranges in which images are usually stored, the narrowest first."""


def picture_of(sample: Array) -> str | None:
    """A picture of one input of one sample, as an address that holds its own data; None if nothing can be shown.

    Images of one, three or four channels are shown as they are: from 0 to 255, from 0 to 1 or from −1 to 1 by their
    values, otherwise from the smallest to the largest value. Other arrays of numbers are drawn as a signal.

    Args:
        sample: Without the axis of samples.
    """
    values = np.asarray(sample)
    if values.dtype.kind not in "biuf" or not values.size:
        return None
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    # What is not finite is as dark as the smallest value, and does not change the scale of the others.
    values = np.where(finite, values, values[finite].min(initial=np.inf) if finite.any() else 0.0)
    image = _as_image(values)
    return _signal(values.reshape(-1)) if image is None else _encoded(image)


def _as_image(values: Array) -> Array | None:
    """(height, width) or (height, width, 3) in bytes; None if it is no image."""
    if values.ndim == 2 and min(values.shape) >= _FEWEST:
        return _bytes(values)
    if values.ndim != 3 or min(values.shape[:2]) < _FEWEST or values.shape[2] not in {1, 3, 4}:
        return None
    channels = values[:, :, :3]
    return _bytes(channels[:, :, 0] if values.shape[2] == 1 else channels)


def _bytes(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    ends = next(
        ((first, last) for first, last in _ENDS if first <= low and high <= last),
        (low, high),
    )
    if ends == UNIT_SCALE.ends and high == low:
        return np.full(values.shape, round(255 * low), np.uint8)
    scaled = (values - ends[0]) / ((ends[1] - ends[0]) or 1.0)
    pixels: Array = np.rint(255 * scaled).astype(np.uint8)
    return pixels


def _encoded(image: Array) -> str:
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small = max(image.shape[:2]) <= _SIDE // 2  # a JPEG of few pixels is larger, and blurred
    picture.save(buffer, "PNG" if small else "JPEG", **({"optimize": True} if small else {"quality": _QUALITY}))
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _signal(values: Array) -> str:
    """A line through the values, as an SVG image."""
    if len(values) > _MOST_VALUES:
        values = values[np.linspace(0, len(values) - 1, _MOST_VALUES).round().astype(int)]
    low, high = float(values.min()), float(values.max())
    heights = _SIDE / 2 * (1 - (values - low) / ((high - low) or 1.0))
    steps = np.linspace(0, _SIDE, len(values)) if len(values) > 1 else np.zeros(1)
    points = " ".join(f"{round(float(x), 1)},{round(float(y), 1)}" for x, y in zip(steps, heights, strict=True))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -2 {_SIDE} {_SIDE / 2 + 4}">'
        f'<polyline points="{points}" fill="none" stroke="#808080"/></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
