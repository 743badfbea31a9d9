"""From what a user declares, and the input of the model, to a pipeline in which nothing is left open."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Literal, cast

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import nearest, shape_words
from quantlab.preprocessing.geometry import ASPECTS
from quantlab.preprocessing.modes import FAMILY_MODES, MODES, Mode, mode_of
from quantlab.preprocessing.registry import DECODERS, RESIZERS
from quantlab.types import Pipeline, Preprocessing, TensorSpec

__all__ = ["COLOURS", "LAYOUTS", "METHODS", "MOST_PIXELS", "NO_RESIZE", "declared_values", "pipeline_for"]

COLOURS = {"rgb": 3, "bgr": 3, "grey": 1}
"""Colour order → channels."""

LAYOUTS = ("channels-last", "channels-first")
NO_RESIZE = "none"
MOST_PIXELS = 8192
"""Most pixels of a side of an image, which then has 256 MB as float32 with one channel."""
METHODS = tuple(dict.fromkeys(name for resizer in RESIZERS.values() for name in resizer.methods))
"""Every method that a resizer has."""

_Layout = Literal["channels-last", "channels-first", "no-channels"]


def declared_values(preprocessing: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the scales and the offsets, those of the mode if one is named.

    Raises:
        UsageError: If there is no such mode, or scale and offset are given, too.
    """
    mode = _mode(preprocessing)
    if mode is None:
        return _several(preprocessing.scale), _several(preprocessing.offset)
    if (preprocessing.scale, preprocessing.offset) != (1.0, 0.0):
        raise UsageError(
            f"the mode '{preprocessing.mode}' has its own scale and offset, and others are given; leave the mode out, "
            "or the scale and the offset"
        )
    return mode.scale, mode.offset


def pipeline_for(preprocessing: Preprocessing, spec: TensorSpec) -> Pipeline:
    """Complete a declared preprocessing with what the input of the model says.

    Raises:
        UsageError: If a name is unknown, a number has no meaning, or two keys contradict each other.
        SamplesError: If the model's input contradicts it, or accepts no images.
    """
    _check_names(preprocessing)
    scale, offset = declared_values(preprocessing)
    layout, channels = _layout(spec, preprocessing)
    colour = _colour(spec, preprocessing, channels)
    pipeline = Pipeline(
        decoder=preprocessing.decoder,
        colour=cast("Literal['rgb', 'bgr', 'grey']", colour),
        central_crop=float(preprocessing.central_crop),
        size=_size(spec, preprocessing.size, layout),
        resize=preprocessing.resize,
        resizer=_resizer(preprocessing.resizer),
        aspect=cast("Literal['stretch', 'crop', 'pad']", preprocessing.aspect),
        shorter_side=preprocessing.shorter_side,
        pad_value=float(preprocessing.pad_value),
        scale=scale,
        offset=offset,
        layout=layout,
        dtype=_dtype(spec, preprocessing),
    )
    _check_numbers(pipeline)
    _check_values(pipeline, spec)
    return pipeline


def _several(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, tuple) else (float(value),)


def _mode(preprocessing: Preprocessing) -> Mode | None:
    if preprocessing.mode is None:
        return None
    mode = mode_of(preprocessing.mode)
    if mode is None:
        raise UsageError(
            f"there is no preprocessing mode '{preprocessing.mode}'; {nearest(preprocessing.mode, _modes())}"
        )
    return mode


def _modes() -> list[str]:
    return [*MODES, *FAMILY_MODES]


def _check_names(preprocessing: Preprocessing) -> None:
    methods = [*METHODS, NO_RESIZE]
    if preprocessing.resize not in methods:
        raise UsageError(
            f"there is no resampling filter '{preprocessing.resize}'; {nearest(preprocessing.resize, methods)}"
        )
    _known("decoder", preprocessing.decoder, DECODERS)
    _known("resizer", preprocessing.resizer, RESIZERS)
    _known("aspect", preprocessing.aspect, ASPECTS)
    _known("layout", preprocessing.layout, LAYOUTS)
    known = RESIZERS[preprocessing.resizer].methods
    if preprocessing.resize not in {*known, NO_RESIZE}:
        raise UsageError(
            f"the resizer '{preprocessing.resizer}' has no method '{preprocessing.resize}'; choose from "
            f"{', '.join(known)}"
        )


