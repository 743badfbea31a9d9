"""Named scale, offset and colour order: the modes of `keras.applications`, and the families of models that use them.

Sources: `keras.applications.imagenet_utils.preprocess_input` for the modes, and the `preprocess_input` of each family.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.preprocessing.scales import (
    BYTE_SCALE,
    CAFFE_MEAN,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SYMMETRIC_SCALE,
    UNIT_SCALE,
    PixelScale,
    standardized,
)

__all__ = ["FAMILY_MODES", "MODES", "Mode", "mode_of"]


@dataclass(frozen=True, slots=True)
class Mode:
    """What is done to pixel values from 0 to 255: `value = pixel × scale + offset`."""

    scale: tuple[float, ...]
    """One factor, or one for each channel in the order of `colour`."""
    offset: tuple[float, ...]
    """One constant, or one for each channel in the order of `colour`."""
    colour: Literal["rgb", "bgr", "auto"]
    """`auto` applies to colours and to grey."""
    formula: str
    """The formula as its source writes it."""
    equals: str
    """The function that it equals."""


def _alike(scale: PixelScale, formula: str, equals: str) -> Mode:
    """A mode that is the same for all channels."""
    return Mode((scale.factor,), (scale.offset,), "auto", formula, equals)


_CAFFE_MEAN_BGR = CAFFE_MEAN[::-1]

MODES: Mapping[str, Mode] = {
    "raw": _alike(BYTE_SCALE, "p", "none: the model scales its input itself"),
    "unit": _alike(UNIT_SCALE, "p / 255", "keras.layers.Rescaling(1/255)"),
    "tf": _alike(SYMMETRIC_SCALE, "p / 127.5 − 1", "preprocess_input(mode='tf')"),
    "torch": Mode(
        *standardized(IMAGENET_MEAN, IMAGENET_STD),
        "rgb",
        f"(p / 255 − {IMAGENET_MEAN}) / {IMAGENET_STD}",
        "preprocess_input(mode='torch'); torchvision's Normalize with the figures of ImageNet",
    ),
    "caffe": Mode(
        (1.0, 1.0, 1.0),
        tuple(-mean for mean in _CAFFE_MEAN_BGR),
        "bgr",
        f"p − {_CAFFE_MEAN_BGR}, blue first",
        "preprocess_input(mode='caffe')",
    ),
}
"""Name → mode."""

_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "raw": ("mobilenet_v3", "efficientnet", "efficientnet_v2", "convnext"),
    "tf": ("mobilenet", "mobilenet_v2", "inception_v3", "inception_resnet_v2", "xception", "nasnet", "resnet_v2"),
    "torch": ("densenet",),
    "caffe": ("resnet", "resnet50", "vgg16", "vgg19"),
}

FAMILY_MODES: Mapping[str, str] = {family: mode for mode, families in _FAMILIES.items() for family in families}
"""Family of `keras.applications`, by the name of its module → name of its mode."""


def mode_of(name: str) -> Mode | None:
    """Return a mode by its own name or that of a family; None if there is none.

    >>> mode_of("mobilenet_v2") is mode_of("tf"), mode_of("tff")
    (True, None)
    """
    return MODES.get(FAMILY_MODES.get(name, name))
