"""Decodes images with OpenCV, if it is installed."""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.preprocessing.contract import Decoder, Pixels

__all__ = ["OPENCV"]


def decode(path: Path, grey: bool) -> Pixels:
    """Decode one file to (height, width, 3), red first, or (height, width, 1) if `grey`.

    Raises:
        SamplesError: If the file cannot be decoded.
    """
    import cv2

    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) if content.size else None
    except (OSError, cv2.error) as error:
        raise SamplesError(f"the image '{path}' cannot be decoded ({error}); repair or remove it") from error
    if pixels is None:
        raise SamplesError(f"the image '{path}' has no format that OpenCV can read; repair or remove it")
    decoded: Pixels = pixels[..., None] if grey else np.ascontiguousarray(pixels[..., ::-1])
    return decoded


OPENCV = Decoder(
    library="cv2.imread(file)[..., ::-1]",
    package="opencv-python-headless",
    module="cv2",
    decode=decode,
    grey="(4899 R + 9617 G + 1868 B + 8192) >> 14; of a JPEG file, the stored luma",
    behaviour={
        "grey": "repeated in three channels",
        "CMYK": "converted without a profile",
        "palette": "colours of the palette",
        "alpha": "dropped; transparent pixels keep their colour",
        "16 bits": "divided by 256",
        "EXIF orientation": "applied",
        "ICC profile": "ignored",
        "progressive": "decoded whole",
        "truncated": "the missing part is grey or black, without an error",
        "animated": "the first frame",
    },
)
