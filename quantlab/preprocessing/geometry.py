"""Which part of an image is used, and where it lies in the sample: whole pixels, in integer arithmetic."""

from dataclasses import dataclass

from quantlab.types import Pipeline

__all__ = ["ASPECTS", "Placement", "central_box", "placement"]

ASPECTS = {
    "stretch": ("(H, W)", "a resize to the size of the input"),
    "crop": (
        "shorter side s: (h, w) → (s, ⌊s · w / h⌋) for h ≤ w; from row round((h' − H) / 2) on, halves to even",
        "torchvision's Resize(s), CenterCrop((H, W)); without a shorter side, the smallest size that covers (H, W)",
    ),
    "pad": (
        "(h, w) → (⌊h · r⌋, ⌊w · r⌋), r = min(H / h, W / w), at least 1 pixel; ⌊(H − h') / 2⌋ rows of padding above",
        "tf.image.resize_with_pad, whose float32 arithmetic gives a pixel less for some sizes",
    ),
}
"""Name → formula, and the function that it equals."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a resized image lies over the sample."""

    resized: tuple[int, int]
    """Height and width to which the image is resized."""
    top: int
    """Rows of the resized image above the sample; negative if the sample has so many rows above the image."""
    left: int
    """Columns to the left of the sample; negative for columns of the sample to the left of the image."""


def central_box(height: int, width: int, *, share: float) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the centre of an image, as `tf.image.central_crop`.

    >>> central_box(100, 51, share=0.875), central_box(9, 9, share=1.0)
    ((6, 3, 88, 45), (0, 0, 9, 9))
    """
    top, left = int((height - height * share) / 2), int((width - width * share) / 2)
    return top, left, height - 2 * top, width - 2 * left


def placement(pipeline: Pipeline, height: int, width: int) -> Placement:
    """Where an image of this size lies."""
    wanted_height, wanted_width = pipeline.size
    if pipeline.aspect == "stretch":
        return Placement(pipeline.size, 0, 0)
    if pipeline.aspect == "crop":
        resized = _covering(pipeline, height, width)
        return Placement(resized, round((resized[0] - wanted_height) / 2), round((resized[1] - wanted_width) / 2))
    resized = _fitting(pipeline.size, height, width)
    return Placement(resized, -((wanted_height - resized[0]) // 2), -((wanted_width - resized[1]) // 2))


def _covering(pipeline: Pipeline, height: int, width: int) -> tuple[int, int]:
    wanted_height, wanted_width = pipeline.size
    side = pipeline.shorter_side
    if side is not None:
        return (side, side * width // height) if height <= width else (side * height // width, side)
    if wanted_height * width >= wanted_width * height:
        return wanted_height, max(wanted_width, wanted_height * width // height)
    return max(wanted_height, wanted_width * height // width), wanted_width


def _fitting(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    if size[0] * width <= size[1] * height:
        return size[0], max(1, size[0] * width // height)
    return max(1, size[1] * height // width), size[1]
