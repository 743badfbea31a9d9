"""Decodes images with OpenCV, if it is installed."""

from contextlib import nullcontext

import numpy as np

from quantlab.errors import SamplesError
from quantlab.preprocessing.contract import Pixels
from quantlab.preprocessing.decoder_contract import Decoder, ImageFile, words_of

__all__ = ["OPENCV", "grey_of"]


def grey_of(pixels: Pixels) -> Pixels:
    """Make uint8 (height, width, 3) grey as `cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)`."""
    red, green, blue = (pixels[..., channel : channel + 1].astype(np.int64) for channel in range(3))
    grey: Pixels = ((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15).astype(np.uint8)
    return grey


def decode(path: ImageFile, grey: bool) -> Pixels:
    """Decode one file to (height, width, 3), red first, or (height, width, 1) if `grey`.

    Raises:
        SamplesError: If the file cannot be decoded.
    """
    import cv2

    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except (OSError, cv2.error) as error:
        raise SamplesError(f"{words_of(path)} cannot be decoded ({error}); repair or remove it") from error
    if pixels is None:
        raise SamplesError(f"{words_of(path)} has no format that OpenCV can read; repair or remove it")
    decoded: Pixels = np.ascontiguousarray(pixels[..., ::-1])
    return grey_of(decoded) if grey else decoded


OPENCV = Decoder(
    library="cv2.imread(file)[..., ::-1]",
    package="opencv-python-headless",
    module="cv2",
    opened=lambda: nullcontext(decode),
    grey="(9798 R + 19235 G + 3735 B + 16384) >> 15, as cv2.cvtColor",
    grey_of=grey_of,
    behaviour={
        "grey": "repeated in three channels",
        "CMYK": "converted without a profile, up to 2 steps from Pillow",
        "palette": "colours of the palette; transparent entries keep their colour",
        "alpha": "dropped; transparent pixels keep their colour",
        "16 bits, grey": "the upper 8 bits",
        "16 bits": "the upper 8 bits",
        "EXIF orientation": "applied",
        "ICC profile": "ignored",
        "progressive": "decoded whole",
        "truncated": "refused by OpenCV 5; earlier versions may fill the missing part with grey",
        "animated": "the first frame",
    },
)
