"""Named scale, offset and colour order: the modes of `keras.applications`, and the families of models that use them.

Sources: `keras.applications.imagenet_utils.preprocess_input` for the modes, and the `preprocess_input` of each family.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

MODES: Mapping[str, Mode] = {
    "raw": Mode((1.0,), (0.0,), "auto", "p", "none: the model scales its input itself"),
    "unit": Mode((1 / 255,), (0.0,), "auto", "p / 255", "keras.layers.Rescaling(1/255)"),
    "tf": Mode((1 / 127.5,), (-1.0,), "auto", "p / 127.5 − 1", "preprocess_input(mode='tf')"),
    "torch": Mode(
        tuple(1 / (255 * std) for std in _STD),
        tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True)),
        "rgb",
        "(p / 255 − (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)",
        "preprocess_input(mode='torch'); torchvision's Normalize with the figures of ImageNet",
    ),
    "caffe": Mode(
        (1.0, 1.0, 1.0),
        (-103.939, -116.779, -123.68),
        "bgr",
        "p − (103.939, 116.779, 123.68), blue first",
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
