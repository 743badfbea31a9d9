"""Integer inputs of files: raw pixels in place of quantized samples, and samples half-way between two codes."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.npy import mapped
from quantlab.preprocessing import BYTE_SCALE, SYMMETRIC_SCALE, UNIT_SCALE, WHITE, PixelScale, declared_values
from quantlab.samples import kept_subset
from quantlab.statistics import blocks
from quantlab.types import Codes, Port, Preprocessing, SampleSet, Variant

__all__ = ["RAW", "code_key", "note_half_way", "with_raw_pixels"]

RAW = "raw"
"""How `--variant-input` names pixels that are fed as they are."""

_USUAL = (UNIT_SCALE, SYMMETRIC_SCALE, BYTE_SCALE)
"""The scales in which samples are usually computed from pixels of 0 to 255."""

_TOLERANCE = 1e-3
"""Distance from a whole number of steps; float32 samples are off by less than 1e-4."""

_NOTED_SAMPLES = 64
"""Number of samples that are examined for the note."""

Array = npt.NDArray[Any]


def code_key(variant: Variant | None) -> dict[str, Any]:
    """The part of a key that says how the integer inputs of a variant are fed; empty if it has none."""
    codes = {port.name: asdict(port.codes) for port in variant.inputs if port.codes} if variant else {}
    return {"codes": codes} if codes else {}


def note_half_way(variant: Variant, samples: SampleSet) -> tuple[str, ...]:
    """A note for each integer input that has most values half-way between two codes, where applications differ.

    For example, samples of p / 127.5 − 1 for an input with the scale 2 / 255 and the zero point 127: then every pixel p
    lies between the codes p − 1 and p.
    """
    return tuple(
        f"most values of '{port.name}' lie half-way between two codes, so the outputs depend on how an application "
        f"rounds{_raw_remedy(port, variant)}"
        for port in variant.inputs
        if port.codes is not None
        and _mostly_half_way(mapped(kept_subset(samples).input_file(port.name))[:_NOTED_SAMPLES], port.codes)
    )


def _raw_remedy(port: Port, variant: Variant) -> str:
    return f"; --variant-input {variant.name}={RAW} feeds the pixels themselves" if _takes_pixels(port) else ""


def _takes_pixels(port: Port) -> bool:
    return port.codes is not None and (port.codes.lowest, port.codes.highest) == (0, WHITE)


def _mostly_half_way(values: Array, codes: Codes) -> bool:
    if values.dtype.kind != "f" or not values.size:
        return False
    steps = _steps(values, codes.scale, codes.offset)
    return bool(np.mean(np.abs(steps - np.floor(steps) - 0.5) < _TOLERANCE) > 0.5)


def _steps(values: Array, scale: float, offset: float) -> npt.NDArray[np.float64]:
    steps: npt.NDArray[np.float64] = (values.astype(np.float64) - offset) / scale
    return steps


def with_raw_pixels(variant: Variant, samples: SampleSet, preprocessing: Preprocessing) -> Variant:
    """The variant, fed with the pixels from which the samples were computed, as a camera application feeds it.

    Args:
        variant: The variant, each input of which takes uint8.
        samples: The samples; whole numbers, or computed from pixels by `preprocessing` or by a usual convention.
        preprocessing: The declared scale and offset of pixels.

    Raises:
        ArtifactError: If an input does not take uint8, or its samples are not computed from pixels in a known way.
    """
    inputs = tuple(_with_raw(port, variant, samples, preprocessing) for port in variant.inputs)
    return replace(variant, inputs=inputs, notes=(*variant.notes, "fed raw pixels"))


def _with_raw(port: Port, variant: Variant, samples: SampleSet, preprocessing: Preprocessing) -> Port:
    values = mapped(samples.input_file(port.name))
    if not _takes_pixels(port):
        raise ArtifactError(
            f"--variant-input {variant.name}={RAW} is for uint8 inputs, and '{port.name}' of '{variant.path}' takes "
            f"{port.dtype}; leave the option out"
        )
    if values.dtype == np.uint8:
        return port
    declared = _declared(preprocessing)
    for scale in (*declared, *_USUAL):
        if all(_are_pixels(_steps(block, scale.factor, scale.offset)) for block in _blocks_of(values)):
            return replace(port, codes=Codes(scale.factor, 0, 0, WHITE, scale.offset))
    raise ArtifactError(
        f"--variant-input {variant.name}={RAW} needs samples computed from pixels, and those of '{port.name}' are "
        f"neither p, p / 255 nor p / 127.5 − 1 for whole p from 0 to 255; give a folder of images with --scale and "
        f"--offset"
    )


def _declared(preprocessing: Preprocessing) -> tuple[PixelScale, ...]:
    """The declared scale and offset, if they are the same for all channels and change anything."""
    scale, offset = declared_values(preprocessing)
    declared = PixelScale(scale[0], offset[0])
    if len({*scale}) > 1 or len({*offset}) > 1 or declared == BYTE_SCALE:
        return ()
    return (declared,)


def _blocks_of(values: Array) -> Iterator[Array]:
    return (values[rows] for rows in blocks(values))


def _are_pixels(steps: npt.NDArray[np.float64]) -> bool:
    whole = np.rint(steps)
    return bool(np.all(np.abs(steps - whole) < _TOLERANCE) and np.all((whole >= 0) & (whole <= WHITE)))
