"""Runs a pipeline on one image: from pixels to the tensor of a sample."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError, UsageError
from quantlab.preprocessing.contract import Pixels
from quantlab.preprocessing.decoder_contract import ImageFile, words_of
from quantlab.preprocessing.geometry import Placement, central_box, placement
from quantlab.preprocessing.registry import DECODERS, RESIZERS
from quantlab.types import Pipeline

__all__ = [
    "arranged",
    "cropped",
    "fitted",
    "in_colours",
    "opened_decoder",
    "placed",
    "refuse_absent_decoder",
    "sample_of",
    "tensor_of",
    "values_of",
]

Array = npt.NDArray[Any]


def refuse_absent_decoder(pipeline: Pipeline) -> None:
    """Check that the library that decodes is installed.

    Raises:
        UsageError: If it is not.
    """
    decoder = DECODERS[pipeline.decoder]
    if find_spec(decoder.module) is None:
        raise UsageError(
            f"the decoder '{pipeline.decoder}' needs the module '{decoder.module}', which is not installed; run 'pip "
            f"install {decoder.package}', or choose another decoder"
        )


@contextmanager
def opened_decoder(pipeline: Pipeline) -> Iterator[Callable[[ImageFile], Pixels]]:
    """Give the function that decodes files for a pipeline; threads may share it.

    It returns uint8 (height, width, 3), red first, or (height, width, 1) for grey, and raises SamplesError for a file
    that it does not decode. Use it for many files, because some decoders are processes of their own.
    """
    with DECODERS[pipeline.decoder].opened() as decode:
        yield lambda path: decode(path, pipeline.colour == "grey")


def sample_of(pipeline: Pipeline, path: ImageFile, decode: Callable[[ImageFile], Pixels]) -> Array:
    """Turn one image file into a sample.

    Args:
        pipeline: The pipeline.
        path: The file.
        decode: From `opened_decoder`.

    Returns:
        Of `pipeline.shape`, in `pipeline.dtype` if that is a float type; int64 for integers, which are not checked
        against the range of the data type.

    Raises:
        SamplesError: If the file cannot be decoded, or has another size and the pipeline does not resize.
    """
    pixels = decode(path)
    try:
        return tensor_of(pipeline, pixels)
    except ValueError as error:
        raise SamplesError(f"{words_of(path)} {error}") from error


def in_colours(pipeline: Pipeline, pixels: Pixels) -> Pixels:
    """Make uint8 (height, width, 3) grey if the pipeline is, as its decoder would; otherwise leave it alone."""
    return DECODERS[pipeline.decoder].grey_of(pixels) if pipeline.colour == "grey" else pixels


def tensor_of(pipeline: Pipeline, pixels: Pixels) -> Array:
    """Turn decoded pixels into a sample, see `sample_of`.

    Raises:
        ValueError: If the image has another size and the pipeline does not resize.
    """
    return arranged(pipeline, values_of(pipeline, fitted(pipeline, pixels)))


def fitted(pipeline: Pipeline, pixels: Pixels) -> Array:
    """Crop, resize and pad to `pipeline.size`: (height, width, channels), uint8 or float32, pixel values 0–255.

    A method with a sharp kernel may give float32 values slightly outside of 0–255.

    Raises:
        ValueError: If the image has another size and the pipeline does not resize.
    """
    pixels = cropped(pipeline, pixels)
    height, width = pixels.shape[:2]
    if (height, width) == pipeline.size and pipeline.shorter_side is None:
        return pixels
    if pipeline.resize == "none":
        raise ValueError(
            f"has {height}×{width} pixels, and the preprocessing expects {pipeline.size[0]}×{pipeline.size[1]} and "
            "does not resize; choose a resize method"
        )
    place = placement(pipeline, height, width)
    resized: Array = pixels
    if (height, width) != place.resized:
        resized = RESIZERS[pipeline.resizer].fastest(pixels, place.resized, pipeline.resize)
    return placed(pipeline, resized, place)


def cropped(pipeline: Pipeline, pixels: Pixels) -> Pixels:
    """Cut out the share of the image that is kept before resizing."""
    if pipeline.central_crop == 1:
        return pixels
    top, left, height, width = central_box(pixels.shape[0], pixels.shape[1], share=pipeline.central_crop)
    return pixels[top : top + height, left : left + width]


def placed(pipeline: Pipeline, image: Array, place: Placement) -> Array:
    """Cut the sample out of a resized image, or lay the image into a sample of the pad value."""
    height, width = pipeline.size
    top, left = place.top, place.left
    if top >= 0 and left >= 0:
        return image[top : top + height, left : left + width]
    sample = np.full((height, width, image.shape[2]), pipeline.pad_value, image.dtype)
    sample[-top : -top + image.shape[0], -left : -left + image.shape[1]] = image
    return sample


def values_of(pipeline: Pipeline, pixels: Array) -> Array:
    """Order the colours, multiply and add in float64, and round once to the data type; integers become int64.

    Args:
        pipeline: The pipeline.
        pixels: (height, width, channels), red first, values 0–255, uint8 or float32.
    """
    if pipeline.colour == "bgr":
        pixels = pixels[..., ::-1]
    dtype = np.dtype(pipeline.dtype)
    values: Array
    if pixels.dtype == np.uint8 and len(pipeline.scale) == len(pipeline.offset) == 1:
        # A table of 256 values is some ten times faster than arithmetic on each pixel.
        table = np.arange(256, dtype=np.float64) * pipeline.scale[0] + pipeline.offset[0]
        values = (table.astype(dtype) if dtype.kind == "f" else np.rint(table).astype(np.int64))[pixels]
        return values
    exact = pixels.astype(np.float64) * np.array(pipeline.scale) + np.array(pipeline.offset)
    values = exact.astype(dtype) if dtype.kind == "f" else np.rint(exact).astype(np.int64)
    return values


def arranged(pipeline: Pipeline, values: Array) -> Array:
    """Order the dimensions as `pipeline.layout` says."""
    if pipeline.layout == "channels-first":
        return np.ascontiguousarray(values.transpose(2, 0, 1))
    return values.reshape(pipeline.shape)