def _known(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise UsageError(f"there is no {what} '{name}'; {nearest(name, names)}")


def _resizer(name: str) -> str:
    """The name of what the installed Pillow does, if it is asked for: its order of rows and columns changed."""
    if name == "pillow" and int(version("pillow").partition(".")[0]) < 13:
        return "pillow-12"
    return name


def _check_numbers(pipeline: Pipeline) -> None:
    if not 0 < pipeline.central_crop <= 1:
        raise UsageError(
            f"central_crop is {pipeline.central_crop!r} and must be above 0 and at most 1; write for example 0.875"
        )
    if not 0 <= pipeline.pad_value <= 255 or pipeline.pad_value != int(pipeline.pad_value):
        raise UsageError(f"pad_value is {pipeline.pad_value!r} and must be a whole pixel value from 0 to 255")
    side = pipeline.shorter_side
    if side is not None and pipeline.aspect != "crop":
        raise UsageError("shorter_side is for the aspect 'crop'; leave it out, or set aspect = \"crop\"")
    if side is not None and side < max(pipeline.size):
        height, width = pipeline.size
        raise UsageError(
            f"shorter_side is {side}, and the sample has {height}×{width} pixels; give at least {max(pipeline.size)}"
        )
    if not all(pipeline.scale):
        given = ", ".join(f"{value:g}" for value in pipeline.scale)
        raise UsageError(
            f"scale is {given}, and 0 makes all pixels of a channel equal; give for example {1 / 255:.6g}, or leave "
            f"it out"
        )
    longest = max(*pipeline.size, side or 0)
    if longest > MOST_PIXELS:
        raise UsageError(
            f"the preprocessing makes images of {longest:,} pixels a side, and at most {MOST_PIXELS:,} are supported; "
            f"give a smaller size"
        )
    for name, values in (("scale", pipeline.scale), ("offset", pipeline.offset)):
        if len(values) not in {1, pipeline.channels}:
            raise UsageError(
                f"{name} has {len(values)} numbers, and the colour order '{pipeline.colour}' has {pipeline.channels} "
                f"channels; give one number, or {pipeline.channels}"
            )


def _layout(spec: TensorSpec, preprocessing: Preprocessing) -> tuple[_Layout, int | None]:
    """The layout, and the number of channels; None for an input of shape (height, width)."""
    shape = spec.shape[1:]
    if len(shape) == 2:
        return "no-channels", None
    first = preprocessing.layout == "channels-first"
    if len(shape) == 3 and shape[0 if first else -1] in (1, 3):
        return ("channels-first" if first else "channels-last"), shape[0 if first else -1]
    if first:
        raise SamplesError(
            f"the layout 'channels-first' makes samples of shape (1 or 3, height, width), but the input '{spec.name}' "
            f"expects {shape_words(shape)}; leave the layout out"
        )
    other = ", with channels first" if len(shape) == 3 and shape[0] in (1, 3) else ""
    raise SamplesError(
        f"images become samples of shape (height, width, 1 or 3), but the input '{spec.name}' expects "
        f"{shape_words(shape)}{other}; give the samples as arrays in a .npz file"
    )


def _colour(spec: TensorSpec, preprocessing: Preprocessing, channels: int | None) -> str:
    asked, mode = preprocessing.colour, _mode(preprocessing)
    if mode is not None and mode.colour != "auto":
        if asked not in {"auto", mode.colour}:
            raise UsageError(
                f"the mode '{preprocessing.mode}' is for the colour order '{mode.colour}', and '{asked}' is given; "
                "leave the colour order out"
            )
        asked = mode.colour
    if asked == "auto":
        return "rgb" if channels == 3 else "grey"
    if asked not in COLOURS:
        raise UsageError(f"there is no colour order '{asked}'; {nearest(asked, [*COLOURS, 'auto'])}")
    if COLOURS[asked] != (channels or 1):
        raise SamplesError(
            f"the colour order '{asked}' gives {COLOURS[asked]} channels, but the input '{spec.name}' expects "
            f"{shape_words(spec.shape[1:])}; leave it at 'auto'"
        )
    return asked


def _size(spec: TensorSpec, asked: tuple[int, int] | None, layout: _Layout) -> tuple[int, int]:
    wanted = spec.shape[2:4] if layout == "channels-first" else spec.shape[1:3]
    height, width = (asked or wanted)[:2]
    if height is None or width is None:
        raise SamplesError(
            f"the input '{spec.name}' accepts images of any size, {shape_words(spec.shape[1:])}; "
            "give the height and width to resize to in the preprocessing"
        )
    if wanted[0] not in (None, height) or wanted[1] not in (None, width):
        raise SamplesError(
            f"the preprocessing makes images of {height}×{width}, but the input '{spec.name}' expects "
            f"{shape_words(spec.shape[1:])}; leave the size out to use the model's input size"
        )
    return height, width


def _dtype(spec: TensorSpec, preprocessing: Preprocessing) -> str:
    asked = preprocessing.dtype
    if asked not in (None, spec.dtype):
        raise SamplesError(
            f"the preprocessing makes {asked}, but the input '{spec.name}' expects {spec.dtype}; leave the dtype out"
        )
    return spec.dtype


def _check_values(pipeline: Pipeline, spec: TensorSpec) -> None:
    """Refuse fractional values for integers."""
    dtype: np.dtype[Any] = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return
    pixels = np.arange(256, dtype=np.float64)[:, None]
    values = pixels * np.array(pipeline.scale) + np.array(pipeline.offset)
    if (values != np.rint(values)).any():
        scale, offset = (one[0] if len(one) == 1 else one for one in (pipeline.scale, pipeline.offset))
        raise SamplesError(
            f"the input '{spec.name}' expects {dtype.name}, but scale {scale!r} and offset "
            f"{offset!r} give fractional values; give whole numbers"
        )
    method = RESIZERS[pipeline.resizer].methods.get(pipeline.resize)
    if method is not None and not method.keeps_pixels:
        raise SamplesError(
            f"the input '{spec.name}' expects {dtype.name}, but the resizer '{pipeline.resizer}' gives fractional "
            f"values with the method '{pipeline.resize}'; choose the resizer 'pillow' or the method 'nearest'"
        )
