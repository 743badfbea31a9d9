"""Thumbnails of images: means over at most 16 × 16 pieces, without brightness and contrast (see `near.py`).

A study of many images spends most of the time of its preparation here, so sums are added for many images at once. The
order in which the elements of a piece are added is part of the result, because each order rounds differently.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantlab.samples.near import STEPS, Thumbnails
from quantlab.samples.source import Array

__all__ = ["thumbnails"]

_SIDE = 16
_MOST_FLAT = 1e-6
"""A contrast that is no larger than this share of the brightness is a rounding error."""
_TOGETHER = 512
"""Images whose thumbnails are made together: what is computed from them stays in the cache of a core."""
_ADDED_IN_ORDER = 7
"""Most elements that NumPy always adds one after the other; of more, it may make eight sums."""


def thumbnails(images: Array) -> Thumbnails:
    """The thumbnails of (n, rows, columns, channels), with 1 or 3 channels and no axis of size 0 but the first."""
    n, height, width, channels = images.shape
    shape = (min(_SIDE, height), min(_SIDE, width))
    values = np.empty((n, shape[0] * shape[1] + (channels if channels > 1 else 0)), np.int8)
    flat = np.empty(n, np.bool_)
    for start in range(0, n, _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        values[rows], flat[rows] = _steps(images[rows])
    return Thumbnails(values, shape, flat)


def _steps(images: Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values of thumbnails in whole steps of their contrast, and which images have none."""
    with np.errstate(invalid="ignore", over="ignore"):
        small = _means(np.moveaxis(_means(images), 2, 1))
        grey = _grey(small).transpose(0, 2, 1)
        level = grey.mean(axis=(1, 2))
        centred = grey - level[:, None, None]
        contrast = np.sqrt((centred**2).mean(axis=(1, 2)))
        flat = ~(contrast > _MOST_FLAT * np.abs(level)) | ~np.isfinite(contrast)
        values = [centred.reshape(len(grey), -1)]
        if images.shape[3] > 1:
            values.append(_colours(small) - level[:, None])
        steps = np.concatenate(values, axis=1)
        steps /= np.where(flat, np.inf, contrast)[:, None]
        steps *= STEPS
    steps[flat] = 0.0
    return np.clip(np.rint(steps, out=steps), -127, 127, out=steps), flat


def _grey(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Means of (n, columns, rows, channels) over the channels, which are added in order as `mean` adds them."""
    sums = images[..., 0].astype(np.float64)
    for channel in range(1, images.shape[3]):
        sums += images[..., channel]
    sums /= images.shape[3]
    return sums


def _colours(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Means of each channel of (n, columns, rows, channels): the bits of `mean(axis=(1, 2), dtype=np.float64)`."""
    if not images.flags.c_contiguous:
        return np.asarray(images.mean(axis=(1, 2), dtype=np.float64))
    # Where channels are last, `mean` adds one place after the other. With places first, it adds those of all images.
    n, columns, rows, channels = images.shape
    places = np.ascontiguousarray(images.reshape(n, columns * rows, channels).swapaxes(0, 1), np.float64)
    colours: NDArray[np.float64] = places.mean(axis=0)
    return colours


def _means(images: Array) -> NDArray[np.float32]:
    """Means of (n, rows, …) over at most 16 pieces of the rows, whose lengths differ by at most one row."""
    length = images.shape[1]
    pieces = min(_SIDE, length)
    ends = [piece * length // pieces for piece in range(pieces + 1)]
    means: NDArray[np.float32] = np.stack([_sums(images[:, start:stop]) for start, stop in pairwise(ends)], axis=1)
    means /= np.diff(ends).astype(np.float32).reshape(-1, *[1] * (images.ndim - 2))
    return means


def _sums(images: Array) -> NDArray[np.float32]:
    """Sums of (n, rows, …) over the rows in float32: those of `sum(axis=1)`, up to the sign of a zero."""
    rows = images.shape[1]
    # Sums of integers of 8 bits are exact in any order.
    added = (images.dtype == np.float32 and images.flags.aligned) or images.dtype in (np.uint8, np.int8)
    if rows > _ADDED_IN_ORDER or not added:
        return np.asarray(images.sum(axis=1, dtype=np.float32))
    if rows == 1:
        return np.asarray(images[:, 0], np.float32)
    sums: NDArray[np.float32] = np.add(images[:, 0], images[:, 1], dtype=np.float32)
    for row in range(2, rows):
        sums += images[:, row]
    return sums
