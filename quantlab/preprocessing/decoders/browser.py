"""What a browser does with images: it is no decoder of quantlab's own, but that of exported JavaScript."""

from collections.abc import Mapping

__all__ = ["CANVAS", "CANVAS_CALL"]

CANVAS_CALL = "createImageBitmap(blob, { imageOrientation: 'from-image', colorSpaceConversion: 'none' }) on a canvas"
"""The call whose behaviour `CANVAS` describes."""

CANVAS: Mapping[str, str] = {
    "grey": "repeated in three channels",
    "CMYK": "converted without a profile, within 1 step of Pillow",
    "palette": "colours of the palette; transparent entries become black",
    "alpha": "transparent pixels become black, and half-transparent ones lose precision",
    "16 bits, grey": "the upper 8 bits",
    "16 bits": "the upper 8 bits",
    "EXIF orientation": "applied",
    "ICC profile": "ignored because of the option; without it, converted to the colours of the screen",
    "progressive": "decoded whole",
    "truncated": "refused",
    "animated": "the first frame",
}
"""Kind of file → what Chromium does with it."""
